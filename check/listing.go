package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// keyRange is a range of a bucket's keys: from from on and below to, or to the end
// if to is "".
type keyRange struct {
	bucket   *meta.Bucket
	from, to string
}

// rangeKeys is the approximate number of keys of a range. Tests set it.
var rangeKeys = 20_000

// compareListings compares the listings with the heads.
func (c *checker) compareListings(ctx context.Context) error {
	ranges, err := c.keyRanges()
	if err != nil {
		return err
	}
	return c.shares(ctx, phaseListing, len(ranges), func(ctx context.Context, share int, k *sink) error {
		return c.compareRange(ctx, k, ranges[share])
	})
}

// keyRanges cuts the buckets into ranges of about equal size. The stored heads do
// not change any more, so a check that is resumed computes the same ranges.
func (c *checker) keyRanges() ([]keyRange, error) {
	ids := slices.SortedFunc(maps.Keys(c.buckets), func(a, b meta.BucketID) int { return slices.Compare(a[:], b[:]) })
	var ranges []keyRange
	for _, id := range ids {
		if !c.concerns(id) {
			continue
		}
		r, n := keyRange{bucket: c.buckets[id]}, 0
		lo := headKey(id, "")
		err := c.state.each(lo, after(lo), func(key, _ []byte) error {
			if n++; n%rangeKeys == 0 {
				r.to = string(key[17:])
				ranges = append(ranges, r)
				r.from, r.to = r.to, ""
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// compareRange compares one range: the current versions and, if any key has others,
// all keys.
func (c *checker) compareRange(ctx context.Context, k *sink, r keyRange) error {
	odd := map[string]bool{}
	several, err := c.compareVisible(ctx, k, r, odd)
	if err != nil {
		return err
	}
	if several || r.bucket.Config.Versioning != "" {
		if err := c.compareAll(ctx, r, odd); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(odd)) {
		if err := c.confirmKey(ctx, r.bucket, key); err != nil {
			return err
		}
	}
	return nil
}

// heads iterates over the heads of a range, in parallel to a listing of it.
type heads struct {
	it  *pebble.Iterator
	row headRow
	ok  bool
}

func (s *state) heads(r keyRange) (*heads, error) {
	lo, hi := headKey(r.bucket.ID, r.from), after(headKey(r.bucket.ID, ""))
	if r.to != "" {
		hi = headKey(r.bucket.ID, r.to)
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return nil, err
	}
	h := &heads{it: it}
	h.take(it.First())
	return h, nil
}

func (h *heads) take(ok bool) {
	if h.ok = ok; ok {
		h.row = decodeHead(h.it.Key(), h.it.Value())
	}
}

// to advances to key, and calls passed for the heads before it. It returns the head
// of key, if there is one.
func (h *heads) to(key string, end bool, passed func(*headRow)) *headRow {
	for ; h.ok && (end || h.row.key < key); h.take(h.it.Next()) {
		passed(&h.row)
	}
	if !h.ok || h.row.key != key {
		return nil
	}
	row := h.row
	h.take(h.it.Next())
	return &row
}

func (h *heads) close() error { return errors.Join(h.it.Error(), h.it.Close()) }

const listPage = 1000

// compareVisible compares current versions. It reports whether any key has other
// versions.
func (c *checker) compareVisible(ctx context.Context, k *sink, r keyRange, odd map[string]bool) (several bool, err error) {
	h, err := c.state.heads(r)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	passed := func(row *headRow) {
		several = several || row.several
		if row.visible {
			odd[row.key] = true
		}
	}
	for from, more := r.from, true; more; {
		var entries []meta.Entry
		if entries, more, err = c.Meta.Scan(ctx, r.bucket.ID, meta.ScanOptions{From: from, To: r.to, Limit: listPage}); err != nil {
			return several, ignoreGone(err)
		}
		for i := range entries {
			e := &entries[i]
			k.Listed++
			k.Rows++
			row := h.to(e.Key, false, passed)
			if row != nil {
				several = several || row.several
			}
			if row == nil || !row.visible || row.print != fingerprint(e) {
				odd[e.Key] = true
			}
			from = e.Key + "\x00"
		}
		more = more && len(entries) > 0
	}
	h.to("", true, passed)
	return several, nil
}

// compareAll compares the keys that have any version.
func (c *checker) compareAll(ctx context.Context, r keyRange, odd map[string]bool) (err error) {
	h, err := c.state.heads(r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	passed := func(row *headRow) { odd[row.key] = true }
	for from, more := r.from, true; more; {
		var keys []meta.Entry
		if keys, more, err = c.Meta.Scan(ctx, r.bucket.ID, meta.ScanOptions{From: from, To: r.to, Limit: listPage, All: true}); err != nil {
			return ignoreGone(err)
		}
		for i := range keys {
			e := &keys[i]
			row := h.to(e.Key, false, passed)
			// HasOlderVersions says that the head must be read, which is
			// never wrong.
			if !e.HasOlderVersions && (row == nil || row.several || row.print != fingerprint(e)) {
				odd[e.Key] = true
			}
			from = e.Key + "\x00"
		}
		more = more && len(keys) > 0
	}
	h.to("", true, passed)
	return nil
}

// confirmTries is how often a key is checked that changes all the time: its listing
// shows recent changes, not an old error.
const confirmTries = 20

// confirmKey checks a key again that seems to be listed wrongly.
func (c *checker) confirmKey(ctx context.Context, b *meta.Bucket, key string) error {
	wrong, seen, err := c.listedWrong(ctx, b.ID, key)
	if err != nil || wrong == "" {
		return ignoreGone(err)
	}
	now, err := c.Meta.Bucket(ctx, b.Name)
	if errors.Is(err, meta.ErrNotFound) || err == nil && now.ID != b.ID {
		return nil // removed, with all its keys
	}
	if err != nil {
		return err
	}
	f := c.about(Mismatched, b.ID, key)
	f.Detail, f.Advice = wrong, "check with --repair rewrites the listing's row from the key's head"
	if c.Repair {
		if f.Repaired, err = c.mendListing(ctx, b.ID, key, seen); err != nil {
			return err
		}
	}
	return c.found(f)
}

func (c *checker) mendListing(ctx context.Context, bucket meta.BucketID, key string, above int64) (bool, error) {
	err := c.Store.MendListing(ctx, bucket, key, above)
	if goneBucket(err) || errors.Is(err, meta.ErrBucketDeleting) {
		return goneBucket(err), nil
	}
	if err == nil {
		err = c.Meta.Flush(ctx)
	}
	if err != nil {
		return false, err
	}
	wrong, _, err := c.listedWrong(ctx, bucket, key)
	return wrong == "", err
}

// listedWrong says what is wrong with how a key is listed; "" if nothing is.
// above is the revision of what was listed, as far as it is known.
func (c *checker) listedWrong(ctx context.Context, bucket meta.BucketID, key string) (wrong string, above int64, err error) {
	for range confirmTries {
		before, err := c.Meta.Read(ctx, bucket, key, meta.ReadOptions{Limit: 2})
		if err != nil {
			return "", 0, err
		}
		entries, _, err := c.Meta.Scan(ctx, bucket, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1})
		if err != nil {
			return "", 0, err
		}
		keys, _, err := c.Meta.Scan(ctx, bucket, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1, All: true})
		if err != nil {
			return "", 0, err
		}
		now, err := c.Meta.Read(ctx, bucket, key, meta.ReadOptions{Limit: 2})
		if err != nil {
			return "", 0, err
		}
		if before.Rev != now.Rev {
			continue
		}
		for i := range entries {
			above = max(above, entries[i].Seq)
		}
		return differs(key, &now, entries, keys), above, nil
	}
	return "", 0, nil
}

// differs compares a head with what listings show of its key.
func differs(key string, h *meta.Head, entries, keys []meta.Entry) string {
	v := h.Current()
	visible := v != nil && !v.DeleteMarker
	several := len(h.Versions) > 1 || v != nil && v.DeleteMarker
	switch {
	case !visible && len(entries) > 0:
		return "it is listed, and the object does not exist"
	case visible && len(entries) == 0:
		return "the object exists, and is not listed"
	case visible && fingerprint(&entries[0]) != fingerprint(meta.EntryOf(key, v)):
		return fmt.Sprintf("it is listed as of %d bytes with the ETag %s, and has %d with %s", entries[0].Size, entries[0].ETag, v.Size, v.ETag)
	case v != nil && len(keys) == 0:
		return "it has versions that are not listed"
	case v == nil && len(keys) > 0 && !keys[0].HasOlderVersions:
		return "a version of it is listed, and none exists"
	case several && !keys[0].HasOlderVersions:
		return "it has more versions than are listed"
	case v != nil && !keys[0].HasOlderVersions && fingerprint(&keys[0]) != fingerprint(meta.EntryOf(key, v)):
		return "its version is listed with other fields"
	}
	return ""
}
