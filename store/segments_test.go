package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// class is the blob store that new objects go to.
func (g *twoGateways) class() string {
	return slices.Min(slices.Collect(maps.Keys(g.engine.Gateway.Blobs)))
}

// manyParts stores an object of n parts, numbered 2, 4, ..., as a completed upload
// would have it, and returns its body and its parts. Real parts have 5 MiB each.
func (g *twoGateways) manyParts(b *meta.Bucket, key string, n, partBytes int, divide func(meta.Version) meta.Version) ([]byte, []meta.PartInfo) {
	g.Helper()
	name := g.class()
	blobs := g.engine.Gateway.Blobs[name]
	body := random(n * partBytes)
	v := meta.Version{Null: true, Owner: "alice", Class: store.ClassStandard, ETag: fmt.Sprintf("%s-%d", meta.NewID(), n), Size: int64(len(body))}
	for i := range n {
		id := blob.NewID()
		w, err := blobs.Create(g.Context(), id)
		assert.NoError(g, err)
		_, err = w.Write(body[i*partBytes : (i+1)*partBytes])
		assert.NoError(g, err)
		ref, err := w.Commit()
		assert.NoError(g, err)
		v.Segments = append(v.Segments, meta.Segment{Store: name, Blob: meta.ID(id), Bytes: ref.Size, Chunk: ref.Chunk, Block: ref.Block, Size: int64(partBytes), Part: 2*i + 2})
		v.Parts = append(v.Parts, meta.PartInfo{Number: 2*i + 2, Size: int64(partBytes)})
	}
	rev := meta.NextRev(0, time.Now())
	v.Seq, v.Modified = rev, rev
	parts := v.Parts
	if divide != nil {
		v = divide(v)
	}
	p, err := g.engine.Gateway.Meta.Begin(g.Context(), b.ID, key, rev, false)
	assert.NoError(g, err)
	assert.NoError(g, p.Commit(g.Context(), meta.Change{Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, NullSeq: rev, Entry: meta.EntryOf(key, &v)}))
	return body, parts
}

// version is the current version of a key as its row has it.
func (g *twoGateways) version(b *meta.Bucket, key string) *meta.Version {
	g.Helper()
	h, err := g.engine.Gateway.Meta.Read(g.Context(), b.ID, key, meta.ReadOptions{})
	assert.NoError(g, err)
	if h.Current() == nil {
		g.Fatalf("%q is not there", key)
	}
	return h.Current()
}

func (g *twoGateways) append(b *meta.Bucket, key string, offset int, body []byte) error {
	at := int64(offset)
	_, err := g.faulty.Put(g.Context(), b, key, store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader(body), Size: int64(len(body)), Offset: &at})
	return err
}

// pagesRead counts what work reads of pages.
func (g *twoGateways) pagesRead(work func()) int {
	before := g.fault.Calls()[meta.OpPages]
	work()
	return g.fault.Calls()[meta.OpPages] - before
}

