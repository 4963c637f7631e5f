package cassandra

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
)

const (
	// speculateAfter is how long a read waits before another node is asked
	// the same: longer than nearly all reads take.
	speculateAfter = 150 * time.Millisecond
	// speculateBelow is the number of requests under way from which on no
	// read is asked twice: where there is much to do, asking twice is no help.
	speculateBelow = 128
)

// policy chooses nodes as the one that it is made of does, but those last
// that do not answer. It also decides, with the same knowledge, which
// statements a second node is asked: the driver consults it before it looks
// at a statement's own setting.
type policy struct {
	gocql.HostSelectionPolicy
	watch *watch
	ready atomic.Bool
}

var _ gocql.ReadyPolicy = (*policy)(nil)

// HostUp implements [gocql.HostSelectionPolicy].
func (p *policy) HostUp(h *gocql.HostInfo) {
	p.HostSelectionPolicy.HostUp(h)
	p.ready.Store(true)
}

// Ready implements [gocql.ReadyPolicy]: one node is enough to begin with. The
// driver would wait for all, and for one that hangs as long as several
// time-outs.
func (p *policy) Ready() bool { return p.ready.Load() }

// pinned is the key of a context whose statements go to one node alone.
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
		return next // one node is meant and no other
	}
	now := p.watch.now()
	if read, ok := q.(*gocql.Query); ok {
		p.speculate(read, now)
	}
	if !p.watch.anySilent(now) {
		return next
	}
	return silentLast(next, func(h *gocql.HostInfo) bool { return p.watch.of(h).silence(now) >= avoidAfter })
}

// speculate has another node asked where a read is slow. Only reads: what
// loses is not waited for, and a write's buffers are used again; and not by
// Paxos, where two that ask for the same stand in each other's way.
func (p *policy) speculate(q *gocql.Query, now time.Time) {
	serial := q.GetConsistency() == gocql.Consistency(gocql.Serial) || q.GetConsistency() == gocql.Consistency(gocql.LocalSerial)
	if q.IsIdempotent() && !serial && strings.HasPrefix(q.Statement(), "SELECT") && p.watch.calm(now) {
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

// silentLast puts the hosts that are silent behind all others.
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

// asker returns a function that asks one node for what every node knows.
func asker(s *gocql.Session) func(*gocql.HostInfo) {
	return func(h *gocql.HostInfo) {
		ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), pinned{}, h), cutAfter)
		defer cancel()
		// The watch hears the answer, if there is one.
		_ = s.Query("SELECT key FROM system.local WHERE key = 'local'").WithContext(ctx).Consistency(gocql.One).Exec()
	}
}
