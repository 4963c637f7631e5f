package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// The index of slots tells which may have entries. A process that writes
// into a slot touches its row first, with a fresh id, and again when its last
// touch is older than slotTouch. A slot is taken out of the index when it was
// found empty twice, slotRest apart, and nobody touched it in between. Since
// slotRest is much longer than slotTouch, whoever still writes would have
// touched it: both are measured by one process' own clock, which need not
// agree with any other's.
const (
	slotTouch = 10 * time.Minute
	slotRest  = 30 * time.Minute
	maxSlot   = math.MaxInt64 / queueSlot
)

const (
	touchSlot  = `UPDATE @.gc_slot SET touched = ? WHERE shelf = 0 AND slot = ? IF touched = ?`
	openSlot   = `UPDATE @.gc_slot SET touched = ? WHERE shelf = 0 AND slot = ? IF touched = null`
	removeSlot = `DELETE FROM @.gc_slot WHERE shelf = 0 AND slot = ? IF touched = ?`
	readSlot   = `SELECT touched FROM @.gc_slot WHERE shelf = 0 AND slot = ?`
	readSlots  = `SELECT slot, touched FROM @.gc_slot WHERE shelf = 0 AND slot > ? AND slot <= ? LIMIT ?`
)

// knownSlot is a row of the index.
type knownSlot struct {
	slot    int64
	touched meta.ID
}

// slotMarks is what this process knows of slots.
type slotMarks struct {
	mu      sync.Mutex
	touched map[int64]time.Time
	empty   map[knownSlot]time.Time // since when
}

func (m *slotMarks) fresh(slot int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.touched[slot]
	return ok && time.Since(at) < slotTouch
}

func (m *slotMarks) mark(slot int64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.touched == nil || len(m.touched) > 10_000 {
		m.touched = map[int64]time.Time{}
	}
	m.touched[slot] = at
}

// rested tells whether the slot was seen empty long enough ago.
func (m *slotMarks) rested(s knownSlot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.empty == nil || len(m.empty) > 10_000 {
		m.empty = map[knownSlot]time.Time{}
	}
	since, ok := m.empty[s]
	if !ok {
		m.empty[s] = time.Now()
	}
	return ok && time.Since(since) >= slotRest
}

func (m *slotMarks) forget(s knownSlot) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.empty, s)
}

// markSlot sees to it that the index has the slot.
func (s *Store) markSlot(ctx context.Context, slot int64) error {
	if s.slots.fresh(slot) {
		return nil
	}
	id := meta.NewID()
	for try := range tries {
		start := time.Now()
		var touched []byte
		if _, err := s.one(ctx, s.o.Consistency, []any{&touched}, readSlot, slot); err != nil {
			return err
		}
		change := entry(openSlot, id[:], slot)
		if touched != nil {
			change = entry(touchSlot, id[:], slot, touched)
		}
		applied, err := s.cas(ctx, change)
		if applied {
			s.slots.mark(slot, start)
			return nil
		}
		if errors.Is(err, errUnsent) {
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return fmt.Errorf("touch queue slot: %w", meta.ErrUnavailable)
}

// knownSlots returns the slots of the index up to last, in order.
func (s *Store) knownSlots(ctx context.Context, last int64) ([]knownSlot, error) {
	var slots []knownSlot
	after := int64(math.MinInt64)
	for {
		n := len(slots)
		err := s.each(ctx, s.o.Consistency, maxPage, func(row gocql.Scanner) error {
			var slot int64
			var touched []byte
			err := row.Scan(&slot, &touched)
			slots = append(slots, knownSlot{slot, idOf(touched)})
			return err
		}, readSlots, after, last, maxPage)
		if err != nil || len(slots)-n < maxPage {
			return slots, err
		}
		after = slots[len(slots)-1].slot
	}
}

// retireSlot takes a past slot that was just found without entries out of
// the index, if it was so before and nobody has touched it since.
func (s *Store) retireSlot(ctx context.Context, slot knownSlot) error {
	if !s.slots.rested(slot) {
		return nil
	}
	// Between the touch and now lies more than any touch is trusted for.
	found, err := s.dueOfSlot(ctx, slot, time.UnixMicro((slot.slot+1)*queueSlot), 1)
	if err != nil || len(found) > 0 {
		return err
	}
	_, err = s.cas(ctx, entry(removeSlot, slot.slot, slot.touched[:]))
	s.slots.forget(slot)
	return err
}