func TestRangesOfManySegmentsReadTheirPagesOnly(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body, parts := g.manyParts(b, "k", 450, 50, meta.Version.Paged)
		ranges := []store.Range{{First: 0, Last: 0}, {First: 4999, Last: 5000}, {First: -1}, {First: 0, Last: -1}, {First: 5000, Last: 9999}, {First: 22_499, Last: 90_000}}
		for range 30 {
			first := rand.Int64N(int64(len(body)))
			ranges = append(ranges, store.Range{First: first, Last: first + rand.Int64N(int64(len(body))-first)})
		}
		for _, r := range ranges {
			reads := g.pagesRead(func() {
				o, err := g.faulty.Get(g.Context(), b, "k", store.GetInput{Range: &r})
				assert.NoError(g, err)
				got := make([]byte, o.Length)
				_, err = io.ReadFull(o.Body, got)
				assert.NoError(g, err)
				assert.NoError(g, o.Body.Close())
				if want := body[o.Offset : o.Offset+o.Length]; !bytes.Equal(got, want) {
					g.Errorf("%+v: other bytes than were written", r)
				}
			})
			if reads != 1 {
				g.Errorf("%+v: %d reads of pages", r, reads)
			}
		}
		heads := g.pagesRead(func() {
			for _, o := range []store.GetInput{{}, {Range: &store.Range{First: 3, Last: 4}}} {
				if _, err := g.faulty.Head(g.Context(), b, "k", o); err != nil {
					g.Fatal(err)
				}
			}
		})
		if heads != 0 {
			g.Errorf("HEADs read pages %d times", heads)
		}
		for _, c := range []struct{ number, index int }{{2, 0}, {200, 99}, {202, 100}, {900, 449}, {1, 0}, {449, 448}, {101, 100}} {
			o, err := g.faulty.Head(g.Context(), b, "k", store.GetInput{PartNumber: c.number})
			assert.NoError(g, err)
			if o.Part == nil || *o.Part != parts[c.index] || o.Offset != int64(50*c.index) || o.Length != 50 || o.PartsCount != 450 {
				g.Errorf("part %d: %+v at %d, want %+v", c.number, o.Part, o.Offset, parts[c.index])
			}
		}
		for _, number := range []int{451, 901, 902, 10_000} {
			_, err := g.faulty.Head(g.Context(), b, "k", store.GetInput{PartNumber: number})
			wantCode(g.T, err, s3err.InvalidPart)
		}
		v := g.version(b, "k")
		for _, limit := range []int{0, 1, 99, 100, 101, 1000} {
			var got []meta.PartInfo
			for after, more := 0, true; more; {
				page, next, err := g.faulty.Parts(g.Context(), b, "k", v, after, limit)
				assert.NoError(g, err)
				if len(page) > limit || limit == 0 {
					break
				}
				got, more, after = append(got, page...), next, page[len(page)-1].Number
			}
			if limit > 0 && !slices.Equal(got, parts) {
				g.Errorf("parts by %d: %d of %d came", limit, len(got), len(parts))
			}
		}
	})
}

// Each append to an object of many segments writes one page, also to one that an
// older program has stored whole.
func TestAppendCostsWhatItAdds(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		for _, divide := range []func(meta.Version) meta.Version{nil, meta.Version.Paged} {
			key := fmt.Sprint("k", divide == nil)
			body, _ := g.manyParts(b, key, 250, 10, divide)
			for i := range 160 {
				piece := random(1 + i%7)
				reads := g.pagesRead(func() { assert.NoError(g, g.append(b, key, len(body), piece)) })
				if reads > 1 {
					g.Fatalf("append %d reads pages %d times", i, reads)
				}
				body = append(body, piece...)
			}
			g.want(b, key, body)
			v := g.version(b, key)
			if v.Pages == nil || v.Pages.Segments != 410 || len(v.Pages.Index) != 5 || v.Appends != 160 || v.CountParts() != 0 {
				g.Errorf("after 160 appends: %+v", v.Pages)
			}
			assert.NoError(g, g.update(b, key))
			g.want(b, key, body)
			if _, err := g.healthy.Delete(g.Context(), b, key, store.DeleteInput{}); err != nil {
				g.Fatal(err)
			}
		}
		g.wantBlobs("after all was deleted", 0)
	})
}

func (g *twoGateways) update(b *meta.Bucket, key string) error {
	_, _, err := g.healthy.UpdateVersion(g.Context(), b, key, "", func(v *meta.Version) error {
		v.Tags = []meta.Tag{{Key: "a", Value: "b"}}
		return nil
	})
	return err
}

