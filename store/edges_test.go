package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// stored counts the blobs that are there now.
func (w *fixture) stored(t *testing.T) (n int) {
	t.Helper()
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Blobs["main"].Walk(t.Context(), func(blob.Info) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAbortAfterAFailedCompleteLeavesThePartsToTheCollector(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	id, parts := w.upload(t, b, "k", random(5<<20))
	w.put(t, b, "k", []byte("in the way"))
	_, err := w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts, Conditions: store.Conditions{IfNoneMatch: []string{"*"}}})
	wantCode(t, err, s3err.PreconditionFailed)
	// As a Complete that lost its condition in the commit leaves it, while
	// another one may still be on its way to its own commit.
	u, err := w.Upload(t.Context(), b, "k", id)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []meta.UploadState{meta.UploadCompleting, meta.UploadOpen} {
		if *u, err = w.Meta.SetUploadState(t.Context(), *u, state); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AbortUpload(t.Context(), b, "k", id); err != nil {
		t.Fatal(err)
	}
	if n := w.stored(t); n != 1 {
		t.Fatalf("%d blobs are stored right after the abort, want 1: no caller has fenced the key", n)
	}
	w.nothingLeaks(t, 0)
}

func TestDeletedBucketTakesItsUploadsAlong(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	w.upload(t, b, "a", random(5<<20))
	w.upload(t, b, "b", random(100), random(200))
	if err := w.DeleteBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.nothingLeaks(t, 0)
}

func TestCompleteInADeletedBucketLeavesNothing(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	id, parts := w.upload(t, b, "k", random(100))
	u, err := w.Upload(t.Context(), b, "k", id)
	if err != nil {
		t.Fatal(err)
	}
	// A Complete that is under way is not listed, so DeleteBucket passes it by.
	if _, err := w.Meta.SetUploadState(t.Context(), *u, meta.UploadCompleting); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteBucket(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	_, err = w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts})
	wantCode(t, err, s3err.NoSuchBucket)
	w.nothingLeaks(t, 0)
}

func TestDeleteByOutdatedSettingsKeepsVersions(t *testing.T) {
	w := newFixture(t)
	old := w.bucket(t, "")
	b, err := w.UpdateBucket(t.Context(), old, func(c *meta.BucketConfig) error { c.Versioning = store.VersioningEnabled; return nil })
	if err != nil {
		t.Fatal(err)
	}
	v := w.put(t, b, "k", []byte("kept"))
	r, err := w.Delete(t.Context(), old, "k", store.DeleteInput{})
	if err != nil || !r.DeleteMarker {
		t.Fatalf("%+v, %v, want a delete marker", r, err)
	}
	if got := w.get(t, b, "k", store.GetInput{VersionID: v.VersionID}); string(got) != "kept" {
		t.Fatalf("got %q", got)
	}
	_, err = w.Put(t.Context(), old, "k", store.PutInput{Body: strings.NewReader("x"), Size: 1, Offset: new(int64)})
	wantCode(t, err, s3err.InvalidRequest)
}

func TestVersionsAreCopiedOntoTheirKey(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		w := newFixture(t)
		b := w.bucket(t, store.VersioningEnabled)
		body := random(size)
		v := w.put(t, b, "k", body)
		b, err := w.UpdateBucket(t.Context(), b, func(c *meta.BucketConfig) error { c.Versioning = store.VersioningSuspended; return nil })
		if err != nil {
			t.Fatal(err)
		}
		w.put(t, b, "k", []byte("null"))
		for range 2 { // over another null version, and over one that is a copy
			if _, err := w.Copy(t.Context(), b, "k", store.CopyInput{Source: b, SourceKey: "k", SourceVersion: v.VersionID}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), body) {
				t.Fatal("wrong body")
			}
		}
		w.Clock.Advance(time.Hour)
		if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{VersionID: v.VersionID}); err != nil {
			t.Fatal(err)
		}
		w.nothingLeaks(t, size>>20)
		if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), body) {
			t.Fatal("wrong body after the source was collected")
		}
	}
}

