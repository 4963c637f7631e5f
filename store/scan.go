package store

import (
	"context"
	"slices"

	"github.com/pithos/pithos/meta"
)

// scan is meta.Scan, without keys that were renamed.
func (s *Store) scan(ctx context.Context, b *meta.Bucket, from, to string, limit int) ([]meta.Entry, bool, error) {
	for {
		entries, more, err := s.meta.Scan(ctx, b.ID, meta.ScanOptions{From: from, To: to, Limit: limit})
		if err != nil || !slices.ContainsFunc(entries, func(e meta.Entry) bool { return e.Moving }) {
			return entries, more, err
		}
		shown := entries[:0:0]
		for _, e := range entries {
			if e.Moving {
				h, err := s.read(ctx, b, e.Key, meta.ReadOptions{})
				if err != nil {
					return nil, false, err
				}
				cur := h.Current()
				if cur == nil || cur.DeleteMarker {
					continue
				}
				e = *meta.EntryOf(e.Key, cur)
			}
			shown = append(shown, e)
		}
		if len(shown) > 0 || !more {
			return shown, more, nil
		}
		from = entries[len(entries)-1].Key + "\x00"
	}
}

// scanAll scans all keys. Of keys that may have been renamed it returns no
// version.
func (s *Store) scanAll(ctx context.Context, b *meta.Bucket, from, to string, limit int) ([]meta.Entry, bool, error) {
	entries, more, err := s.meta.Scan(ctx, b.ID, meta.ScanOptions{From: from, To: to, Limit: limit, All: true})
	for i, e := range entries {
		if e.Moving {
			entries[i] = meta.Entry{Key: e.Key, HasOlderVersions: true}
		}
	}
	return entries, more, err
}

// withoutRenamed leaves out of a page of a key's versions the one that was
// renamed to another key.
func (s *Store) withoutRenamed(ctx context.Context, b *meta.Bucket, key string, page []meta.Entry) ([]meta.Entry, error) {
	marked := func(e meta.Entry) bool { return e.Moving }
	i := slices.IndexFunc(page, marked)
	if i < 0 {
		return page, nil
	}
	h, err := s.read(ctx, b, key, meta.ReadOptions{Seq: page[i].Seq})
	if err != nil || h.Named != nil {
		return page, err
	}
	return slices.DeleteFunc(slices.Clone(page), marked), nil
}
