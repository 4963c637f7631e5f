package store

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/pithos/pithos/meta"
)

// maxScan is the maximum number of rows that one step of a listing reads: a full
// page of S3, and one row that shows whether there are more.
const maxScan = 1001

// cursor walks the keys of a bucket under a prefix. Keys that are equal up to a
// delimiter become one common prefix, and the cursor jumps over the rest of them:
// a "folder" costs one step, no matter how many keys it has.
type cursor struct {
	prefix, delimiter string
	from, to          string // the keys still to walk: from <= key < to
	done              bool
	limit             int
	// step is the number of rows of the next read. It falls to a few after a jump,
	// and doubles after each read without one.
	step int
}

// newCursor returns the cursor over the keys and common prefixes with prefix that
// follow after. If after is among the keys of a common prefix, none of these keys
// is listed, not even those that follow after. (ListObjectsV2 in the S3 API
// reference, CommonPrefixes and StartAfter.) The strings are UTF-8 of any length: a
// client may send strings that are longer than any key and than a driver accepts.
func newCursor(prefix, delimiter, after string, limit int) *cursor {
	if len(prefix) > MaxKeyBytes {
		return &cursor{done: true} // no key is that long
	}
	after = shortMarker(after)
	c := &cursor{prefix: prefix, delimiter: delimiter, from: prefix, to: meta.Successor(prefix), limit: limit, step: min(limit+1, maxScan)}
	if after == "" || after < prefix {
		return c
	}
	if common := c.common(after); common != "" {
		c.jump(common)
	} else {
		c.from = after + "\x00"
	}
	if c.to != "" && c.from >= c.to {
		c.done = true
	}
	return c
}

// shortMarker returns marker, or a shorter string such that no key is between the
// two.
func shortMarker(marker string) string {
	if len(marker) <= MaxKeyBytes+utf8.UTFMax {
		return marker
	}
	// The result is longer than any key. So each key differs from it, and from
	// marker at the same position.
	end := MaxKeyBytes + utf8.UTFMax
	for !utf8.RuneStart(marker[end]) {
		end--
	}
	return marker[:end]
}

// common returns the common prefix of key; "" if it has none.
func (c *cursor) common(key string) string {
	if c.delimiter == "" || !strings.HasPrefix(key, c.prefix) {
		return ""
	}
	i := strings.Index(key[len(c.prefix):], c.delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(c.prefix)+i+len(c.delimiter)]
}

// jump skips all keys that begin with common.
func (c *cursor) jump(common string) {
	next := meta.Successor(common)
	if next == "" || c.to != "" && next >= c.to {
		c.done = true
	}
	c.from = next
}

// page processes the keys of one read, in order. It calls visit for each key
// without a common prefix, and roll for each common prefix; both return false to
// stop. more reports whether the read did not reach the last key.
func (c *cursor) page(keys []string, more bool, visit func(i int) bool, roll func(common string) bool) bool {
	begin := 0 // where the keys after the last common prefix begin
	for i := 0; i < len(keys); {
		common := c.common(keys[i])
		if common == "" {
			if !visit(i) {
				return false
			}
			i++
			continue
		}
		if !roll(common) {
			return false
		}
		rest := i + 1
		for rest < len(keys) && strings.HasPrefix(keys[rest], common) {
			rest++
		}
		c.jump(common)
		if rest == len(keys) {
			if rest-i > (len(keys)-begin)/2 {
				c.step = 8
			}
			return true
		}
		// Keys of the same read that follow the common prefix are used.
		i, begin = rest, rest
	}
	if len(keys) > 0 {
		c.from = keys[len(keys)-1] + "\x00"
	}
	c.step = min(c.step*2, maxScan)
	if !more {
		c.done = true
	}
	return true
}

// List returns one page of the current objects of a bucket, sorted by key.
// (ListObjects, ListObjectsV2 in the S3 API reference.) NoSuchBucket,
// [ErrBucketRecreated].
func (s *Store) List(ctx context.Context, b *meta.Bucket, in ListInput) (*ListResult, error) {
	r, err := s.listIn(ctx, b, in)
	if err == nil && in.Limit > 0 && len(r.Objects)+len(r.Prefixes) == 0 {
		err = s.ConfirmBucket(ctx, b)
	}
	return r, err
}

