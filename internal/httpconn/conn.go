package httpconn

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of HTTP/1.
type conn struct {
	net.Conn
	tls     *tls.ConnectionState // nil for plain HTTP
	timeout time.Duration        // for the header of a request
	in      framer
	refused atomic.Pointer[Refusal]

	mu      sync.Mutex
	limit   time.Time // what net/http has set; zero: none
	started time.Time // of a header that is not complete; zero: there is none
}

func newConn(c net.Conn, state *tls.ConnectionState, o Options) *conn {
	x := &conn{Conn: c, tls: state, timeout: o.HeaderTimeout}
	x.in = framer{source: c, maxHeader: o.MaxHeader + 4096, refuse: func(r *Refusal) { x.refused.Store(r) }, header: x.headerBegins}
	return x
}

// Read implements io.Reader.
func (c *conn) Read(p []byte) (int, error) { return c.in.Read(p) }

// CloseWrite is for net/http, which ends connections gently.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// headerBegins is told when the first byte of a header has arrived, and when
// the header is complete. net/http, which sees a header only then, cannot limit
// the time.
func (c *conn) headerBegins(begun bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = time.Time{}
	if begun && c.timeout > 0 {
		c.started = time.Now()
		c.apply()
	}
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	return c.apply()
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// apply sets the deadline. Without one net/http is running a request, and would
// take a deadline that passes for a client that has gone.
func (c *conn) apply() error {
	t := c.limit
	if end := c.started.Add(c.timeout); !t.IsZero() && !c.started.IsZero() && end.Before(t) {
		t = end
	}
	return c.Conn.SetReadDeadline(t)
}

// plainConn is a conn without TLS: files go by the system's fast path.
type plainConn struct{ *conn }

// ReadFrom implements io.ReaderFrom.
func (c *plainConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.conn.Conn, r) }

// Buffered is the number of bytes that were read from c and not handed on yet.
// It must not be called during a Read: net/http does none when it says that a
// connection is idle.
func Buffered(c net.Conn) int {
	switch x := c.(type) {
	case *plainConn:
		return Buffered(x.conn)
	case *conn:
		return len(x.in.raw) + len(x.in.out)
	}
	return 0
}

// Refusal is why a request is not to be served.
type Refusal struct {
	// Code is S3's error code, Message is for the user.
	Code, Message string
}

type connKey struct{}

// Context is http.Server.ConnContext.
func Context(ctx context.Context, c net.Conn) context.Context {
	switch x := c.(type) {
	case *plainConn:
		return context.WithValue(ctx, connKey{}, x.conn)
	case *conn:
		return context.WithValue(ctx, connKey{}, x)
	}
	return ctx
}

// Request returns r as the handler is to see it, with r.TLS, and why it is
// refused; nil if it is not.
func Request(r *http.Request) (*http.Request, *Refusal) {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return r, nil
	}
	if c.tls != nil && r.TLS == nil {
		secure := *r // shallow, as net/http would have made it
		secure.TLS = c.tls
		r = &secure
	}
	return r, c.refused.Load()
}
