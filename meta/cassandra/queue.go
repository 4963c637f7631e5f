package cassandra

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

// An entry is written once, claimed once and dropped once, so its timestamps
// are three that follow its due time, which is part of its name: whatever
// arrives late or twice, a dropped entry stays dropped.
const (
	putQueued   = `INSERT INTO @.gc (slot, part, due, entry, kind, doc) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	claimQueued = `UPDATE @.gc USING TIMESTAMP ? SET claimed = true WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	dropQueued  = `DELETE FROM @.gc USING TIMESTAMP ? WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	readQueued  = `SELECT claimed, doc FROM @.gc WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	dueQueued   = `SELECT due, entry, kind, claimed, doc FROM @.gc WHERE slot = ? AND part = ? AND (due, entry) > (?, ?) AND (due) <= (?) LIMIT ?`
)

const (
	// queueSlot is the time that the entries of one slot are due in, in
	// microseconds. At 1,000 entries a second a partition gets 19,000 of them.
	queueSlot  = int64(5 * time.Minute / time.Microsecond)
	queueParts = 16
)

// place is where an entry lies.
type place struct {
	slot  int64
	part  int8
	due   int64
	entry meta.ID
}

func placeOf(e meta.QueueEntry) place {
	due := e.Due.UnixMicro()
	return place{slot: slotOf(due), part: int8(e.Entry[0] % queueParts), due: due, entry: e.Entry}
}

func slotOf(due int64) int64 {
	slot := due / queueSlot
	if due%queueSlot < 0 {
		slot--
	}
	return slot
}

func (p *place) key() []any { return []any{p.slot, p.part, p.due, p.entry[:]} }

// Enqueue implements [meta.Queue]. The slot is on record before its entries.
func (s *Store) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	type partition struct {
		slot int64
		part int8
	}
	batches := map[partition][]gocql.BatchEntry{}
	for _, e := range entries {
		doc, err := meta.Marshal(e.Blob)
		if err != nil {
			return err
		}
		p := placeOf(e)
		to := partition{p.slot, p.part}
		batches[to] = append(batches[to], entry(putQueued, append(p.key(), string(e.Kind), doc, p.due)...))
	}
	for to := range batches {
		if err := s.markSlot(ctx, to.slot); err != nil {
			return wrap(err, "enqueue blobs")
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(resolveAtOnce)
	for _, batch := range batches {
		for part := range slices.Chunk(batch, 100) {
			g.Go(func() error { return s.writes(gctx, part) })
		}
	}
	return wrap(g.Wait(), "enqueue blobs")
}

// Due implements [meta.Queue].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	slots, err := s.knownSlots(ctx, slotOf(now.UnixMicro()))
	if err != nil {
		return nil, wrap(err, "read due queue entries")
	}
	var due []meta.QueueEntry
	for _, slot := range slots {
		found, err := s.dueOfSlot(ctx, slot, now, limit)
		if err != nil {
			return nil, wrap(err, "read due queue entries")
		}
		if len(found) == 0 && (slot.slot+1)*queueSlot <= now.UnixMicro() {
			if err := s.retireSlot(ctx, slot); err != nil {
				return nil, wrap(err, "retire queue slot")
			}
		}
		if due = append(due, found...); len(due) >= limit {
			return due[:limit], nil
		}
	}
	return due, nil
}

// dueOfSlot reads a slot's entries that are due, the oldest first.
func (s *Store) dueOfSlot(ctx context.Context, slot knownSlot, now time.Time, limit int) ([]meta.QueueEntry, error) {
	var parts [queueParts][]meta.QueueEntry
	g, gctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() (err error) {
			start := place{slot: slot.slot, part: int8(i), due: slot.slot * queueSlot}
			parts[i], err = s.queuedAfter(gctx, start, now.UnixMicro(), limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(parts[:]...)
	if err := s.dropHalves(ctx, all); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, isHalf)
	slices.SortFunc(all, func(a, b meta.QueueEntry) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Entry[:], b.Entry[:]))
	})
	return all[:min(len(all), limit)], nil
}

// isHalf tells the row that is left where a claim arrived after its entry was
// dropped and the tombstone gone: it counts as absent.
func isHalf(e meta.QueueEntry) bool { return e.Kind == "" }

func (s *Store) dropHalves(ctx context.Context, entries []meta.QueueEntry) error {
	for _, e := range entries {
		if isHalf(e) {
			if err := s.Drop(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// queuedAfter reads up to limit rows of one partition that follow after,
// halves among them.
func (s *Store) queuedAfter(ctx context.Context, after place, last int64, limit int) ([]meta.QueueEntry, error) {
	var found []meta.QueueEntry
	err := s.each(ctx, s.o.Consistency, limit, func(row gocql.Scanner) error {
		var due int64
		var entry, doc []byte
		var kind string
		e := meta.QueueEntry{}
		if err := row.Scan(&due, &entry, &kind, &e.Claimed, &doc); err != nil {
			return err
		}
		e.Due, e.Entry, e.Kind = time.UnixMicro(due).UTC(), idOf(entry), meta.QueueKind(kind)
		if doc != nil {
			if err := meta.Unmarshal(doc, &e.Blob); err != nil {
				return fmt.Errorf("queue entry %s: %w", e.Entry, err)
			}
		}
		found = append(found, e)
		return nil
	}, dueQueued, after.slot, after.part, after.due, after.entry[:], last, min(limit, maxLimit))
	return found, err
}

// Claim implements [meta.Queue].
func (s *Store) Claim(ctx context.Context, e meta.QueueEntry) error {
	p := placeOf(e)
	return wrap(s.write(ctx, claimQueued, append([]any{p.due + 1}, p.key()...)...), "claim queue entry")
}

// Drop implements [meta.Queue].
func (s *Store) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(resolveAtOnce)
	for _, e := range entries {
		p := placeOf(e)
		g.Go(func() error { return s.write(gctx, dropQueued, append([]any{p.due + 2}, p.key()...)...) })
	}
	return wrap(g.Wait(), "drop queue entries")
}

// checkGuards reads the entries that a change depends on.
func (s *Store) checkGuards(ctx context.Context, guards []meta.QueueEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(resolveAtOnce)
	for _, e := range guards {
		p := placeOf(e)
		g.Go(func() error {
			var claimed bool
			var doc []byte
			found, err := s.one(gctx, s.o.Consistency, []any{&claimed, &doc}, readQueued, p.key()...)
			if err == nil && (!found || doc == nil || claimed) {
				err = meta.ErrClaimed
			}
			return err
		})
	}
	return g.Wait()
}
