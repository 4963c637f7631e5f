package cqltest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// Objects is what changes of keys need of a store.
type Objects interface {
	Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error)
	Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error)
}

// PutChange is the change of a head by a PUT into an unversioned bucket.
func PutChange(h meta.Head, rev int64, key, etag string) meta.Change {
	v := meta.Version{Seq: rev, ETag: etag, Size: int64(len(etag)), Modified: rev, Null: true}
	c := meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, NullSeq: rev, Entry: meta.EntryOf(key, &v)}
	for _, old := range h.Versions {
		c.Delete = append(c.Delete, old.Seq)
	}
	return c
}

// DeleteChange is the change of a head by a DELETE in an unversioned bucket.
func DeleteChange(h meta.Head, rev int64) meta.Change {
	c := meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), RemovesKey: true}
	for _, old := range h.Versions {
		c.Delete = append(c.Delete, old.Seq)
	}
	return c
}

// MarkerChange adds a delete marker.
func MarkerChange(h meta.Head, rev int64) meta.Change {
	return meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), History: true,
		Put: []meta.Version{{Seq: rev, DeleteMarker: true, Modified: rev}}}
}

// Edit reads the head, derives a change from it and commits that.
func Edit(ctx context.Context, s Objects, b meta.BucketID, key string, history bool, change func(meta.Head, int64) meta.Change) error {
	for {
		h, err := s.Read(ctx, b, key, meta.ReadOptions{Limit: 10})
		if err != nil {
			return err
		}
		rev := meta.NextRev(h.Rev, time.Now())
		p, err := s.Begin(ctx, b, key, rev, history)
		if err != nil {
			return err
		}
		if err = p.Commit(ctx, change(h, rev)); !errors.Is(err, meta.ErrConflict) {
			return err
		}
	}
}

// Put puts a key.
func Put(ctx context.Context, s Objects, b meta.BucketID, key, etag string) error {
	return Edit(ctx, s, b, key, false, func(h meta.Head, rev int64) meta.Change { return PutChange(h, rev, key, etag) })
}

// Remove deletes a key.
func Remove(ctx context.Context, s Objects, b meta.BucketID, key string) error {
	return Edit(ctx, s, b, key, false, DeleteChange)
}

// PutInline puts a key with an inline payload, without reading its head.
func PutInline(ctx context.Context, s Objects, b meta.BucketID, key string, payload []byte) error {
	rev := meta.NextRev(0, time.Now())
	c := PutChange(meta.Head{}, rev, key, "etag")
	c.Put[0].Inline, c.Put[0].Payload = true, payload
	p, err := s.Begin(ctx, b, key, rev, false)
	if err != nil {
		return err
	}
	return p.Commit(ctx, c)
}

// Scanner is what List needs of a store.
type Scanner interface {
	Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error)
}

// List scans the whole bucket, page by page, and returns keys and ETags as
// "key=etag".
func List(t testing.TB, s Scanner, b meta.BucketID, limit int) []string {
	t.Helper()
	var got []string
	for from := ""; ; {
		entries, more, err := s.Scan(t.Context(), b, meta.ScanOptions{From: from, Limit: limit})
		Must(t, err)
		for _, e := range entries {
			got = append(got, e.Key+"="+e.ETag)
		}
		if !more {
			return got
		}
		from = entries[len(entries)-1].Key + "\x00"
	}
}

// RetryUnavailable repeats f while the database is unavailable.
func RetryUnavailable(ctx context.Context, f func() error) error {
	for {
		err := f()
		if !errors.Is(err, meta.ErrUnavailable) && !errors.Is(err, meta.ErrUnknownOutcome) || ctx.Err() != nil {
			return err
		}
		if err := cql.Backoff(ctx, 6); err != nil {
			return err
		}
	}
}

// Must fails the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// SameStrings fails the test unless the lists are equal.
func SameStrings(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}