// Two appends at the same offset race: one is done, the other is told so.
func TestOfRacingAppendsOneWins(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body, _ := g.manyParts(b, "k", 130, 10, meta.Version.Paged)
		g.fault.SetRules(metafault.Rule{Op: meta.OpCommit, Count: 1, Do: func(ctx context.Context) {
			at := int64(len(body))
			_, err := g.healthy.Put(ctx, b, "k", store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader([]byte("first")), Size: 5, Offset: &at})
			assert.NoError(g, err)
		}})
		wantCode(g.T, g.append(b, "k", len(body), []byte("other")), s3err.InvalidWriteOffset)
		g.want(b, "k", append(body, "first"...))
		g.wantBlobs("after one append", 131)
	})
}

// Copies and renames of an object with pages have its body, and its blobs go with
// the last of them.
func TestManySegmentsAreCopiedAndRenamed(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body, parts := g.manyParts(b, "k", 210, 6<<10, meta.Version.Paged)
		copied := func(to string, edit func(*store.CopyInput)) {
			in := store.CopyInput{Source: b, SourceKey: "k", Attributes: store.Attributes{Owner: "alice"}}
			if edit != nil {
				edit(&in)
			}
			_, err := g.healthy.Copy(g.Context(), b, to, in)
			assert.NoError(g, err)
			g.want(b, to, body)
		}
		copied("shared", nil)
		if v := g.version(b, "shared"); v.Pages == nil || v.CountParts() != len(parts) {
			g.Errorf("the copy has %d segments beside the rest of it", len(v.Segments))
		}
		copied("bytes", func(in *store.CopyInput) { in.Encryption.Type = store.AlgorithmAES256 })
		copied("k", func(in *store.CopyInput) { in.ReplaceMetadata, in.Metadata = true, map[string]string{"a": "b"} })
		assert.NoError(g, g.healthy.Rename(g.Context(), b, "renamed", store.RenameInput{From: "k"}))
		if g.get(b, "k") != nil {
			g.Error("the source of the rename is still there")
		}
		g.want(b, "renamed", body)
		page, _, err := g.healthy.Parts(g.Context(), b, "renamed", g.version(b, "renamed"), 0, 1000)
		if err != nil || !slices.Equal(page, parts) {
			g.Errorf("after the rename it has %d parts, %v", len(page), err)
		}
		g.wantBlobs("renamed, shared, and one copy of the bytes", 211)
		for _, key := range []string{"renamed", "shared", "bytes"} {
			g.want(b, key, body)
			_, err := g.healthy.Delete(g.Context(), b, key, store.DeleteInput{})
			assert.NoError(g, err)
			g.collect()
		}
		g.wantBlobs("after all was deleted", 0)
	})
}

// An object that is replaced between the two reads of a GET is not half read: who
// was authorized for it is told to come again, others get what is there now.
func TestReadersOfManySegmentsMeetAReplacement(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		for _, c := range []struct {
			found bool
			do    func(key string)
			want  string
		}{
			{false, func(key string) { g.put(b, key, []byte("new"), store.EncryptionRequest{}) }, "new"},
			{true, func(key string) { g.put(b, key, []byte("new"), store.EncryptionRequest{}) }, ""},
			{true, func(key string) {
				_, err := g.healthy.Delete(g.Context(), b, key, store.DeleteInput{})
				assert.NoError(g, err)
			}, ""},
		} {
			key := meta.NewID().String()
			g.manyParts(b, key, 130, 10, meta.Version.Paged)
			in := store.GetInput{}
			if c.found {
				var err error
				in.Found, err = g.faulty.Find(g.Context(), b, key, "")
				assert.NoError(g, err)
			}
			g.fault.SetRules(metafault.Rule{Op: meta.OpPages, Count: 1, Do: func(context.Context) { c.do(key) }})
			o, err := g.faulty.Get(g.Context(), b, key, in)
			if c.want == "" {
				if !errors.Is(err, store.ErrSourceReplaced) {
					g.Errorf("got %v", err)
				}
				continue
			}
			assert.NoError(g, err)
			got := make([]byte, o.Length)
			_, err = io.ReadFull(o.Body, got)
			assert.NoError(g, errors.Join(err, o.Body.Close()))
			if string(got) != c.want {
				g.Errorf("got %q, want %q", got, c.want)
			}
		}
	})
}

