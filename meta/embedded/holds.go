package embedded

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// holdRow is the stored form of a hold, under its id.
type holdRow struct {
	Rev  int64     `cbor:"1,keyasint"`
	Hold meta.Hold `cbor:"2,keyasint"`
}

// AddHold implements [meta.Holds].
func (s *Store) AddHold(ctx context.Context, h meta.Hold) error {
	return s.changeHold(ctx, h.ID, func(key []byte, b *pebble.Batch) error {
		var row holdRow
		err := s.getRow(key, &row)
		if err == nil {
			return meta.ErrExists
		}
		if !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		return setRow(b, key, holdRow{h.Rev, h})
	})
}

// UpdateHold implements [meta.Holds].
func (s *Store) UpdateHold(ctx context.Context, h meta.Hold, ifRev int64) error {
	return s.changeHold(ctx, h.ID, func(key []byte, b *pebble.Batch) error {
		if h.Rev <= ifRev {
			return fmt.Errorf("revision %d does not follow %d", h.Rev, ifRev)
		}
		if err := s.checkHold(key, ifRev); err != nil {
			return err
		}
		return setRow(b, key, holdRow{h.Rev, h})
	})
}

// RemoveHold implements [meta.Holds].
func (s *Store) RemoveHold(ctx context.Context, id meta.ID, ifRev int64) error {
	return s.changeHold(ctx, id, func(key []byte, b *pebble.Batch) error {
		if err := s.checkHold(key, ifRev); err != nil {
			return err
		}
		return b.Delete(key, nil)
	})
}

// checkHold returns an error unless the row exists and has that revision.
func (s *Store) checkHold(key []byte, rev int64) error {
	var row holdRow
	if err := s.getRow(key, &row); err != nil {
		return err
	}
	if row.Rev != rev {
		return meta.ErrConflict
	}
	return nil
}

// changeHold writes a hold's row under the lock of its name.
func (s *Store) changeHold(ctx context.Context, id meta.ID, change func(key []byte, b *pebble.Batch) error) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("hold %s: %w", id, err)
	}
	defer s.leave()
	key := idKey(tableHold, id)
	defer s.names.lock(key)()
	if err := s.applySync(key, func(b *pebble.Batch) error { return change(key, b) }); err != nil {
		return fmt.Errorf("hold %s: %w", id, err)
	}
	return nil
}

// ListHolds implements [meta.Holds].
func (s *Store) ListHolds(ctx context.Context) ([]meta.Hold, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	defer s.leave()
	var holds []meta.Hold
	err := s.iterate(ctx, []byte{tableHold}, []byte{tableHold + 1}, func(key, value []byte) (bool, error) {
		var row holdRow
		if err := meta.Unmarshal(value, &row); err != nil {
			return false, err
		}
		h := row.Hold
		h.ID, h.Rev = meta.ID(key[1:]), row.Rev
		holds = append(holds, h)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list holds: %w", err)
	}
	return holds, nil
}
