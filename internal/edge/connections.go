package edge

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/pithos/pithos/internal/httpconn"
)

const (
	// connectionsPerRequest is how many connections there may be for each of
	// service.max-requests. Most of a client's are idle.
	connectionsPerRequest = 4
	// headBytes is the most bytes of headers that are being read, of all
	// connections together. net/http makes about four times as much of them.
	headBytes = 8 << 20
)

// Connections bounds what connections use before they have a request that
// admission can count: their number, and the bytes of headers that are being
// read. Anyone can open a connection, and an unfinished header of 60 KB uses
// 240 KB.
//
//   - Beyond the number, a connection that waits for a request is closed for a
//     new one, see [Connections.victim]. If there is none, the new one is closed.
//     No address can use up the number, see [pool].
//   - Beyond the bytes, the connection with the longest unfinished header is
//     closed. Ordinary headers have 1 KB and are read at once.
//
// It is used by an http.Server in three places, which [Server.Listen] sets:
// [Connections.Listen] for the listener, State for ConnState and Context for
// ConnContext.
type Connections struct {
	most    int64
	proxies proxies

	mu      sync.Mutex
	open    map[*connection]struct{}
	held    map[string]int64 // connections by address and network
	unnamed int64            // connections that held does not count
	reading int64            // bytes of headers
	refused int64            // connections that were closed for these bounds
}

// connection is an accepted connection: a *net.TCPConn with all its capabilities
// (sendfile, splice), which counts the bytes of headers.
type connection struct {
	*net.TCPConn
	all     *Connections
	callers callers

	// Under all.mu:
	since   time.Time // when it began to wait for a request
	waiting bool      // no request of it is being served
	head    int64     // bytes read meanwhile
	closed  bool
}

// Connections returns the connections of the server's listener.
func (s *Server) Connections() *Connections { return s.connections }

func newConnections(maxRequests int, p proxies) *Connections {
	return &Connections{
		most: connectionsPerRequest * int64(maxRequests), proxies: p,
		open: map[*connection]struct{}{}, held: map[string]int64{},
	}
}

// Listen returns l with its connections counted.
func (c *Connections) Listen(l net.Listener) net.Listener { return &countedListener{l, c} }

type countedListener struct {
	net.Listener
	all *Connections
}

// Accept implements [net.Listener].
func (l *countedListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		tcp, ok := raw.(*net.TCPConn)
		if err != nil || !ok { // a listener of another kind: a Unix socket is not open to everyone
			return raw, err
		}
		if conn := l.all.admit(tcp); conn != nil {
			return conn, nil
		}
		_ = tcp.Close() // nothing was sent yet
	}
}

// admit counts a new connection. It returns nil if there is no room for it.
func (c *Connections) admit(tcp *net.TCPConn) *connection {
	conn := &connection{TCPConn: tcp, all: c, callers: c.share(tcp.RemoteAddr()), since: time.Now(), waiting: true}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !within(c.held, c.most-int64(len(c.open)), &waiter{need: 1, count: 1, callers: conn.callers}) {
		c.refused++
		victim := c.victim(conn)
		if victim == nil {
			return nil
		}
		c.drop(victim)
	}
	c.open[conn] = struct{}{}
	c.count(conn, 1)
	return conn
}

func (c *Connections) count(conn *connection, n int64) {
	account(c.held, n, conn.callers)
	if conn.callers == (callers{}) {
		c.unnamed += n
	}
}

// victim returns the waiting connection that is closed for the new connection
// conn; nil if conn is refused.
//
// If the client of conn is over its share, one of its own connections is closed.
// If all connections are used up, it is one of the client that holds most, among
// those that hold more than the client of conn; if there are none, one of its
// own. A client that holds as much as any other gets no more: otherwise it could
// take them all, one by one. Of a client's connections the one is closed that has
// waited longest.
func (c *Connections) victim(conn *connection) *connection {
	may := func(o *connection) bool { return c.yields(o, conn) }
	if free := c.most - int64(len(c.open)); free > 0 {
		over := 0
		if within(c.held, free, &waiter{need: 1, count: 1, callers: callers{conn.callers[0]}}) {
			over = 2 // the network
		}
		may = func(o *connection) bool { return o.callers[over] == conn.callers[over] }
	}
	return c.find(func(o, than *connection) bool {
		if !may(o) {
			return false
		}
		if than == nil {
			return true
		}
		if a, b := c.heldByNetwork(o), c.heldByNetwork(than); a != b {
			return a > b
		}
		if a, b := c.held[o.callers[0]], c.held[than.callers[0]]; a != b {
			return a > b
		}
		return o.since.Before(than.since)
	})
}