func TestBucketRemadeByAnotherOwnerIsNotReadByOutdatedSettings(t *testing.T) {
	w := newFixture(t)
	old := w.bucket(t, "")
	if err := w.DeleteBucket(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	fresh, err := w.CreateBucket(t.Context(), store.CreateBucketInput{Name: old.Name, Owner: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, fresh, "k", []byte("bob's"))
	_, err = w.Get(t.Context(), old, "k", store.GetInput{})
	wantRecreated(t, err)
}

// Reads of a remembered bucket are not answered from another one that has its
// name by now, of the same owner either.
func TestReadsOfARememberedBucketAreOfNoOther(t *testing.T) {
	w := newFixture(t)
	old := w.bucket(t, "")
	if err := w.DeleteBucket(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	reads := map[string]func() error{
		"objects": func() error { _, err := w.List(t.Context(), old, store.ListInput{Limit: 10}); return err },
		"versions": func() error {
			_, err := w.ListVersions(t.Context(), old, store.ListVersionsInput{Limit: 10})
			return err
		},
		"uploads": func() error { _, err := w.ListUploads(t.Context(), old, store.ListUploadsInput{Limit: 10}); return err },
		"object":  func() error { _, err := w.Find(t.Context(), old, "k", ""); return err },
		"head":    func() error { _, err := w.Head(t.Context(), old, "k", store.GetInput{}); return err },
	}
	for what, read := range reads {
		t.Run(what, func(t *testing.T) { wantCode(t, read(), s3err.NoSuchBucket) })
	}
	fresh, err := w.CreateBucket(t.Context(), store.CreateBucketInput{Name: old.Name, Owner: old.Owner})
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, fresh, "k", []byte("new"))
	for what, read := range reads {
		t.Run(what, func(t *testing.T) { wantRecreated(t, read()) })
	}
}

func TestAppendRefusesWhatItWouldIgnore(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	w.put(t, b, "k", []byte("12345"))
	five := int64(5)
	for name, edit := range map[string]func(*store.PutInput){
		"metadata":   func(in *store.PutInput) { in.Metadata = map[string]string{"a": "b"} },
		"tags":       func(in *store.PutInput) { in.Tags = []meta.Tag{{Key: "a"}} },
		"class":      func(in *store.PutInput) { in.Class = "GLACIER" },
		"encryption": func(in *store.PutInput) { in.Encryption.Type = store.AlgorithmAES256 },
	} {
		t.Run(name, func(t *testing.T) {
			in := store.PutInput{Body: strings.NewReader("6"), Size: 1, Offset: &five}
			edit(&in)
			_, err := w.Put(t.Context(), b, "k", in)
			wantCode(t, err, s3err.InvalidRequest)
		})
	}
	w.put(t, b, "k", []byte("6"), func(in *store.PutInput) { in.Offset, in.Class = &five, store.ClassStandard })
}

func TestCompletesAtTheSameTimeMakeOneVersion(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, store.VersioningEnabled)
	body := random(1 << 20)
	id, parts := w.upload(t, b, "k", body)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if _, err := w.CompleteUpload(t.Context(), b, "k", store.CompleteInput{UploadID: id, Parts: parts}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	r, err := w.ListVersions(t.Context(), b, store.ListVersionsInput{Limit: 10})
	if err != nil || len(r.Versions) != 1 {
		t.Fatalf("%d versions, %v", len(r.Versions), err)
	}
	w.nothingLeaks(t, 1)
	if !bytes.Equal(w.get(t, b, "k", store.GetInput{}), body) {
		t.Fatal("wrong body")
	}
}

func TestUploadWhoseCompleteDiedCanBeFoundAndAborted(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, "")
	id, _ := w.upload(t, b, "k", random(100))
	u, err := w.Upload(t.Context(), b, "k", id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Meta.SetUploadState(t.Context(), *u, meta.UploadCompleting); err != nil {
		t.Fatal(err)
	}
	w.nothingLeaks(t, 1)
	r, err := w.ListUploads(t.Context(), b, store.ListUploadsInput{Limit: 10})
	if err != nil || len(r.Uploads) != 1 {
		t.Fatalf("%d uploads are listed, %v", len(r.Uploads), err)
	}
	if err := w.AbortUpload(t.Context(), b, "k", id); err != nil {
		t.Fatal(err)
	}
	w.nothingLeaks(t, 0)
}

// hinting shows keys in a scan of all that have no versions, as a database may
// that was told of a change which then was not made.
type hinting struct {
	meta.Store
	hints []string
}

func (h *hinting) Scan(ctx context.Context, b meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	keys, more, err := h.Store.Scan(ctx, b, o)
	if !o.All {
		return keys, more, err
	}
	for _, k := range h.hints {
		if k >= o.From && (o.To == "" || k < o.To) {
			keys = append(keys, meta.Entry{Key: k, HasOlderVersions: true})
		}
	}
	slices.SortFunc(keys, func(a, b meta.Entry) int { return strings.Compare(a.Key, b.Key) })
	return keys[:min(len(keys), o.Limit)], more || len(keys) > o.Limit, err
}

func TestKeysWithoutVersionsHideNoCommonPrefix(t *testing.T) {
	w := newFixture(t)
	b := w.bucket(t, store.VersioningEnabled)
	h := &hinting{Store: w.Meta, hints: []string{"dead/1", "z/0", "zz/1", "zz/2"}}
	for i := range 20 {
		h.hints = append(h.hints, fmt.Sprintf("m/%02d", i))
	}
	s := w.Gateway(t, func(o *store.Options) { o.Meta = h })
	for _, k := range []string{"a", "m/live", "n", "z/live"} {
		w.put(t, b, k, []byte("x"))
	}
	for _, limit := range []int{1, 2, 3, 100} {
		var got []string
		in := store.ListVersionsInput{Delimiter: "/", Limit: limit}
		for {
			r, err := s.ListVersions(t.Context(), b, in)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.Versions {
				got = append(got, v.Key)
			}
			got = append(got, r.Prefixes...)
			if !r.Truncated {
				break
			}
			in.KeyMarker, in.VersionMarker = r.NextKey, r.NextVersion
		}
		slices.Sort(got)
		if want := "a m/ n z/"; strings.Join(got, " ") != want {
			t.Errorf("in pages of %d: %v, want %s", limit, got, want)
		}
	}
}
