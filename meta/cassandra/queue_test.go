package cassandra

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

func queued(due time.Time) meta.QueueEntry {
	return meta.QueueEntry{Due: due.UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed, Blob: meta.QueuedBlob{Blob: meta.NewID(), Key: "k"}}
}

// timeBucketCount returns the number of time buckets in the index.
func timeBucketCount(t *testing.T, s *Store) int {
	t.Helper()
	slots, err := s.timeBuckets(t.Context(), maxTimeBucket)
	must(t, err)
	return len(slots)
}

// forgetMarks makes s believe that it found its empty time buckets long ago.
func forgetMarks(s *Store) {
	s.timeBucketIndex.mu.Lock()
	defer s.timeBucketIndex.mu.Unlock()
	for slot := range s.timeBucketIndex.empty {
		s.timeBucketIndex.empty[slot] = time.Now().Add(-2 * idleTime)
	}
	s.timeBucketIndex.marked = nil
}

func TestEmptyTimeBucketsAreRemovedUnlessUsed(t *testing.T) {
	stores, _ := gateways(t, 2, Options{})
	s, other := stores[0], stores[1]
	ctx := t.Context()
	past := time.Now().Add(-24 * time.Hour)
	due := func(want int) {
		t.Helper()
		found, err := s.Due(ctx, time.Now(), 10)
		must(t, err)
		if len(found) != want {
			t.Fatalf("%d entries are due, want %d", len(found), want)
		}
	}
	e := queued(past)
	must(t, s.Enqueue(ctx, e))
	due(1)
	must(t, s.Drop(ctx, e))
	due(0) // found empty
	forgetMarks(s)
	late := queued(past)
	must(t, other.Enqueue(ctx, late)) // marks the time bucket active
	must(t, other.Drop(ctx, late))
	due(0)
	if n := timeBucketCount(t, s); n != 1 {
		t.Fatalf("%d time buckets in the index while another gateway uses one", n)
	}
	forgetMarks(s)
	due(0)
	if n := timeBucketCount(t, s); n != 0 {
		t.Fatalf("%d time buckets in the index after all were idle", n)
	}
	must(t, s.Enqueue(ctx, queued(past)))
	due(1)
}

func TestClaimOfDroppedEntryRestoresNothing(t *testing.T) {
	stores, _ := gateways(t, 1, Options{})
	s := stores[0]
	ctx := t.Context()
	e := queued(time.Now().Add(-time.Hour))
	must(t, s.markActive(ctx, keyOf(e).bucket))
	must(t, s.Claim(ctx, e)) // as if the tombstone had been purged already
	if err := s.checkGuards(ctx, []meta.QueueEntry{e}); !errors.Is(err, meta.ErrClaimed) {
		t.Errorf("a claim without its entry as a guard: %v", err)
	}
	visits := 0
	must(t, s.Walk(ctx, meta.Share{Of: 1}, meta.Visitor{QueueEntry: func(meta.QueueEntry) error { visits++; return nil }}))
	found, err := s.Due(ctx, time.Now(), 1)
	must(t, err)
	if visits != 0 || len(found) != 0 {
		t.Errorf("a claim without its entry was visited %d times and due as %v", visits, found)
	}
	rows, err := s.entriesAfter(ctx, entryKey{bucket: keyOf(e).bucket, part: keyOf(e).part}, math.MaxInt64, 10)
	must(t, err)
	if len(rows) != 0 {
		t.Errorf("a claim without its entry is left: %v", rows)
	}
}
