package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// stalePages reads the last page of versions as it was before their last append.
type stalePages struct {
	meta.Store
	reads atomic.Int64 // how many more reads are stale
}

func (s *stalePages) Pages(ctx context.Context, bucket meta.BucketID, key string, seq int64, from, n int) ([]meta.Page, error) {
	pages, err := s.Store.Pages(ctx, bucket, key, seq, from, n)
	if last := len(pages) - 1; err == nil && len(pages[last].Segments) < meta.PageSegments && s.reads.Add(-1) >= 0 {
		pages[last].Segments = pages[last].Segments[:len(pages[last].Segments)-1]
	}
	return pages, err
}

// divided stores an object of n segments in pages, and returns its body. damaged
// makes its index state a segment more than its pages have.
func (g *twoGateways) divided(b *meta.Bucket, key string, n int, damaged bool) []byte {
	g.Helper()
	name := slices.Min(slices.Collect(maps.Keys(g.engine.Gateway.Blobs)))
	body := random(10 * n)
	v := meta.Version{Null: true, Owner: "alice", Class: store.ClassStandard, ETag: meta.NewID().String(), Size: int64(len(body)), Appends: 1}
	for i := range n {
		id := blob.NewID()
		w, err := g.engine.Gateway.Blobs[name].Create(g.Context(), id)
		assert.NoError(g, err)
		_, err = w.Write(body[10*i : 10*i+10])
		assert.NoError(g, err)
		ref, err := w.Commit()
		assert.NoError(g, err)
		v.Segments = append(v.Segments, meta.Segment{Store: name, Blob: meta.ID(id), Bytes: ref.Size, Chunk: ref.Chunk, Block: ref.Block, Size: 10})
	}
	v.Modified = meta.NextRev(0, time.Now())
	v.Seq = v.Modified
	v = v.Paged()
	commit := func(ifRev, rev int64) {
		p, err := g.engine.Gateway.Meta.Begin(g.Context(), b.ID, key, rev, false)
		assert.NoError(g, err)
		assert.NoError(g, p.Commit(g.Context(), meta.Change{IfRev: ifRev, Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, NullSeq: v.Seq, Entry: meta.EntryOf(key, &v)}))
	}
	commit(0, v.Seq)
	if damaged {
		v.Pages = v.Pages.Appended(v.Pages.Write[len(v.Pages.Index)-1], meta.Segment{Store: name, Blob: meta.NewID(), Bytes: 5, Size: 5})
		v.Pages.Write = nil
		v.Size += 5
		commit(v.Seq, v.Seq+2)
	}
	return body
}

func appendTo(ctx context.Context, s *store.Store, b *meta.Bucket, key string, offset int, body string) error {
	at := int64(offset)
	_, err := s.Put(ctx, b, key, store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: strings.NewReader(body), Size: int64(len(body)), Offset: &at})
	return err
}

func readAll(ctx context.Context, s *store.Store, b *meta.Bucket, key string) ([]byte, error) {
	o, err := s.Get(ctx, b, key, store.GetInput{})
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(o.Body)
	return body, errors.Join(err, o.Body.Close())
}

// wantDamage expects an error that is no answer of S3: the client gets a 500.
func wantDamage(t *testing.T, what string, err error) {
	t.Helper()
	var answer *s3err.Error
	if err == nil || errors.As(err, &answer) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%s of a version whose page misses a segment: %v", what, err)
	}
}

// A page may be older than the index that was read before it. Then the
// index is read again.
func TestStalePagesAreReadAgain(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body := g.divided(b, "k", 130, false)
		stale := &stalePages{Store: g.engine.Gateway.Meta}
		s := g.healthy.Gateway(g, func(o *store.Options) { o.Meta = stale })
		stale.reads.Store(2)
		assert.NoError(g, appendTo(g.Context(), s, b, "k", len(body), "more"))
		body = append(body, "more"...)
		g.want(b, "k", body)
		stale.reads.Store(2)
		if got, err := readAll(g.Context(), s, b, "k"); err != nil || !bytes.Equal(got, body) {
			g.Errorf("a GET read %d of %d bytes, %v", len(got), len(body), err)
		}
		if left := stale.reads.Load(); left >= 0 {
			g.Errorf("%d reads were not made", left+1)
		}

		stale.reads.Store(1 << 40)
		_, err := readAll(g.Context(), s, b, "k")
		wantDamage(g.T, "GET", err)
		wantDamage(g.T, "append", appendTo(g.Context(), s, b, "k", len(body), "lost"))

		// The collector takes no segment for garbage that a stale page misses.
		h, err := g.engine.Gateway.Meta.Read(g.Context(), b.ID, "k", meta.ReadOptions{})
		assert.NoError(g, err)
		pages, err := g.engine.Gateway.Meta.Pages(g.Context(), b.ID, "k", h.Current().Seq, 1, 1)
		assert.NoError(g, err)
		seg := pages[0].Segments[len(pages[0].Segments)-1]
		assert.NoError(g, g.engine.Gateway.Meta.Enqueue(g.Context(), meta.QueueEntry{Due: time.Now().UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed,
			Blob: meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: b.ID, Key: "k"}}))
		g.healthy.Clock.Advance(2 * storetest.Grace)
		if _, err := s.Collect(g.Context()); err == nil {
			g.Error("the collector does not tell of a page that misses a segment")
		}
		stale.reads.Store(0)
		g.want(b, "k", body)
	})
}

// A version that has lost segments can be removed, and what is left of it goes.
func TestDamagedVersionsCanBeRemoved(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		g.divided(b, "deleted", 130, true)
		g.divided(b, "overwritten", 130, true)
		_, err := readAll(g.Context(), g.healthy.Store, b, "deleted")
		wantDamage(g.T, "GET", err)
		for _, version := range []string{"", "null"} {
			_, err := g.healthy.Copy(g.Context(), b, "copy", store.CopyInput{Attributes: store.Attributes{Owner: "alice"}, Source: b, SourceKey: "deleted", SourceVersion: version})
			wantDamage(g.T, "copy", err)
		}
		g.remove(b, "deleted")
		g.put(b, "overwritten", []byte("new"), store.EncryptionRequest{})
		g.want(b, "overwritten", []byte("new"))
		g.remove(b, "overwritten")
		g.wantBlobs("after both were deleted", 0)
	})
}
