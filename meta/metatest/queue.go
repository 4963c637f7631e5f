package metatest

import (
	"context"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

// farLimit is larger than what other tests leave in the queue.
const farLimit = 10000

var queueContracts = []contract{
	{"DueEntriesAreFound", testDue},
	{"ClaimedEntriesAreFoundAsSuch", func(s *suite) {
		e := s.enqueue(time.Now())
		s.ok(s.Claim(s.ctx, e))
		s.ok(s.Claim(s.ctx, e))
		e.Claimed = true
		s.equal("due", s.due(e.Due, e), []meta.QueueEntry{e})
	}},
	{"EnqueueIgnoresClaimed", func(s *suite) {
		e := meta.QueueEntry{Due: time.Now().UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed, Claimed: true}
		s.ok(s.Enqueue(s.ctx, e))
		defer func() { s.ok(s.Drop(s.ctx, e)) }()
		e.Claimed = false
		s.equal("due", s.due(e.Due, e), []meta.QueueEntry{e})
	}},
	{"DroppedEntriesAreGone", func(s *suite) {
		a, b, c := s.enqueue(time.Now()), s.enqueue(time.Now()), s.enqueue(time.Now().Add(time.Hour))
		s.ok(s.Drop(s.ctx, a, c))
		s.ok(s.Drop(s.ctx, a))
		s.ok(s.Drop(s.ctx))
		s.equal("due", s.due(c.Due, a, b, c), []meta.QueueEntry{b})
	}},
}

// enqueue adds an entry with every field set; it is dropped after the test.
func (s *suite) enqueue(due time.Time) meta.QueueEntry {
	s.Helper()
	e := meta.QueueEntry{
		Due: due.UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed,
		Blob: full[meta.QueuedBlob](),
	}
	e.Blob.Blob = meta.NewID()
	s.ok(s.Enqueue(s.ctx, e))
	s.dropAfter(e)
	return e
}

func (s *suite) dropAfter(e meta.QueueEntry) {
	store := s.Store
	s.Cleanup(func() { _ = store.Drop(context.Background(), e) })
}

// due returns those of the entries given that are due, as the queue has them.
func (s *suite) due(now time.Time, mine ...meta.QueueEntry) []meta.QueueEntry {
	s.Helper()
	found, err := s.Due(s.ctx, now, farLimit)
	s.ok(err)
	return only(found, mine)
}

func only(found, mine []meta.QueueEntry) []meta.QueueEntry {
	return slices.DeleteFunc(found, func(f meta.QueueEntry) bool {
		return !slices.ContainsFunc(mine, func(e meta.QueueEntry) bool { return e.Entry == f.Entry })
	})
}

func testDue(s *suite) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	late := s.enqueue(now)
	early := s.enqueue(now.Add(-2 * time.Hour))
	never := s.enqueue(now.Add(time.Microsecond))
	s.equal("due now", s.due(now, late, early, never), []meta.QueueEntry{early, late})
	s.equal("due before", s.due(now.Add(-time.Microsecond), late, early, never), []meta.QueueEntry{early})
	s.equal("due later", len(s.due(now.Add(time.Hour), late, early, never)), 3)
	some, err := s.Due(s.ctx, now, 1)
	s.ok(err)
	s.equal("entries for a limit of 1", len(some), 1)
	s.ok(s.Enqueue(s.ctx))
}
