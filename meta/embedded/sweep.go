package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// sweepPage is the number of rows that a sweep collects before it removes them.
const sweepPage = 1000

// Sweep removes expired rows: revisions of removed keys after Options.Remember,
// and uploads Options.RememberUploads after ForgetUpload. It returns how many. A
// caller runs it now and then, about once an hour. It does not sync: rows that are
// back after a crash are removed again. Calls must not run concurrently.
func (s *Store) Sweep(ctx context.Context) (removed int, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	defer s.leave()
	gone, err := s.sweepGone(ctx)
	uploads, uploadsErr := s.sweepUploads(ctx)
	if err = errors.Join(err, uploadsErr); err != nil {
		err = fmt.Errorf("sweep: %w", err)
	}
	return gone + uploads, err
}

func (s *Store) sweepGone(ctx context.Context) (int, error) {
	before := s.steadyNow().Add(-s.opts.Remember)
	return s.sweepTable(ctx, []byte{tableGone}, []byte{tableGone + 1},
		func(_, value []byte) bool {
			_, since, err := decodeGone(value)
			return err == nil && since.Before(before)
		},
		func(key []byte) error { return s.forgetRev(key, before) })
}

// forgetRev raises the floor to the revision of a removed key and drops its row, if
// that still is as old. The key is locked, so no call sees the one change without
// the other.
func (s *Store) forgetRev(key []byte, before time.Time) error {
	name := bytes.Clone(key)
	name[0] = tableHead
	defer s.keys.lock(name)()
	v, err := s.get(key)
	if errors.Is(err, meta.ErrNotFound) {
		return nil // the key was created again
	}
	if err != nil {
		return err
	}
	rev, since, err := decodeGone(v)
	if err != nil || !since.Before(before) {
		return err
	}
	s.floor.Store(max(rev, s.floor.Load())) // only this goroutine writes it
	floor := binary.BigEndian.AppendUint64(nil, uint64(s.floor.Load()))
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }() // an applied batch has nothing to lose
	if err := errors.Join(b.Set([]byte(floorKey), floor, nil), b.Delete(key, nil)); err != nil {
		return err
	}
	return s.db.Apply(b, pebble.NoSync)
}

func (s *Store) sweepUploads(ctx context.Context) (int, error) {
	hi := timeKey(tableForget, s.steadyNow(), meta.ID{})
	return s.sweepTable(ctx, []byte{tableForget}, hi,
		func(_, _ []byte) bool { return true },
		func(key []byte) error {
			_, id := timeOf(key)
			defer s.uploads.lock(id[:])()
			b := s.db.NewBatch()
			defer func() { _ = b.Close() }() // an applied batch has nothing to lose
			if err := errors.Join(b.Delete(idKey(tableUpload, id), nil), b.Delete(key, nil)); err != nil {
				return err
			}
			return s.db.Apply(b, pebble.NoSync)
		})
}

// sweepTable calls remove for the rows of a range that are old, page by page,
// so that no iterator stays open for long. It returns how many there were.
func (s *Store) sweepTable(ctx context.Context, lo, hi []byte, old func(key, value []byte) bool, remove func(key []byte) error) (removed int, err error) {
	for {
		var page [][]byte
		err := s.iterate(ctx, lo, hi, func(key, value []byte) (bool, error) {
			if old(key, value) {
				page = append(page, bytes.Clone(key))
			}
			return len(page) < sweepPage, nil
		})
		if err != nil || len(page) == 0 {
			return removed, err
		}
		for _, key := range page {
			if err := remove(key); err != nil {
				return removed, err
			}
			removed++
		}
		lo = append(page[len(page)-1], 0)
	}
}
