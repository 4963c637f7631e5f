package embedded

import (
	"context"
	"fmt"
	"slices"

	"github.com/pithos/pithos/meta"
)

// Scan implements [meta.Listings]. A scan of all keys reads heads, not versions.
func (s *Store) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	var entries []meta.Entry
	table := byte(tableCurrent)
	if o.All {
		table = tableHead
	}
	more, err := s.page(ctx, table, bucket, o, func(key string, value []byte) error {
		if len(entries) == cap(entries) { // append would grow, and copy, several times as often
			entries = slices.Grow(entries, min(max(16, 3*len(entries)), o.Limit-len(entries)))
		}
		entries = append(entries, meta.Entry{Key: key})
		e := &entries[len(entries)-1]
		if o.All {
			h, err := decodeHead(value)
			if err != nil {
				return err
			}
			if h.entry == nil {
				e.HasOlderVersions = true
				return nil
			}
			value = h.entry
		}
		return meta.Unmarshal(value, e)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list the keys from %q on: %w", o.From, err)
	}
	return entries, more, nil
}

// page visits the rows of a table for the keys that o asks for, and tells
// whether another one follows. It returns when every change that it may have
// read is on the disk.
func (s *Store) page(ctx context.Context, table byte, bucket meta.BucketID, o meta.ScanOptions, visit func(key string, value []byte) error) (more bool, err error) {
	if err := meta.CheckText(o.From, o.To); err != nil {
		return false, err
	}
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	lo, hi := keyRange(table, bucket, o.From, o.To)
	last, n := o.To, 0
	if string(lo) >= string(hi) {
		return false, nil
	}
	err = s.iterate(ctx, lo, hi, func(k, value []byte) (bool, error) {
		key := string(k[1+idLen:])
		if n >= o.Limit {
			more, last = true, key
			return false, nil
		}
		n++
		return true, visit(key, value)
	})
	if err != nil {
		return false, err
	}
	lo, hi = keyRange(tableHead, bucket, o.From, last)
	return more, s.flights.wait(ctx, lo, hi)
}
