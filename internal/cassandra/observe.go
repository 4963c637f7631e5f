package cassandra

import (
	"time"

	"github.com/gocql/gocql"
)

// Observer is told what a session does: each statement and each connection. The
// goroutines that wait for the results call it.
type Observer interface {
	gocql.QueryObserver
	gocql.BatchObserver
	gocql.ConnectObserver
	// Nodes gets a function that returns the state of the session's nodes. The
	// function that it returns is called after the session is closed.
	Nodes(read func() []NodeState) (remove func())
}

// NodeState is the state of a node.
type NodeState struct {
	Address string
	// Connections is the number of open connections, Waiting the number of
	// requests without a response.
	Connections, Waiting int
	// Silence is how long the node has owed a response and sent nothing.
	Silence time.Duration
}

// states returns the state of all nodes that the session ever connected to.
func (w *nodeMonitor) states() []NodeState {
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

// observe connects the observer, if there is one, to the session that will be opened,
// and returns the function that disconnects it.
func (w *nodeMonitor) observe(g *gocql.ClusterConfig, o Observer) (end func()) {
	if o == nil {
		return func() {}
	}
	g.QueryObserver, g.BatchObserver, g.ConnectObserver = o, o, o
	return o.Nodes(w.states)
}
