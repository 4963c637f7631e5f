package cassandra

import (
	"context"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gocql/gocql"
)

// monitorFixture is a monitor with a clock of the test's, and nodes that accept
// connections and never respond.
type monitorFixture struct {
	*nodeMonitor
	clock time.Time
	hosts []*gocql.HostInfo
	conns []net.Conn
	asked chan *gocql.HostInfo
}

func newMonitorFixture(t *testing.T, nodes int) *monitorFixture {
	t.Helper()
	w := &monitorFixture{nodeMonitor: newNodeMonitor(time.Second, 0, nil), clock: time.Now(), asked: make(chan *gocql.HostInfo, 100)}
	w.now = func() time.Time { return w.clock }
	for i := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		c, err := w.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		h := &gocql.HostInfo{}
		h.SetHostID(strconv.Itoa(i))
		n := w.nodeAt(l.Addr().String())
		n.host.Store(h)
		w.byHost.Store(h, n) // the driver's hosts get their ports only from a cluster's rows
		w.hosts, w.conns = append(w.hosts, h), append(w.conns, c)
	}
	return w
}

func (w *monitorFixture) ask(i int) { w.StreamStarted(gocql.ObservedStream{Host: w.hosts[i]}) }

func (w *monitorFixture) answer(i int) {
	w.ObserveFrameHeader(context.Background(), gocql.ObservedFrameHeader{Host: w.hosts[i]})
	w.StreamFinished(gocql.ObservedStream{Host: w.hosts[i]})
}

// pass advances the clock, with checks as often as there should be.
func (w *monitorFixture) pass(d time.Duration) {
	for range d / checkInterval {
		w.clock = w.clock.Add(checkInterval)
		w.check(w.clock, checkInterval, func(h *gocql.HostInfo) { w.asked <- h })
	}
}

func TestSilentNodeIsProbedAvoidedAndDisconnected(t *testing.T) {
	w := newMonitorFixture(t, 2)
	w.ask(0)
	w.pass(probeAfter)
	if h := <-w.asked; h != w.hosts[0] {
		t.Errorf("%s was probed", h.HostID())
	}
	if w.anySilent(w.clock) {
		t.Error("avoided too soon")
	}
	w.pass(avoidAfter - probeAfter)
	if !w.anySilent(w.clock) {
		t.Error("not avoided")
	}
	if closed(w.conns[0]) {
		t.Error("disconnected too soon")
	}
	w.pass(closeAfter)
	if !closed(w.conns[0]) || closed(w.conns[1]) {
		t.Errorf("disconnected: %v and %v, want only the first", closed(w.conns[0]), closed(w.conns[1]))
	}
	w.pass(checkInterval)
	if w.anySilent(w.clock) {
		t.Error("a node without connections owes nothing")
	}
}

func TestSlowNodeIsNotAvoided(t *testing.T) {
	w := newMonitorFixture(t, 2)
	w.ask(0) // a slow response
	for range 100 {
		w.ask(0)
		w.pass(2 * checkInterval)
		w.answer(0)
	}
	if closed(w.conns[0]) || w.anySilent(w.clock) || len(w.asked) > 0 {
		t.Error("a slow node was treated as one that hangs")
	}
}

func TestLastRespondingNodeIsNeverDisconnected(t *testing.T) {
	w := newMonitorFixture(t, 2)
	w.ask(0)
	w.ask(1)
	w.pass(2 * closeAfter)
	if closed(w.conns[0]) || closed(w.conns[1]) {
		t.Error("no node responds: it may be this process's network, so connections must stay")
	}
}

func TestSuspendedProcessAvoidsNoNode(t *testing.T) {
	w := newMonitorFixture(t, 2)
	w.ask(0)
	w.pass(checkInterval)
	w.clock = w.clock.Add(time.Minute)
	w.check(w.clock, time.Minute, func(h *gocql.HostInfo) { w.asked <- h })
	w.pass(avoidAfter)
	if closed(w.conns[0]) || w.anySilent(w.clock) {
		t.Error("a node was avoided for the time that this process was suspended")
	}
}

// chosen returns the hosts in the order of next.
func chosen(next gocql.NextHost) string {
	order := ""
	for h := next(); h != nil; h = next() {
		order += h.Info().HostID()
	}
	return order
}

type picked struct{ h *gocql.HostInfo }

func (p picked) Info() *gocql.HostInfo { return p.h }
func (p picked) Mark(error)            {}

// inOrder is a policy that returns the hosts in a fixed order.
type inOrder struct {
	gocql.HostSelectionPolicy
	hosts []*gocql.HostInfo
}

func (p inOrder) Pick(gocql.ExecutableQuery) gocql.NextHost {
	left := slices.Clone(p.hosts)
	return func() gocql.SelectedHost {
		if len(left) == 0 {
			return nil
		}
		h := left[0]
		left = left[1:]
		return picked{h}
	}
}

func TestSilentNodesAreChosenLast(t *testing.T) {
	w := newMonitorFixture(t, 3)
	p := &policy{HostSelectionPolicy: inOrder{hosts: w.hosts}, monitor: w.nodeMonitor}
	batch := (&gocql.Session{}).NewBatch(gocql.LoggedBatch)
	if got := chosen(p.Pick(batch)); got != "012" {
		t.Errorf("all respond: %s", got)
	}
	w.ask(0)
	w.pass(avoidAfter)
	if got := chosen(p.Pick(batch)); got != "120" {
		t.Errorf("the first is silent: %s", got)
	}
	if got := chosen(p.Pick(batch.WithContext(AtReplica(t.Context(), 0, 3)))); got != "012" {
		t.Errorf("one replica was selected: %s", got)
	}
	w.answer(0)
	if got := chosen(p.Pick(batch)); got != "012" {
		t.Errorf("it has responded: %s", got)
	}
}

// A read is not sent twice under load, nor if only one node responds.
func TestReadsAreNotSpeculativeUnderLoad(t *testing.T) {
	w := newMonitorFixture(t, 2)
	if !w.maySpeculate(w.clock) {
		t.Error("two nodes without load: no speculative reads")
	}
	for range speculateBelow {
		w.ask(0)
	}
	if w.maySpeculate(w.clock) {
		t.Error("speculative reads under load")
	}
	for range speculateBelow {
		w.answer(0)
	}
	if !w.maySpeculate(w.clock) {
		t.Error("no speculative reads after the load")
	}
	w.ask(1)
	w.pass(avoidAfter)
	if w.maySpeculate(w.clock) {
		t.Error("speculative reads with one node that responds")
	}
}
