package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// queueRow is the stored form of a queue entry, without its name.
type queueRow struct {
	Kind    meta.QueueKind  `cbor:"1,keyasint"`
	Claimed bool            `cbor:"2,keyasint,omitempty"`
	Blob    meta.QueuedBlob `cbor:"3,keyasint"`
}

func queueKey(e meta.QueueEntry) []byte { return timeKey(tableQueue, e.Due, e.Entry) }

// queueKeys are the names under which queue entries are locked.
func queueKeys(entries []meta.QueueEntry) [][]byte {
	names := make([][]byte, len(entries))
	for i, e := range entries {
		names[i] = queueKey(e)
	}
	return names
}

func decodeQueueEntry(key, value []byte) (meta.QueueEntry, error) {
	var row queueRow
	if err := meta.Unmarshal(value, &row); err != nil {
		return meta.QueueEntry{}, err
	}
	e := meta.QueueEntry{Kind: row.Kind, Claimed: row.Claimed, Blob: row.Blob}
	e.Due, e.Entry = timeOf(key)
	return e, nil
}

// Enqueue implements [meta.Queue].
func (s *Store) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("queue blobs: %w", err)
	}
	defer s.leave()
	if len(entries) == 0 {
		return nil
	}
	return s.applySync(queueKey(entries[0]), func(b *pebble.Batch) error {
		for _, e := range entries {
			if err := setRow(b, queueKey(e), queueRow{Kind: e.Kind, Blob: e.Blob}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Due implements [meta.Queue].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("due blobs: %w", err)
	}
	defer s.leave()
	var due []meta.QueueEntry
	hi := timeKey(tableQueue, now.Add(time.Microsecond), meta.ID{})
	err := s.iterate(ctx, []byte{tableQueue}, hi, func(key, value []byte) (bool, error) {
		if len(due) >= limit {
			return false, nil
		}
		e, err := decodeQueueEntry(key, value)
		due = append(due, e)
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("due blobs: %w", err)
	}
	return due, nil
}

// Claim implements [meta.Queue].
func (s *Store) Claim(ctx context.Context, e meta.QueueEntry) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("claim entry %s: %w", e.Entry, err)
	}
	defer s.leave()
	key := queueKey(e)
	defer s.entries.lock(key)()
	var row queueRow
	if err := s.getRow(key, &row); err != nil {
		return fmt.Errorf("claim entry %s: %w", e.Entry, err)
	}
	if row.Claimed {
		return nil
	}
	row.Claimed = true
	return s.applySync(key, func(b *pebble.Batch) error { return setRow(b, key, row) })
}

// checkGuard returns ErrClaimed unless all entries exist and are unclaimed; the
// caller holds their locks until its change is made.
func (s *Store) checkGuard(entries []meta.QueueEntry) error {
	for _, e := range entries {
		var row queueRow
		err := s.getRow(queueKey(e), &row)
		if errors.Is(err, meta.ErrNotFound) || err == nil && row.Claimed {
			return fmt.Errorf("entry %s: %w", e.Entry, meta.ErrClaimed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Drop implements [meta.Queue]. It does not sync: an entry that is back after a
// crash is claimed as before, and the collector checks it again.
func (s *Store) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("drop queue entries: %w", err)
	}
	defer s.leave()
	defer s.entries.lockAll(queueKeys(entries))()
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }() // an applied batch has nothing to lose
	for _, e := range entries {
		if err := b.Delete(queueKey(e), nil); err != nil {
			return err
		}
	}
	if err := s.db.Apply(b, pebble.NoSync); err != nil {
		return fmt.Errorf("drop queue entries: %w", err)
	}
	return nil
}