// yields reports whether o may be closed for conn if all connections are used up:
// it is of the same client, or of one that holds more. Clients of one network are
// compared by their links, others by their networks.
func (c *Connections) yields(o, conn *connection) bool {
	if o.callers[0] == conn.callers[0] {
		return true
	}
	if network(o) == network(conn) {
		return c.held[o.callers[0]] > c.held[conn.callers[0]]
	}
	// The connections of a trusted proxy are of many clients, so it may hold any number.
	return c.heldByNetwork(o) > c.held[network(conn)]
}

// network returns the widest name of a connection's client.
func network(conn *connection) string {
	if conn.callers[2] != "" {
		return conn.callers[2]
	}
	return conn.callers[0]
}

func (c *Connections) heldByNetwork(conn *connection) int64 {
	if conn.callers == (callers{}) {
		return c.unnamed
	}
	return c.held[network(conn)]
}

// find returns the waiting connection that is better than all others.
func (c *Connections) find(better func(o, than *connection) bool) (best *connection) {
	for o := range c.open {
		if o.waiting && better(o, best) {
			best = o
		}
	}
	return best
}

// drop closes a connection to make room.
func (c *Connections) drop(conn *connection) {
	c.remove(conn)
	_ = conn.TCPConn.Close() // unsent bytes are dropped
}

func (c *Connections) remove(conn *connection) {
	if conn.closed {
		return
	}
	conn.closed = true
	delete(c.open, conn)
	c.count(conn, -1)
	c.reading -= conn.head
	conn.head = 0
}

// share returns the callers that a connection is accounted to, as [proxies.share]
// does for requests.
func (c *Connections) share(a net.Addr) callers {
	from, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return callers{}
	}
	return c.proxies.shareOf(from.Addr().Unmap())
}

// Read implements io.Reader.
func (conn *connection) Read(p []byte) (int, error) {
	n, err := conn.TCPConn.Read(p)
	if n > 0 {
		conn.all.read(conn, int64(n))
	}
	return n, err
}

// read counts n bytes, unless they are of a body.
func (c *Connections) read(conn *connection, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readHead(conn, n)
}

func (c *Connections) readHead(conn *connection, n int64) {
	if !conn.waiting || conn.closed {
		return
	}
	conn.head += n
	c.reading += n
	for c.reading > headBytes {
		longest := c.find(func(o, than *connection) bool { return than == nil || o.head > than.head })
		if longest == nil || longest.head == 0 {
			return
		}
		c.refused++
		c.drop(longest)
	}
}

// Close implements io.Closer.
func (conn *connection) Close() error {
	conn.all.mu.Lock()
	conn.all.remove(conn)
	conn.all.mu.Unlock()
	return conn.TCPConn.Close()
}

type connectionKey struct{}

// Context is for [http.Server.ConnContext].
func (c *Connections) Context(ctx context.Context, raw net.Conn) context.Context {
	if conn := counted(raw); conn != nil {
		return context.WithValue(ctx, connectionKey{}, conn)
	}
	return ctx
}

// State is for [http.Server.ConnState].
func (c *Connections) State(raw net.Conn, state http.ConnState) {
	if conn := counted(raw); conn != nil && state == http.StateIdle {
		c.mu.Lock()
		defer c.mu.Unlock()
		conn.waiting, conn.since = true, time.Now()
		// The bytes that were read ahead while the last request ran were not
		// counted. They belong to the header of the next one.
		c.readHead(conn, int64(httpconn.Buffered(raw)))
	}
}

// headRead says that the header of a request was read. The bytes that follow are
// its body.
func headRead(ctx context.Context) {
	conn, _ := ctx.Value(connectionKey{}).(*connection)
	if conn == nil {
		return
	}
	c := conn.all
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.waiting = false
	c.reading -= conn.head
	conn.head = 0
}

// counted returns the connection below TLS; nil for one of another listener.
func counted(raw net.Conn) *connection {
	conn, _ := httpconn.Raw(raw).(*connection)
	return conn
}

// counts returns how many connections are open, and how many were closed because
// of the bounds.
func (c *Connections) counts() (open, refused int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(len(c.open)), c.refused
}
