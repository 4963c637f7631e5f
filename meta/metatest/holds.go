package metatest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pithos/pithos/meta"
)

// hold adds a hold that is removed with the test.
func (s *suite) hold(h meta.Hold) meta.Hold {
	s.Helper()
	h.ID, h.Rev = meta.NewID(), 1
	s.ok(s.AddHold(s.ctx, h))
	s.Cleanup(func() {
		if now, ok := s.holdOf(context.Background(), h.ID); ok {
			_ = s.RemoveHold(context.Background(), h.ID, now.Rev)
		}
	})
	return h
}

// holdOf returns the hold of that ID; others may have holds of their own.
func (s *suite) holdOf(ctx context.Context, id meta.ID) (meta.Hold, bool) {
	s.Helper()
	all, err := s.ListHolds(ctx)
	s.ok(err)
	i := slices.IndexFunc(all, func(h meta.Hold) bool { return h.ID == id })
	if i < 0 {
		return meta.Hold{}, false
	}
	return all[i], true
}

var holdContracts = []contract{
	{"KeepsEveryFieldAndReplaces", func(s *suite) {
		h := s.hold(meta.Hold{Left: 90 * time.Minute, Reason: "nightly \x00 \u00ff \U0001F4BE", Began: 1e15})
		got, _ := s.holdOf(s.ctx, h.ID)
		s.equal("hold", got, h)
		h = meta.Hold{ID: h.ID, Rev: 7}
		s.ok(s.UpdateHold(s.ctx, h, 1))
		got, _ = s.holdOf(s.ctx, h.ID)
		s.equal("replaced hold", got, h)
		s.is(s.AddHold(s.ctx, h), meta.ErrExists)
	}},
	{"ChangesNeedTheRevision", func(s *suite) {
		h := s.hold(meta.Hold{Left: time.Minute})
		later := h
		later.Rev, later.Left = 2, time.Second
		late := later
		late.Rev = 10
		s.is(s.UpdateHold(s.ctx, late, 9), meta.ErrConflict)
		s.is(s.RemoveHold(s.ctx, h.ID, 9), meta.ErrConflict)
		got, _ := s.holdOf(s.ctx, h.ID)
		s.equal("hold", got, h)
		s.ok(s.RemoveHold(s.ctx, h.ID, h.Rev))
		if _, ok := s.holdOf(s.ctx, h.ID); ok {
			s.Fatal("a removed hold is listed")
		}
		s.is(s.UpdateHold(s.ctx, later, h.Rev), meta.ErrNotFound)
		s.is(s.RemoveHold(s.ctx, h.ID, h.Rev), meta.ErrNotFound)
	}},
	{"ListIsOrderedByID", func(s *suite) {
		for range 3 {
			s.hold(meta.Hold{Left: time.Minute})
		}
		all, err := s.ListHolds(s.ctx)
		s.ok(err)
		if !slices.IsSortedFunc(all, func(a, b meta.Hold) int { return slices.Compare(a.ID[:], b.ID[:]) }) {
			s.Fatalf("out of order: %v", all)
		}
	}},
	{"OfRacingChangesOneWins", func(s *suite) {
		for range s.rounds {
			h := s.hold(meta.Hold{Left: time.Minute})
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					next := h
					next.Rev, next.Left = 2, time.Duration(i)
					err := s.UpdateHold(s.ctx, next, h.Rev)
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
