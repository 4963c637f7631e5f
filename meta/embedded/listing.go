package embedded

import (
	"context"
	"fmt"

	"github.com/pithos/pithos/meta"
)

// Scan implements [meta.Listings].
func (s *Store) Scan(ctx context.Context, bucket meta.BucketID, from, to string, limit int) ([]meta.Entry, bool, error) {
	var entries []meta.Entry
	more, err := s.page(ctx, tableCurrent, bucket, from, to, limit, func(key string, value []byte) error {
		e := meta.Entry{Key: key}
		if err := meta.Unmarshal(value, &e); err != nil {
			return err
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("list the keys from %q on: %w", from, err)
	}
	return entries, more, nil
}

// ScanAll implements [meta.Listings]. It passes over heads, not versions.
func (s *Store) ScanAll(ctx context.Context, bucket meta.BucketID, from, to string, limit int) ([]meta.KeyEntry, bool, error) {
	var keys []meta.KeyEntry
	more, err := s.page(ctx, tableHead, bucket, from, to, limit, func(key string, value []byte) error {
		h, err := decodeHead(value)
		if err != nil {
			return err
		}
		k := meta.KeyEntry{Key: key}
		if h.entry != nil {
			k.Entry = &meta.Entry{Key: key}
			if err := meta.Unmarshal(h.entry, k.Entry); err != nil {
				return err
			}
		}
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("list all keys from %q on: %w", from, err)
	}
	return keys, more, nil
}

// page visits up to limit rows of a table for keys of the bucket, and tells
// whether another one follows. It answers when all that it may have seen is
// on the disk.
func (s *Store) page(ctx context.Context, table byte, bucket meta.BucketID, from, to string, limit int, visit func(key string, value []byte) error) (more bool, err error) {
	if err := meta.CheckText(from, to); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	lo, hi := keyRange(table, bucket, from, to)
	last, n := to, 0
	if string(lo) >= string(hi) {
		return false, nil
	}
	err = s.each(ctx, lo, hi, func(k, value []byte) (bool, error) {
		key := string(k[1+idLen:])
		if n >= limit {
			more, last = true, key
			return false, nil
		}
		n++
		return true, visit(key, value)
	})
	if err != nil {
		return false, err
	}
	lo, hi = keyRange(tableHead, bucket, from, last)
	return more, s.flights.wait(ctx, lo, hi)
}