func (s *Store) listIn(ctx context.Context, b *meta.Bucket, in ListInput) (*ListResult, error) {
	result := &ListResult{}
	if in.Limit <= 0 {
		return result, nil
	}
	c := newCursor(in.Prefix, in.Delimiter, in.After, in.Limit)
	count, last := 0, ""
	full := func(item string) bool {
		if count == in.Limit {
			result.Truncated, result.Next = true, last
			return true
		}
		count, last = count+1, item
		return false
	}
	for !c.done {
		entries, more, err := s.scan(ctx, b, c.from, c.to, min(c.step, maxScan))
		if err != nil {
			return nil, err
		}
		keys := make([]string, len(entries))
		for i := range entries {
			keys[i] = entries[i].Key
		}
		ok := c.page(keys, more, func(i int) bool {
			if full(keys[i]) {
				return false
			}
			if result.Objects == nil {
				result.Objects = make([]meta.Entry, 0, min(in.Limit, len(entries)))
			}
			result.Objects = append(result.Objects, entries[i])
			return true
		}, func(common string) bool {
			if full(common) {
				return false
			}
			result.Prefixes = append(result.Prefixes, common)
			return true
		})
		if !ok {
			break
		}
	}
	return result, nil
}

// ListVersions returns one page of all versions and delete markers, sorted by key
// and then newest first. (ListObjectVersions in the S3 API reference.)
// InvalidArgument (malformed version marker), NoSuchBucket, [ErrBucketRecreated].
func (s *Store) ListVersions(ctx context.Context, b *meta.Bucket, in ListVersionsInput) (*ListVersionsResult, error) {
	r, err := s.listVersionsIn(ctx, b, in)
	if err == nil && in.Limit > 0 && len(r.Versions)+len(r.Prefixes) == 0 {
		err = s.ConfirmBucket(ctx, b)
	}
	return r, err
}

func (s *Store) listVersionsIn(ctx context.Context, b *meta.Bucket, in ListVersionsInput) (*ListVersionsResult, error) {
	l := &versionLister{store: s, ctx: ctx, bucket: b, limit: in.Limit, result: &ListVersionsResult{}}
	if in.Limit <= 0 {
		return l.result, nil
	}
	c := newCursor(in.Prefix, in.Delimiter, in.KeyMarker, in.Limit)
	if in.VersionMarker != "" && strings.HasPrefix(in.KeyMarker, in.Prefix) && len(in.KeyMarker) <= MaxKeyBytes {
		more, err := l.resume(c, in.KeyMarker, in.VersionMarker)
		if err != nil || !more {
			return l.result, err
		}
	}
	for !c.done {
		entries, more, err := s.scanAll(ctx, b, c.from, c.to, min(c.step, maxScan))
		if err != nil {
			return nil, err
		}
		last := ""
		if n := len(entries); n > 0 {
			last = entries[n-1].Key
		}
		if entries, err = l.withoutEmptyGroups(c, entries); err != nil {
			return nil, err
		}
		keys := make([]string, len(entries))
		for i := range entries {
			keys[i] = entries[i].Key
		}
		ok := c.page(keys, more, func(i int) bool {
			if l.err = l.key(entries[i]); l.err != nil {
				return false
			}
			return !l.result.Truncated
		}, l.prefix)
		if l.err != nil {
			return nil, l.err
		}
		if !ok {
			break
		}
		if c.from <= last { // keys that are not shown were read too
			c.from = last + "\x00"
		}
	}
	return l.result, nil
}

// versionLister collects one page of versions.
type versionLister struct {
	ctx    context.Context
	store  *Store
	bucket *meta.Bucket
	limit  int
	count  int
	last   ListedVersion
	result *ListVersionsResult
	err    error
}

// full reports whether the page is full. If so it sets where the next one begins.
func (l *versionLister) full() bool {
	if l.count < l.limit {
		l.count++
		return false
	}
	l.result.Truncated, l.result.NextKey, l.result.NextVersion = true, l.last.Key, l.last.VersionID
	return true
}

