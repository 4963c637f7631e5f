package cassandra

import (
	"time"

	"github.com/gocql/gocql"
)

// Observer hears what a session does: each statement and each connection that
// it makes. It is called by the goroutines that wait for the answers.
type Observer interface {
	gocql.QueryObserver
	gocql.BatchObserver
	gocql.ConnectObserver
	// Nodes is given a function that tells how the session's nodes stand.
	// What it returns is called once the session is closed.
	Nodes(read func() []NodeState) (remove func())
}

// NodeState is how a node stands.
type NodeState struct {
	Address string
	// Connections are open, Waiting requests have no answer yet.
	Connections, Waiting int
	// Silence is how long it has owed an answer and sent nothing.
	Silence time.Duration
}

// states tells how all nodes stand that were ever connected to.
func (w *watch) states() []NodeState {
	var out []NodeState
	now := w.now()
	for _, n := range w.all() {
		n.mu.Lock()
		open := len(n.conns)
		n.mu.Unlock()
		out = append(out, NodeState{n.address, open, int(n.waiting.Load()), n.silence(now)})
	}
	return out
}

// observe has the observer, if any, hear of the session to come, and returns
// what ends that.
func (w *watch) observe(g *gocql.ClusterConfig, o Observer) (end func()) {
	if o == nil {
		return func() {}
	}
	g.QueryObserver, g.BatchObserver, g.ConnectObserver = o, o, o
	return o.Nodes(w.states)
}