// The collector reads the versions of a key and then their pages. What moves to
// another version in between is not lost.
func TestCollectorMissesNoSegmentThatMoves(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body, _ := g.manyParts(b, "k", 130, 10, meta.Version.Paged)
		v := g.version(b, "k")
		pages, err := g.engine.Gateway.Meta.Pages(g.Context(), b.ID, "k", v.Seq, 0, 1)
		assert.NoError(g, err)
		seg := pages[0].Segments[5]
		// An entry such as a copy that was given up leaves.
		assert.NoError(g, g.engine.Gateway.Meta.Enqueue(g.Context(), meta.QueueEntry{Due: time.Now().UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: meta.QueueFreed,
			Blob: meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: b.ID, Key: "k"}}))
		var moved atomic.Bool
		g.fault.SetRules(metafault.Rule{Op: meta.OpPages, Count: 3, Do: func(ctx context.Context) {
			in := store.CopyInput{Source: b, SourceKey: "k", ReplaceMetadata: true, Attributes: store.Attributes{Owner: "alice", Metadata: map[string]string{"n": meta.NewID().String()}}}
			_, err := g.healthy.Copy(ctx, b, "k", in)
			assert.NoError(g, err)
			moved.Store(true)
		}})
		g.healthy.Clock.Advance(2 * storetest.Grace)
		if _, err := g.faulty.Collect(g.Context()); err != nil {
			g.Fatal(err)
		}
		g.fault.SetRules()
		if !moved.Load() {
			g.Fatal("the collector read no page")
		}
		g.collect()
		g.want(b, "k", body)
	})
}

// What is read beyond what a request asks for is asked for first, and given back.
func TestMemoryOfSegmentsIsReserved(t *testing.T) {
	onEngines(t, func(g *twoGateways) {
		b := g.bucket()
		body, _ := g.manyParts(b, "k", 300, 10, meta.Version.Paged)
		var held, most atomic.Int64
		full := errors.New("no memory")
		var refuse atomic.Bool
		s := g.healthy.Gateway(g, func(o *store.Options) {
			o.Reserve = func(_ context.Context, n int64) (func(), error) {
				if refuse.Load() {
					return nil, full
				}
				most.Store(max(most.Load(), held.Add(n)))
				return func() { held.Add(-n) }, nil
			}
		})
		get := func(r *store.Range) error {
			o, err := s.Get(g.Context(), b, "k", store.GetInput{Range: r})
			if err != nil {
				return err
			}
			_, err = io.ReadFull(o.Body, make([]byte, o.Length))
			return errors.Join(err, o.Body.Close())
		}
		work := map[string]func() error{
			"range": func() error { return get(&store.Range{First: 5, Last: 6}) },
			"whole": func() error { return get(nil) },
			"copy": func() error {
				_, err := s.Copy(g.Context(), b, "copy", store.CopyInput{Source: b, SourceKey: "k", Attributes: store.Attributes{Owner: "alice"}})
				return err
			},
			"rename": func() error { return s.Rename(g.Context(), b, "renamed", store.RenameInput{From: "k"}) },
		}
		for _, name := range []string{"range", "whole", "copy", "rename"} {
			most.Store(0)
			refuse.Store(true)
			if err := work[name](); !errors.Is(err, full) {
				g.Errorf("%s: %v without memory", name, err)
			}
			refuse.Store(false)
			assert.NoError(g, work[name]())
			assert.NoError(g, s.Flush(g.Context()))
			if most.Load() < 100*100 || held.Load() != 0 {
				g.Errorf("%s: %d bytes were reserved, and %d still are", name, most.Load(), held.Load())
			}
		}
		g.want(b, "renamed", body)
	})
}
