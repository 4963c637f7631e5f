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

// known returns the slots on record.
func known(t *testing.T, s *Store) int {
	t.Helper()
	slots, err := s.knownSlots(t.Context(), maxSlot)
	must(t, err)
	return len(slots)
}

// rest makes believe that s saw its empty slots long ago.
func rest(s *Store) {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	for slot := range s.slots.empty {
		s.slots.empty[slot] = time.Now().Add(-2 * slotRest)
	}
	s.slots.touched = nil
}

func TestEmptySlotsRetireUnlessSomebodyUsesThem(t *testing.T) {
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
	due(0) // seen empty
	rest(s)
	late := queued(past)
	must(t, other.Enqueue(ctx, late)) // which touches the slot
	must(t, other.Drop(ctx, late))
	due(0)
	if n := known(t, s); n != 1 {
		t.Fatalf("%d slots on record while another gateway uses one", n)
	}
	rest(s)
	due(0)
	if n := known(t, s); n != 0 {
		t.Fatalf("%d slots on record after all have rested", n)
	}
	must(t, s.Enqueue(ctx, queued(past)))
	due(1)
}

func TestClaimsOfDroppedEntriesBringNothingBack(t *testing.T) {
	stores, _ := gateways(t, 1, Options{})
	s := stores[0]
	ctx := t.Context()
	e := queued(time.Now().Add(-time.Hour))
	must(t, s.markSlot(ctx, placeOf(e).slot))
	must(t, s.Claim(ctx, e)) // as if its tombstone were gone already
	if err := s.checkGuards(ctx, []meta.QueueEntry{e}); !errors.Is(err, meta.ErrClaimed) {
		t.Errorf("half an entry as a guard: %v", err)
	}
	visits := 0
	must(t, s.Walk(ctx, meta.Share{Of: 1}, meta.Visitor{QueueEntry: func(meta.QueueEntry) error { visits++; return nil }}))
	found, err := s.Due(ctx, time.Now(), 1)
	must(t, err)
	if visits != 0 || len(found) != 0 {
		t.Errorf("half an entry was visited %d times and due as %v", visits, found)
	}
	rows, err := s.queuedAfter(ctx, place{slot: placeOf(e).slot, part: placeOf(e).part}, math.MaxInt64, 10)
	must(t, err)
	if len(rows) != 0 {
		t.Errorf("half an entry is left: %v", rows)
	}
}
