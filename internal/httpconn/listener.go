package httpconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Options are what a Listener is made of.
type Options struct {
	// MaxHeader is http.Server.MaxHeaderBytes, HeaderTimeout its
	// ReadHeaderTimeout.
	MaxHeader     int
	HeaderTimeout time.Duration
	// TLS, if not nil, makes it HTTPS. The http.Server must not have it too.
	TLS *tls.Config
	// Failed, if not nil, is told of handshakes that fail.
	Failed func(remote net.Addr, err error)
}

// Listener accepts connections for net/http. [Context] belongs into the
// http.Server that serves it.
type Listener struct {
	net.Listener
	o Options

	handshakes sync.Once
	ready      chan accepted
	closed     chan struct{}
	close      sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// New returns a Listener above l.
func New(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, o: o, ready: make(chan accepted), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	if l.o.TLS == nil {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		return &plainConn{newConn(c, nil, l.o)}, nil
	}
	l.handshakes.Do(func() { go l.acceptTLS() })
	select {
	case a := <-l.ready:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// acceptTLS shakes hands with each client in its own time: which protocol it
// speaks decides what net/http is given.
func (l *Listener) acceptTLS() {
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			go l.shakeHands(c)
			continue
		}
		if !l.hand(accepted{err: err}) || errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (l *Listener) shakeHands(raw net.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), l.o.HeaderTimeout)
	defer cancel()
	c := tls.Server(raw, l.o.TLS)
	if err := c.HandshakeContext(ctx); err != nil {
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) && plain.Conn != nil && plain.RecordHeader[0] >= 'A' && plain.RecordHeader[0] <= 'Z' {
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		}
		_ = raw.Close()
		if l.o.Failed != nil {
			l.o.Failed(raw.RemoteAddr(), err)
		}
		return
	}
	state := c.ConnectionState()
	var conn net.Conn = c
	if state.NegotiatedProtocol != "h2" {
		conn = newConn(c, &state, l.o)
	}
	if !l.hand(accepted{conn: conn}) {
		_ = conn.Close()
	}
}

func (l *Listener) hand(a accepted) bool {
	select {
	case l.ready <- a:
		return true
	case <-l.closed:
		return false
	}
}

// Raw is the connection that the listener below accepted for c.
func Raw(c net.Conn) net.Conn {
	switch x := c.(type) {
	case *plainConn:
		return Raw(x.conn.Conn)
	case *conn:
		return Raw(x.Conn)
	case *tls.Conn:
		return Raw(x.NetConn())
	}
	return c
}
