package metatest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pithos/pithos/meta"
)

// lease adds the lease of a job that no other test has.
func (s *suite) lease(shard int) meta.Lease {
	s.Helper()
	l := meta.Lease{Job: "job \x00 \u00ff " + meta.NewID().String(), Shard: shard, Rev: 1, Holder: "a", Token: 1}
	s.ok(s.PutLease(s.ctx, l, 0))
	return l
}

func (s *suite) leasesOf(job string) []meta.Lease {
	s.Helper()
	all, err := s.ListLeases(s.ctx, job)
	s.ok(err)
	return all
}

var leaseContracts = []contract{
	{"KeepsEveryFieldAndReplaces", func(s *suite) {
		l := s.lease(3)
		s.equal("lease", s.leasesOf(l.Job), []meta.Lease{l})
		l.Rev, l.Holder, l.Token, l.Progress = 9, "b", 9, []byte{0, 1, 255}
		l.LastRun = meta.JobRun{
			Started: 1e15, Succeeded: 2e15, Took: time.Minute, Gateway: "c", Items: 4, Errors: 5, Backlog: 6, Lag: time.Hour, Error: "why",
		}
		s.ok(s.PutLease(s.ctx, l, 1))
		s.equal("replaced lease", s.leasesOf(l.Job), []meta.Lease{l})
		empty := meta.Lease{Job: l.Job, Shard: l.Shard, Rev: 10}
		s.ok(s.PutLease(s.ctx, empty, 9))
		s.equal("empty lease", s.leasesOf(l.Job), []meta.Lease{empty})
	}},
	{"ChangesNeedTheRevision", func(s *suite) {
		l := s.lease(0)
		next := l
		next.Rev, next.Holder = 10, "b"
		s.is(s.PutLease(s.ctx, next, 0), meta.ErrConflict)
		s.is(s.PutLease(s.ctx, next, 9), meta.ErrConflict)
		next.Shard = 1
		s.is(s.PutLease(s.ctx, next, 9), meta.ErrConflict) // no row
		s.equal("leases", s.leasesOf(l.Job), []meta.Lease{l})
	}},
	{"ListIsOrderedByJobAndShard", func(s *suite) {
		l := s.lease(256)
		for _, shard := range []int{1, 255, 0} {
			next := l
			next.Shard = shard
			s.ok(s.PutLease(s.ctx, next, 0))
		}
		other := s.lease(2)
		var shards []int
		for _, l := range s.leasesOf(l.Job) {
			shards = append(shards, l.Shard)
		}
		s.equal("shards", shards, []int{0, 1, 255, 256})
		var jobs []string
		for _, l := range s.leasesOf("") {
			jobs = append(jobs, l.Job)
		}
		if !slices.IsSorted(jobs) || !slices.Contains(jobs, l.Job) || !slices.Contains(jobs, other.Job) {
			s.Fatalf("leases of the jobs %q", jobs)
		}
		s.equal("leases of an unknown job", len(s.leasesOf("unknown "+l.Job)), 0)
	}},
	{"OfRacingChangesOneWins", func(s *suite) {
		for round := range s.rounds {
			l := meta.Lease{Job: "race " + meta.NewID().String()}
			if round%2 == 1 {
				l = s.lease(0)
			}
			before := l.Rev
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					next := l
					next.Rev, next.Holder = before+1, string(rune('p'+i))
					err := s.PutLease(s.ctx, next, before)
					if err == nil {
						won.Add(1)
					} else if !errors.Is(err, meta.ErrConflict) {
						s.Error(err)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				s.Fatalf("%d of the racing changes were made", won.Load())
			}
		}
	}},
}
