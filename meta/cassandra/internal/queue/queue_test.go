package queue

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// openQueues opens the queue of a fresh keyspace in two gateways.
func openQueues(t *testing.T) (s, other *Queue) {
	c, keyspace := cqltest.NewKeyspace(t)
	db := cqltest.NewDB(t, cqltest.NewSession(t, c, keyspace), keyspace)
	return New(db), New(db)
}

func queued(due time.Time) meta.QueueEntry {
	return meta.QueueEntry{Due: due.UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed, Blob: meta.QueuedBlob{Blob: meta.NewID(), Key: "k"}}
}

// timeBucketCount returns the number of time buckets in the index.
func timeBucketCount(t *testing.T, s *Queue) int {
	t.Helper()
	buckets, err := s.timeBuckets(t.Context(), maxTimeBucket)
	cqltest.Must(t, err)
	return len(buckets)
}

// forgetMarks makes s believe that it found its empty time buckets long ago.
func forgetMarks(s *Queue) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	for b := range s.index.empty {
		s.index.empty[b] = time.Now().Add(-2 * idleTime)
	}
	s.index.marked = nil
}

func TestEmptyTimeBucketsAreRemovedUnlessUsed(t *testing.T) {
	s, other := openQueues(t)
	ctx := t.Context()
	past := time.Now().Add(-24 * time.Hour)
	due := func(want int) {
		t.Helper()
		found, err := s.Due(ctx, time.Now(), 10)
		cqltest.Must(t, err)
		if len(found) != want {
			t.Fatalf("%d entries are due, want %d", len(found), want)
		}
	}
	e := queued(past)
	cqltest.Must(t, s.Enqueue(ctx, e))
	due(1)
	cqltest.Must(t, s.Drop(ctx, e))
	due(0) // found empty
	forgetMarks(s)
	late := queued(past)
	cqltest.Must(t, other.Enqueue(ctx, late)) // marks the time bucket active
	cqltest.Must(t, other.Drop(ctx, late))
	due(0)
	if n := timeBucketCount(t, s); n != 1 {
		t.Fatalf("%d time buckets in the index while another gateway uses one", n)
	}
	forgetMarks(s)
	due(0)
	if n := timeBucketCount(t, s); n != 0 {
		t.Fatalf("%d time buckets in the index after all were idle", n)
	}
	cqltest.Must(t, s.Enqueue(ctx, queued(past)))
	due(1)
}

func TestClaimOfDroppedEntryRestoresNothing(t *testing.T) {
	s, _ := openQueues(t)
	ctx := t.Context()
	e := queued(time.Now().Add(-time.Hour))
	cqltest.Must(t, s.markActive(ctx, keyOf(e).bucket))
	cqltest.Must(t, s.Claim(ctx, e)) // as if the tombstone had been purged already
	if err := s.CheckGuards(ctx, []meta.QueueEntry{e}); !errors.Is(err, meta.ErrClaimed) {
		t.Errorf("a claim without its entry as a guard: %v", err)
	}
	visits := 0
	cqltest.Must(t, s.WalkEntries(ctx, meta.Share{Of: 1}, func(meta.QueueEntry) error { visits++; return nil }))
	found, err := s.Due(ctx, time.Now(), 1)
	cqltest.Must(t, err)
	if visits != 0 || len(found) != 0 {
		t.Errorf("a claim without its entry was visited %d times and due as %v", visits, found)
	}
	rows, err := s.entriesAfter(ctx, entryKey{bucket: keyOf(e).bucket, part: keyOf(e).part}, math.MaxInt64, 10)
	cqltest.Must(t, err)
	if len(rows) != 0 {
		t.Errorf("a claim without its entry is left: %v", rows)
	}
}
