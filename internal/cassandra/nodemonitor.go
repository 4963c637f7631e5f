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

// A node may hang with open connections: its process is stopped, its machine has failed,
// or the network drops packets. The driver would continue to send every third request
// there, and wait for each until the timeout. A nodeMonitor prevents that. A node that
// owes a response and has sent nothing, on any of its connections, for
//
//   - probeAfter gets a simple query, because a slow response to one expensive query
//     proves nothing;
//   - avoidAfter is used last, while there are other nodes;
//   - closeAfter has its connections closed, if another node responds. The requests that
//     wait there fail immediately with an unknown outcome, which their callers resolve
//     with other nodes. The driver connects again as soon as the node accepts connections.
//
// A node under load sends responses all the time, even if they are late.
const (
	probeAfter = 300 * time.Millisecond
	avoidAfter = 500 * time.Millisecond
	closeAfter = 2 * time.Second

	checkInterval = 100 * time.Millisecond
	// suspended is how late a check must be to show that this process itself was
	// stopped.
	suspended = 3 * checkInterval
)

// nodeMonitor knows how the nodes of one session respond. It makes the driver's
// connections, and observes its streams.
type nodeMonitor struct {
	dialer net.Dialer
	now    func() time.Time
	log    *zap.Logger

	byHost sync.Map // *gocql.HostInfo → *node: a shortcut
	mu     sync.Mutex
	nodes  atomic.Pointer[[]*node] // replaced, never modified
}

// node is how one node responds.
type node struct {
	address   string
	host      atomic.Pointer[gocql.HostInfo]
	owedSince atomic.Int64 // time of the first request after its last response, Unix ns; 0: none
	waiting   atomic.Int64 // requests without a response, approximately: see connected
	probing   atomic.Bool
	open      atomic.Bool // some connection was open at the last check

	mu    sync.Mutex
	conns []net.Conn
}

var (
	_ gocql.StreamObserver        = (*nodeMonitor)(nil)
	_ gocql.StreamObserverContext = (*nodeMonitor)(nil)
	_ gocql.FrameHeaderObserver   = (*nodeMonitor)(nil)
	_ gocql.Dialer                = (*nodeMonitor)(nil)
)

func newNodeMonitor(connectTimeout, keepAlive time.Duration, log *zap.Logger) *nodeMonitor {
	if log == nil {
		log = zap.NewNop()
	}
	return &nodeMonitor{dialer: net.Dialer{Timeout: connectTimeout, KeepAlive: keepAlive}, now: time.Now, log: log}
}

// all returns the nodes that the session ever connected to.
func (w *nodeMonitor) all() []*node {
	if p := w.nodes.Load(); p != nil {
		return *p
	}
	return nil
}

// nodeAt returns the node at an address, host:port.
func (w *nodeMonitor) nodeAt(address string) *node {
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

func (w *nodeMonitor) nodeOf(h *gocql.HostInfo) *node {
	if n, ok := w.byHost.Load(h); ok {
		return n.(*node)
	}
	n := w.nodeAt(h.ConnectAddressAndPort())
	n.host.Store(h)
	w.byHost.Store(h, n)
	return n
}

// StreamContext implements [gocql.StreamObserver].
func (w *nodeMonitor) StreamContext(context.Context) gocql.StreamObserverContext { return w }

// StreamStarted implements [gocql.StreamObserverContext].
func (w *nodeMonitor) StreamStarted(o gocql.ObservedStream) {
	n := w.nodeOf(o.Host)
	n.waiting.Add(1)
	if n.owedSince.Load() == 0 {
		n.owedSince.CompareAndSwap(0, w.now().UnixNano())
	}
}

// StreamAbandoned implements [gocql.StreamObserverContext].
func (w *nodeMonitor) StreamAbandoned(o gocql.ObservedStream) { w.nodeOf(o.Host).answered() }

// StreamFinished implements [gocql.StreamObserverContext].
func (w *nodeMonitor) StreamFinished(o gocql.ObservedStream) { w.nodeOf(o.Host).answered() }

// ObserveFrameHeader implements [gocql.FrameHeaderObserver].
func (w *nodeMonitor) ObserveFrameHeader(_ context.Context, f gocql.ObservedFrameHeader) {
	w.nodeOf(f.Host).owedSince.Store(0)
}

func (n *node) answered() {
	for {
		was := n.waiting.Load()
		if was <= 0 || n.waiting.CompareAndSwap(was, was-1) {
			return
		}
	}
}

// silence returns how long the node has owed a response and sent nothing.
func (n *node) silence(now time.Time) time.Duration {
	asked := n.owedSince.Load()
	if asked == 0 {
		return 0
	}
	return max(0, now.Sub(time.Unix(0, asked)))
}

// connected reports whether a connection is open. Without one nothing is owed: the driver
// does not report the requests that waited on connections that it closed.
func (n *node) connected() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = slices.DeleteFunc(n.conns, closed)
	if len(n.conns) == 0 {
		n.owedSince.Store(0)
		n.waiting.Store(0)
	}
	n.open.Store(len(n.conns) > 0)
	return len(n.conns) > 0
}

// closed reports whether a connection was closed by this process.
func closed(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// maySpeculate reports whether two nodes respond, and few requests are in flight.
func (w *nodeMonitor) maySpeculate(now time.Time) bool {
	answering, waiting := 0, int64(0)
	for _, n := range w.all() {
		waiting += n.waiting.Load()
		if n.open.Load() && n.silence(now) < avoidAfter {
			answering++
		}
	}
	return answering > 1 && waiting < speculateBelow
}

// anySilent reports whether a node should be avoided.
func (w *nodeMonitor) anySilent(now time.Time) bool {
	for _, n := range w.all() {
		if n.silence(now) >= avoidAfter {
			return true
		}
	}
	return false
}

// run checks the nodes periodically until ended returns true.
func (w *nodeMonitor) run(ended func() bool, ask func(*gocql.HostInfo)) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for last := w.now(); !ended(); {
		<-tick.C
		now := w.now()
		w.check(now, now.Sub(last), ask)
		last = now
	}
}

// check acts on the silence of each node. since is the time since the previous check.
func (w *nodeMonitor) check(now time.Time, since time.Duration, ask func(*gocql.HostInfo)) {
	nodes := w.all()
	if since > suspended {
		for _, n := range nodes { // this process was stopped, not the nodes
			n.owedSince.Store(0)
		}
		return
	}
	others := 0
	for _, n := range nodes {
		if n.connected() && n.silence(now) < probeAfter {
			others++
		}
	}
	for _, n := range nodes {
		silence := n.silence(now)
		if host := n.host.Load(); silence >= probeAfter && host != nil && n.probing.CompareAndSwap(false, true) {
			go func() {
				defer n.probing.Store(false)
				ask(host)
			}()
		}
		if silence >= closeAfter && others > 0 {
			n.closeConns(w.log)
		}
	}
}

// closeConns closes the node's connections.
func (n *node) closeConns(log *zap.Logger) {
	n.mu.Lock()
	conns := n.conns
	n.conns = nil
	n.mu.Unlock()
	if len(conns) == 0 {
		return
	}
	log.Warn("node does not respond: closing its connections", zap.String("node", n.address))
	for _, c := range conns {
		_ = c.Close() // its error is of no interest
	}
}

// DialContext implements [gocql.Dialer]. The driver gets the connection unwrapped: only
// then can it write several frames with one system call.
func (w *nodeMonitor) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := w.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	n := w.nodeAt(address)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	n.open.Store(true)
	return c, nil
}
