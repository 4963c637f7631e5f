package cassandra

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"
)

// A node may hang with its connections open: its process is stopped, its
// machine is gone, the network drops what is sent. The driver would go on
// sending every third request there and wait for each the whole time-out. So a
// watch listens. A node that owes an answer and has sent nothing, on any of
// its connections, for
//
//   - askAfter is asked for something simple, since one hard question is no
//     sign of anything;
//   - avoidAfter is asked last, while there are others;
//   - cutAfter has its connections cut, if another node answers. What waits
//     there fails at once, as an unknown outcome, and its owner finds out from
//     another node; the driver connects again as soon as the node does.
//
// A node with much to do sends answers all the time, be they late ones.
const (
	askAfter   = 300 * time.Millisecond
	avoidAfter = 500 * time.Millisecond
	cutAfter   = 2 * time.Second

	lookEvery = 100 * time.Millisecond
	// asleep is how late a look must be for this process itself to have slept.
	asleep = 3 * lookEvery
)

// watch knows how the nodes of one session answer. It makes the driver's
// connections, and observes its streams.
type watch struct {
	dialer net.Dialer
	now    func() time.Time
	log    *zap.Logger

	byHost sync.Map // *gocql.HostInfo → *node: a short cut
	mu     sync.Mutex
	nodes  atomic.Pointer[[]*node] // replaced, never changed
}

// node is how one node answers.
type node struct {
	address string
	host    atomic.Pointer[gocql.HostInfo]
	asked   atomic.Int64 // when it was sent the first since it last sent something, Unix ns; 0: nothing
	waiting atomic.Int64 // requests without an answer, more or less: see connected
	asking  atomic.Bool
	open    atomic.Bool // some connection was open when it was last looked at

	mu    sync.Mutex
	conns []net.Conn
}

var (
	_ gocql.StreamObserver        = (*watch)(nil)
	_ gocql.StreamObserverContext = (*watch)(nil)
	_ gocql.FrameHeaderObserver   = (*watch)(nil)
	_ gocql.Dialer                = (*watch)(nil)
)

func newWatch(connectTimeout, keepAlive time.Duration, log *zap.Logger) *watch {
	if log == nil {
		log = zap.NewNop()
	}
	return &watch{dialer: net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}, now: time.Now, log: log}
}

// all are the nodes that were ever connected to.
func (w *watch) all() []*node {
	if p := w.nodes.Load(); p != nil {
		return *p
	}
	return nil
}

// at returns the node at an address, host:port.
func (w *watch) at(address string) *node {
	w.mu.Lock()
	defer w.mu.Unlock()
	known := w.all()
	for _, n := range known {
		if n.address == address {
			return n
		}
	}
	n := &node{address: address}
	grown := append(known[:len(known):len(known)], n)
	w.nodes.Store(&grown)
	return n
}

func (w *watch) of(h *gocql.HostInfo) *node {
	if n, ok := w.byHost.Load(h); ok {
		return n.(*node)
	}
	n := w.at(h.ConnectAddressAndPort())
	n.host.Store(h)
	w.byHost.Store(h, n)
	return n
}

// StreamContext implements [gocql.StreamObserver].
func (w *watch) StreamContext(context.Context) gocql.StreamObserverContext { return w }

// StreamStarted implements [gocql.StreamObserverContext].
func (w *watch) StreamStarted(o gocql.ObservedStream) {
	n := w.of(o.Host)
	n.waiting.Add(1)
	if n.asked.Load() == 0 {
		n.asked.CompareAndSwap(0, w.now().UnixNano())
	}
}

// StreamAbandoned implements [gocql.StreamObserverContext].
func (w *watch) StreamAbandoned(o gocql.ObservedStream) { w.of(o.Host).answered() }

// StreamFinished implements [gocql.StreamObserverContext].
func (w *watch) StreamFinished(o gocql.ObservedStream) { w.of(o.Host).answered() }

// ObserveFrameHeader implements [gocql.FrameHeaderObserver].
func (w *watch) ObserveFrameHeader(_ context.Context, f gocql.ObservedFrameHeader) {
	w.of(f.Host).asked.Store(0)
}

func (n *node) answered() {
	for {
		was := n.waiting.Load()
		if was <= 0 || n.waiting.CompareAndSwap(was, was-1) {
			return
		}
	}
}

// silence is how long the node has owed an answer and sent nothing.
func (n *node) silence(now time.Time) time.Duration {
	asked := n.asked.Load()
	if asked == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, asked)))
}

// connected reports whether a connection is open. Where none is nothing can be
// owed: the driver does not say what waited on those that it closes by itself.
func (n *node) connected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = slices.DeleteFunc(n.conns, closed)
	if len(n.conns) == 0 {
		n.asked.Store(0)
		n.waiting.Store(0)
	}
	n.open.Store(len(n.conns) > 0)
	return len(n.conns) > 0
}

// closed reports whether a connection was closed at this end.
func closed(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// calm reports whether two nodes answer, and few requests are under way.
func (w *watch) calm(now time.Time) bool {
	answering, waiting := 0, int64(0)
	for _, n := range w.all() {
		waiting += n.waiting.Load()
		if n.open.Load() && n.silence(now) < avoidAfter {
			answering++
		}
	}
	return answering > 1 && waiting < speculateBelow
}

// anySilent reports whether some node should be avoided.
func (w *watch) anySilent(now time.Time) bool {
	for _, n := range w.all() {
		if n.silence(now) >= avoidAfter {
			return true
		}
	}
	return false
}

// run looks at the nodes until ended says so.
func (w *watch) run(ended func() bool, ask func(*gocql.HostInfo)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := w.now(); !ended(); {
		<-tick.C
		now := w.now()
		w.look(now, now.Sub(last), ask)
		last = now
	}
}

// look does about each node what its silence asks for. since is the time
// from the look before.
func (w *watch) look(now time.Time, since time.Duration, ask func(*gocql.HostInfo)) {
	nodes := w.all()
	if since > asleep {
		for _, n := range nodes { // it was not they who were silent
			n.asked.Store(0)
		}
		return
	}
	others := 0
	for _, n := range nodes {
		if n.connected() && n.silence(now) < askAfter {
			others++
		}
	}
	for _, n := range nodes {
		silence := n.silence(now)
		if host := n.host.Load(); silence >= askAfter && host != nil && n.asking.CompareAndSwap(false, true) {
			go func() {
				defer n.asking.Store(false)
				ask(host)
			}()
		}
		if silence >= cutAfter && others > 0 {
			n.cut(w.log)
		}
	}
}

// cut closes the node's connections.
func (n *node) cut(log *zap.Logger) {
	n.mu.Lock()
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	if len(conns) == 0 {
		return
	}
	log.Warn("a node does not answer: its connections are cut, and made again when it does", zap.String("node", n.address))
	for _, c := range conns {
		_ = c.Close() // whatever it says, nobody waits here any more
	}
}

// DialContext implements [gocql.Dialer]. The driver gets the connection as it
// is, since only that writes several frames by one call of the system.
func (w *watch) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := w.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	n := w.at(address)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	n.open.Store(true)
	return c, nil
}
