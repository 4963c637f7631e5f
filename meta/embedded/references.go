package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

func refKey(b meta.QueuedBlob) []byte {
	return append(idKey(tableReference, b.Blob), b.Ref[:]...)
}

// AddReferences implements [meta.References]. It adds none unless all entries
// exist and are unclaimed.
func (s *Store) AddReferences(ctx context.Context, entries []meta.QueueEntry, homes []meta.QueuedBlob) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("add references to blobs: %w", err)
	}
	defer s.leave()
	if len(entries) == 0 {
		return errors.New("add references to blobs: no queue entry names the change")
	}
	defer s.entries.rlockAll(queueKeys(entries))()
	if err := s.checkGuard(entries); err != nil {
		return fmt.Errorf("add references to blobs: %w", err)
	}
	return s.applySync(refKey(entries[0].Blob), func(b *pebble.Batch) error {
		for _, e := range entries {
			if err := setRow(b, refKey(e.Blob), e.Blob); err != nil {
				return err
			}
		}
		for _, home := range homes {
			if err := setRow(b, refKey(home), home); err != nil {
				return err
			}
		}
		return nil
	})
}

// References implements [meta.References].
func (s *Store) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("references to blob %s: %w", b.Blob, err)
	}
	defer s.leave()
	var found []meta.QueuedBlob
	prefix := idKey(tableReference, b.Blob)
	err := s.iterate(ctx, prefix, after(prefix), func(_, value []byte) (bool, error) {
		var r meta.QueuedBlob
		err := meta.Unmarshal(value, &r)
		found = append(found, r)
		return true, err
	})
	if err != nil {
		return nil, fmt.Errorf("references to blob %s: %w", b.Blob, err)
	}
	return found, nil
}

// RemoveReference implements [meta.References].
func (s *Store) RemoveReference(ctx context.Context, b meta.QueuedBlob) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("remove a reference to blob %s: %w", b.Blob, err)
	}
	defer s.leave()
	return s.applySync(refKey(b), func(batch *pebble.Batch) error { return batch.Delete(refKey(b), nil) })
}
