package embedded

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// PutAccessKey implements [meta.AccessKeys].
func (s *Store) PutAccessKey(ctx context.Context, k meta.AccessKey) error {
	if err := meta.CheckText(k.ID); err != nil {
		return fmt.Errorf("put access key: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("put access key %q: %w", k.ID, err)
	}
	defer s.leave()
	key := nameKey(tableAccess, k.ID)
	defer s.names.lock(key)()
	return s.applySync(key, func(b *pebble.Batch) error { return setRow(b, key, k) })
}

// AccessKey implements [meta.AccessKeys].
func (s *Store) AccessKey(ctx context.Context, id string) (meta.AccessKey, error) {
	if meta.CheckText(id) != nil { // no access key has such an id
		return meta.AccessKey{}, fmt.Errorf("access key %.80q: %w", id, meta.ErrNotFound)
	}
	if err := s.enter(ctx); err != nil {
		return meta.AccessKey{}, fmt.Errorf("access key %q: %w", id, err)
	}
	defer s.leave()
	key := nameKey(tableAccess, id)
	defer s.names.rlock(key)()
	k := meta.AccessKey{ID: id}
	if err := s.getRow(key, &k); err != nil {
		return meta.AccessKey{}, fmt.Errorf("access key %q: %w", id, err)
	}
	return k, nil
}

// ListAccessKeys implements [meta.AccessKeys].
func (s *Store) ListAccessKeys(ctx context.Context) ([]meta.AccessKey, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list access keys: %w", err)
	}
	defer s.leave()
	var keys []meta.AccessKey
	lo, hi := []byte{tableAccess}, []byte{tableAccess + 1}
	err := s.iterate(ctx, lo, hi, func(key, value []byte) (bool, error) {
		k := meta.AccessKey{ID: string(key[1:])}
		if err := meta.Unmarshal(value, &k); err != nil {
			return false, err
		}
		keys = append(keys, k)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list access keys: %w", err)
	}
	return keys, s.flights.wait(ctx, lo, hi)
}

// DeleteAccessKey implements [meta.AccessKeys].
func (s *Store) DeleteAccessKey(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("delete access key %q: %w", id, err)
	}
	defer s.leave()
	key := nameKey(tableAccess, id)
	defer s.names.lock(key)()
	if _, err := s.get(key); err != nil {
		return fmt.Errorf("delete access key %q: %w", id, err)
	}
	return s.applySync(key, func(b *pebble.Batch) error { return b.Delete(key, nil) })
}
