package cassandra

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
)

const (
	// speculateAfter is how long a read waits before it is also sent to another
	// node: longer than nearly all reads take.
	speculateAfter = 150 * time.Millisecond
	// speculateBelow is the number of requests in flight from which on no read is
	// sent twice: under load that would make things worse.
	speculateBelow = 128
)

// policy chooses nodes in the order of the policy that it wraps, but puts nodes that do
// not respond last. It also decides which statements are sent to a second node: the
// driver calls it before it reads a statement's own setting.
type policy struct {
	gocql.HostSelectionPolicy
	monitor *nodeMonitor
	ready   atomic.Bool
}

var _ gocql.ReadyPolicy = (*policy)(nil)

// HostUp implements [gocql.HostSelectionPolicy].
func (p *policy) HostUp(h *gocql.HostInfo) {
	p.HostSelectionPolicy.HostUp(h)
	p.ready.Store(true)
}

// Ready implements [gocql.ReadyPolicy]: one node is enough to start. The driver would
// wait for all nodes, and for one that hangs as long as several timeouts.
func (p *policy) Ready() bool { return p.ready.Load() }

// pinned is the key of a context whose statements go to one node only.
type pinned struct{}

// Pick implements [gocql.HostSelectionPolicy].
func (p *policy) Pick(q gocql.ExecutableQuery) gocql.NextHost {
	if q == nil {
		return p.HostSelectionPolicy.Pick(q)
	}
	next := p.HostSelectionPolicy.Pick(q)
	if only, ok := q.Context().Value(pinned{}).(*gocql.HostInfo); ok {
		return filtered(next, func(h *gocql.HostInfo) bool { return h.ConnectAddressAndPort() == only.ConnectAddressAndPort() })
	}
	if q.Context().Value(replicaKey{}) != nil {
		return next // the statement is meant for one node only
	}
	now := p.monitor.now()
	if read, ok := q.(*gocql.Query); ok {
		p.speculate(read, now)
	}
	if !p.monitor.anySilent(now) {
		return next
	}
	return silentLast(next, func(h *gocql.HostInfo) bool { return p.monitor.nodeOf(h).silence(now) >= avoidAfter })
}

// speculate has a slow read sent to another node too. Only plain reads: the slower of
// two statements is not waited for, and the buffers of a write are reused; and two
// reads by Paxos of the same row would delay each other.
func (p *policy) speculate(q *gocql.Query, now time.Time) {
	serial := q.GetConsistency() == gocql.Consistency(gocql.Serial) || q.GetConsistency() == gocql.Consistency(gocql.LocalSerial)
	if q.IsIdempotent() && !serial && strings.HasPrefix(q.Statement(), "SELECT") && p.monitor.maySpeculate(now) {
		q.SetSpeculativeExecutionPolicy(&gocql.SimpleSpeculativeExecution{NumAttempts: 1, TimeoutDelay: speculateAfter})
	}
}

func filtered(next gocql.NextHost, keep func(*gocql.HostInfo) bool) gocql.NextHost {
	return func() gocql.SelectedHost {
		h := next()
		for h != nil && !keep(h.Info()) {
			h = next()
		}
		return h
	}
}

// silentLast moves the silent hosts to the end.
func silentLast(next gocql.NextHost, silent func(*gocql.HostInfo) bool) gocql.NextHost {
	var last []gocql.SelectedHost
	return func() gocql.SelectedHost {
		for h := next(); h != nil; h = next() {
			if !silent(h.Info()) {
				return h
			}
			last = append(last, h)
		}
		if len(last) == 0 {
			return nil
		}
		h := last[0]
		last = last[1:]
		return h
	}
}

// prober returns a function that sends a simple query to one node.
func prober(s *gocql.Session) func(*gocql.HostInfo) {
	return func(h *gocql.HostInfo) {
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), pinned{}, h), closeAfter)
		defer cancel()
		// The monitor observes the response, if there is one.
		_ = s.Query("SELECT key FROM system.local WHERE key = 'local'").WithContext(ctx).Consistency(gocql.One).Exec()
	}
}
