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

// watched is a watch with a clock of the test's, and nodes that take
// connections and never answer.
type watched struct {
	*watch
	clock time.Time
	hosts []*gocql.HostInfo
	conns []net.Conn
	asked chan *gocql.HostInfo
}

func newWatched(t *testing.T, nodes int) *watched {
	t.Helper()
	w := &watched{watch: newWatch(time.Second, 0, nil), clock: time.Now(), asked: make(chan *gocql.HostInfo, 100)}
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
		n := w.at(l.Addr().String())
		n.host.Store(h)
		w.byHost.Store(h, n) // the driver's hosts get their ports from a cluster's rows alone
		w.hosts, w.conns = append(w.hosts, h), append(w.conns, c)
	}
	return w
}

func (w *watched) ask(i int) { w.StreamStarted(gocql.ObservedStream{Host: w.hosts[i]}) }

func (w *watched) answer(i int) {
	w.ObserveFrameHeader(context.Background(), gocql.ObservedFrameHeader{Host: w.hosts[i]})
	w.StreamFinished(gocql.ObservedStream{Host: w.hosts[i]})
}

// pass lets time go by, with looks as often as there should be.
func (w *watched) pass(d time.Duration) {
	for range d / lookEvery {
		w.clock = w.clock.Add(lookEvery)
		w.look(w.clock, lookEvery, func(h *gocql.HostInfo) { w.asked <- h })
	}
}

func TestNodeThatOwesAnAnswerIsAskedAvoidedAndCut(t *testing.T) {
	w := newWatched(t, 2)
	w.ask(0)
	w.pass(askAfter)
	if h := <-w.asked; h != w.hosts[0] {
		t.Errorf("%s was asked", h.HostID())
	}
	if w.anySilent(w.clock) {
		t.Error("avoided too soon")
	}
	w.pass(avoidAfter - askAfter)
	if !w.anySilent(w.clock) {
		t.Error("not avoided")
	}
	if closed(w.conns[0]) {
		t.Error("cut too soon")
	}
	w.pass(cutAfter)
	if !closed(w.conns[0]) || closed(w.conns[1]) {
		t.Errorf("cut: %v and %v, want the first alone", closed(w.conns[0]), closed(w.conns[1]))
	}
	w.pass(lookEvery)
	if w.anySilent(w.clock) {
		t.Error("a node without connections owes nothing")
	}
}

func TestNodeThatSendsAnythingIsLeftAlone(t *testing.T) {
	w := newWatched(t, 2)
	w.ask(0) // takes its time
	for range 100 {
		w.ask(0)
		w.pass(2 * lookEvery)
		w.answer(0)
	}
	if closed(w.conns[0]) || w.anySilent(w.clock) || len(w.asked) > 0 {
		t.Error("a node that is slow was taken for one that hangs")
	}
}

func TestLastNodeThatIsLeftIsNeverCut(t *testing.T) {
	w := newWatched(t, 2)
	w.ask(0)
	w.ask(1)
	w.pass(2 * cutAfter)
	if closed(w.conns[0]) || closed(w.conns[1]) {
		t.Error("nobody answers: it may be this process's network, and cutting helps nobody")
	}
}

func TestProcessThatSleptBlamesNobody(t *testing.T) {
	w := newWatched(t, 2)
	w.ask(0)
	w.pass(lookEvery)
	w.clock = w.clock.Add(time.Minute)
	w.look(w.clock, time.Minute, func(h *gocql.HostInfo) { w.asked <- h })
	w.pass(avoidAfter)
	if closed(w.conns[0]) || w.anySilent(w.clock) {
		t.Error("a node was blamed for the time that this process slept")
	}
}

// chosen are the hosts that next gives.
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

// inOrder is a policy that knows nothing.
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
	w := newWatched(t, 3)
	p := &policy{HostSelectionPolicy: inOrder{hosts: w.hosts}, watch: w.watch}
	batch := (&gocql.Session{}).NewBatch(gocql.LoggedBatch)
	if got := chosen(p.Pick(batch)); got != "012" {
		t.Errorf("all answer: %s", got)
	}
	w.ask(0)
	w.pass(avoidAfter)
	if got := chosen(p.Pick(batch)); got != "120" {
		t.Errorf("the first is silent: %s", got)
	}
	if got := chosen(p.Pick(batch.WithContext(AtReplica(t.Context(), 0, 3)))); got != "012" {
		t.Errorf("one is asked for by the place it has: %s", got)
	}
	w.answer(0)
	if got := chosen(p.Pick(batch)); got != "012" {
		t.Errorf("it has answered: %s", got)
	}
}

// TestWhereMuchIsUnderWayNothingIsAskedTwice, nor where only one node answers.
func TestWhereMuchIsUnderWayNothingIsAskedTwice(t *testing.T) {
	w := newWatched(t, 2)
	if !w.calm(w.clock) {
		t.Error("two nodes, nothing to do: not calm")
	}
	for range speculateBelow {
		w.ask(0)
	}
	if w.calm(w.clock) {
		t.Error("calm with much under way")
	}
	for range speculateBelow {
		w.answer(0)
	}
	if !w.calm(w.clock) {
		t.Error("not calm when it is done")
	}
	w.ask(1)
	w.pass(avoidAfter)
	if w.calm(w.clock) {
		t.Error("calm with one node that answers")
	}
}
