package regional

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

// A queue entry is in the region of its key, whose changes it guards. So the
// region that an entry is found in tells where its bucket is or was, which
// nothing else does once the bucket is gone.

// queueOf returns the store for an entry. If the bucket is gone and its region
// is not remembered, any store will do: nothing refers to the blob any more.
func (s *Store) queueOf(ctx context.Context, e meta.QueueEntry) (meta.Store, error) {
	store, err := s.find(ctx, e.Blob.Bucket)
	if errors.Is(err, meta.ErrBucketGone) {
		return s.home, nil
	}
	return store, err
}

// byRegion calls do for each region's part of entries, in parallel.
func (s *Store) byRegion(ctx context.Context, entries []meta.QueueEntry, do func(context.Context, meta.Store, []meta.QueueEntry) error) error {
	parts := map[meta.Store][]meta.QueueEntry{}
	for _, e := range entries {
		store, err := s.queueOf(ctx, e)
		if err != nil {
			return err
		}
		parts[store] = append(parts[store], e)
	}
	g, gctx := errgroup.WithContext(ctx)
	for store, part := range parts {
		g.Go(func() error { return do(gctx, store, part) })
	}
	return g.Wait()
}

// Enqueue implements [meta.Queue].
func (s *Store) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.byRegion(ctx, entries, func(ctx context.Context, store meta.Store, part []meta.QueueEntry) error {
		return store.Enqueue(ctx, part...)
	})
}

// Drop implements [meta.Queue].
func (s *Store) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.byRegion(ctx, entries, func(ctx context.Context, store meta.Store, part []meta.QueueEntry) error {
		return store.Drop(ctx, part...)
	})
}

// Due implements [meta.Queue]. It takes entries of all regions in turns, so that
// a region whose blobs cannot be deleted does not delay the others. It fails if
// a region does not answer and no other has a due entry.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	found, errs := make([][]meta.QueueEntry, len(s.stores)), make([]error, len(s.stores))
	var g errgroup.Group
	for i, store := range s.stores {
		g.Go(func() error { found[i], errs[i] = store.Due(ctx, now, limit); return nil })
	}
	_ = g.Wait() // the errors are in errs
	for i, entries := range found {
		for _, e := range entries {
			s.locations.put(e.Blob.Bucket, s.stores[i])
		}
	}
	due := inTurns(found, limit)
	if len(due) == 0 {
		return nil, errors.Join(errs...)
	}
	return due, nil
}

// inTurns takes up to limit entries from the lists in turns, each entry once
// (two regions may have one keyspace), and orders them by Due.
func inTurns(lists [][]meta.QueueEntry, limit int) []meta.QueueEntry {
	var due []meta.QueueEntry
	taken := map[meta.ID]bool{}
	for turn, more := 0, true; more && len(due) < limit; turn++ {
		more = false
		for _, list := range lists {
			if turn >= len(list) || len(due) >= limit {
				continue
			}
			more = true
			if e := list[turn]; !taken[e.Entry] {
				taken[e.Entry] = true
				due = append(due, e)
			}
		}
	}
	slices.SortFunc(due, func(a, b meta.QueueEntry) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Entry[:], b.Entry[:]))
	})
	return due
}

// Claim implements [meta.Queue].
func (s *Store) Claim(ctx context.Context, e meta.QueueEntry) error {
	store, err := s.queueOf(ctx, e)
	if err != nil {
		return err
	}
	return store.Claim(ctx, e)
}

// A reference is in the region of its key, as queue entries are. A blob is shared
// within one region only.

// AddReferences implements [meta.References].
func (s *Store) AddReferences(ctx context.Context, entries []meta.QueueEntry, homes []meta.QueuedBlob) error {
	parts := map[meta.Store][]meta.QueuedBlob{}
	for _, home := range homes {
		store, err := s.queueOf(ctx, meta.QueueEntry{Blob: home})
		if err != nil {
			return err
		}
		parts[store] = append(parts[store], home)
	}
	return s.byRegion(ctx, entries, func(ctx context.Context, store meta.Store, part []meta.QueueEntry) error {
		return store.AddReferences(ctx, part, parts[store])
	})
}

// References implements [meta.References].
func (s *Store) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	store, err := s.queueOf(ctx, meta.QueueEntry{Blob: b})
	if err != nil {
		return nil, err
	}
	found, err := store.References(ctx, b)
	for _, r := range found {
		s.locations.put(r.Bucket, store)
	}
	return found, err
}

// RemoveReference implements [meta.References].
func (s *Store) RemoveReference(ctx context.Context, b meta.QueuedBlob) error {
	store, err := s.queueOf(ctx, meta.QueueEntry{Blob: b})
	if err != nil {
		return err
	}
	return store.RemoveReference(ctx, b)
}