func (l *versionLister) prefix(common string) bool {
	if l.full() {
		return false
	}
	l.last = ListedVersion{Key: common}
	l.result.Prefixes = append(l.result.Prefixes, common)
	return true
}

// add adds versions of one key to the page.
func (l *versionLister) add(key string, versions []meta.Entry, latest bool) {
	for i := range versions {
		if l.full() {
			return
		}
		v := ListedVersion{Key: key, VersionID: FormatVersionID(versions[i].Seq, versions[i].Null), IsLatest: latest && i == 0, Version: versionOf(&versions[i])}
		l.last = v
		l.result.Versions = append(l.result.Versions, v)
	}
}

// key adds all versions of a key to the page.
func (l *versionLister) key(e meta.Entry) error {
	if !e.HasOlderVersions {
		l.add(e.Key, []meta.Entry{e}, true)
		return nil
	}
	return l.after(e.Key, 0)
}

// after adds the versions of key that are older than the version before; 0 means
// all versions.
func (l *versionLister) after(key string, before int64) error {
	latest := before == 0
	for {
		want := l.limit - l.count + 1
		page, err := l.store.meta.ListVersions(l.ctx, l.bucket.ID, key, before, min(want, maxScan))
		if err != nil {
			return err
		}
		shown, err := l.store.withoutRenamed(l.ctx, l.bucket, key, page)
		if err != nil {
			return err
		}
		l.add(key, shown, latest)
		if len(page) < min(want, maxScan) || l.result.Truncated {
			return nil
		}
		latest, before = false, page[len(page)-1].Seq
	}
}

// resume continues with the older versions of a key whose newer ones an earlier
// page has.
func (l *versionLister) resume(c *cursor, key, version string) (more bool, err error) {
	seq, null, err := parseVersionID(version)
	if err != nil {
		return false, err
	}
	if c.common(key) != "" {
		return true, nil
	}
	if null {
		h, err := l.store.meta.Read(l.ctx, l.bucket.ID, key, meta.ReadOptions{})
		if err != nil {
			return false, err
		}
		// If the null version was deleted since (clients empty a bucket page by
		// page), it is not known which versions follow it: all are listed then.
		seq = h.NullSeq
	}
	err = l.after(key, seq)
	return err == nil && !l.result.Truncated, err
}

// withoutEmptyGroups removes the keys of common prefixes under which no key of this
// read has any versions. A later read may have one.
func (l *versionLister) withoutEmptyGroups(c *cursor, entries []meta.Entry) ([]meta.Entry, error) {
	var kept []meta.Entry
	for i := 0; i < len(entries); {
		common, end := c.common(entries[i].Key), i+1
		for common != "" && end < len(entries) && strings.HasPrefix(entries[end].Key, common) {
			end++
		}
		shown := common == ""
		if !shown {
			var err error
			if shown, err = l.anyIn(entries[i:end], common); err != nil {
				return nil, err
			}
		}
		if shown {
			kept = append(kept, entries[i:end]...)
		}
		i = end
	}
	return kept, nil
}

// anyIn reports whether a key with the prefix common has any versions.
func (l *versionLister) anyIn(entries []meta.Entry, common string) (bool, error) {
	for _, e := range entries {
		if !strings.HasPrefix(e.Key, common) {
			continue
		}
		if !e.HasOlderVersions {
			return true, nil
		}
		page, err := l.store.meta.ListVersions(l.ctx, l.bucket.ID, e.Key, 0, 1)
		if err == nil {
			page, err = l.store.withoutRenamed(l.ctx, l.bucket, e.Key, page)
		}
		if err != nil || len(page) > 0 {
			return len(page) > 0, err
		}
	}
	return false, nil
}

// versionOf returns the version of an entry, with the fields that listings show.
func versionOf(e *meta.Entry) meta.Version {
	v := meta.Version{Seq: e.Seq, Null: e.Null, Size: e.Size, ETag: e.ETag, Modified: e.Modified, Owner: e.Owner, Class: e.Class, DeleteMarker: e.DeleteMarker}
	if e.Checksum != "" {
		v.Checksum = &meta.Checksum{Algorithm: e.Checksum, Type: e.SumType}
	}
	return v
}
