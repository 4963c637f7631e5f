package cassandra

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/gocql/gocql"
)

// replicaKey is the key of a context's [replica].
type replicaKey struct{}

// replica is one of several nodes that have a row.
type replica struct{ n, of int }

// AtReplica has queries that use the context, and that name a row, answered by one of
// the nodes that have the row: number n of the first of nodes that the session's policy
// would choose, in the order of their ids. No other node is used if it does not respond.
// The session's policy must be one of [ReplicaPolicy]; others ignore the context.
//
// With consistency ONE, a node that has the row answers with its own copy.
func AtReplica(ctx context.Context, n, of int) context.Context {
	return context.WithValue(ctx, replicaKey{}, replica{n, of})
}

// ReplicaPolicy wraps a token-aware policy so that queries can select a replica: see
// [AtReplica]. It also tells the policy the replicas of every keyspace that statements
// name; the driver by itself tells only those of the session's keyspace.
func ReplicaPolicy(p gocql.HostSelectionPolicy) gocql.HostSelectionPolicy {
	return &replicaPolicy{HostSelectionPolicy: p, known: map[string]bool{}}
}

type replicaPolicy struct {
	gocql.HostSelectionPolicy

	mu    sync.Mutex
	known map[string]bool // keyspaces
}

// Pick implements [gocql.HostSelectionPolicy].
func (p *replicaPolicy) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	if q == nil {
		return p.HostSelectionPolicy.Pick(q)
	}
	p.learn(q.Keyspace())
	next := p.HostSelectionPolicy.Pick(q)
	want, ok := q.Context().Value(replicaKey{}).(replica)
	if !ok {
		return next
	}
	var hosts []gocql.SelectedHost
	for len(hosts) < max(want.of, 1) {
		h := next()
		if h == nil {
			break
		}
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, func(a, b gocql.SelectedHost) int { return cmp.Compare(a.Info().HostID(), b.Info().HostID()) })
	picked := false
	return func() gocql.SelectedHost {
		if picked || want.n < 0 || want.n >= len(hosts) {
			return nil
		}
		picked = true
		return hosts[want.n]
	}
}

// learn has the policy load the replicas of a keyspace, concurrently with the query that
// names it first.
func (p *replicaPolicy) learn(keyspace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if keyspace == "" || p.known[keyspace] {
		return
	}
	p.known[keyspace] = true
	go p.HostSelectionPolicy.KeyspaceChanged(gocql.KeyspaceUpdateEvent{Keyspace: keyspace})
}

// AddHost implements [gocql.HostSelectionPolicy].
func (p *replicaPolicy) AddHost(host *gocql.HostInfo) {
	p.HostSelectionPolicy.AddHost(host)
	p.learnAgain()
}

// RemoveHost implements [gocql.HostSelectionPolicy].
func (p *replicaPolicy) RemoveHost(host *gocql.HostInfo) {
	p.HostSelectionPolicy.RemoveHost(host)
	p.learnAgain()
}

// learnAgain has all keyspaces loaded again: the ring has changed.
func (p *replicaPolicy) learnAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
}
