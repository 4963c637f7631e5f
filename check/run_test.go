package check

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
	"github.com/pithos/pithos/store"
)

// Where others use the store, a blob is deleted when two looks a grace time
// apart have found it unreferenced, and no sooner.
func TestUnreferencedBlobsAreDeletedAfterASecondLook(t *testing.T) {
	engines(t, func(w *fixture) {
		b := w.bucket("plain", "")
		w.put(b, "k", large)
		w.stray(large)
		const line = "unreferenced /: nothing refers to 307200 bytes"
		state := filepath.Join(w.TempDir(), "state")
		w.expect("without a memory", w.check(Options{Repair: true}), line)
		w.expect("first look", w.check(Options{Repair: true, State: state}), line)
		w.Clock.Advance(storetest.Grace / 2)
		w.expect("too soon", w.check(Options{Repair: true, State: state}), line)
		w.Clock.Advance(storetest.Grace)
		w.expect("later, without repair", w.check(Options{State: state}), line)
		w.expect("later", w.check(Options{Repair: true, State: state}), line+" (repaired)")
		w.expect("then", w.check(Options{Repair: true, State: state}))
		if _, err := blob.ReadThrough(w.Context(), w.blobs, refOf(w.head(b, "k").Current().Segments[0])); err != nil {
			w.Errorf("what is referred to: %v", err)
		}
	})
}

func refOf(s meta.Segment) blob.Ref {
	return blob.Ref{ID: s.Blob, Size: s.Bytes, Chunk: s.Chunk, Block: s.Block}
}

// A check that was interrupted goes on with what it had not looked at.
func TestAnInterruptedCheckGoesOn(t *testing.T) {
	engines(t, func(w *fixture) {
		b := w.bucket("plain", "")
		for _, key := range []string{"a", "b", "c", "d"} {
			w.unblob(w.put(b, key, small).Segments[0])
		}
		faulty := metafault.Wrap(w.Meta, 1)
		options := Options{Store: w.Store, Meta: faulty, Blobs: map[string]blob.Store{"standard": w.blobs}, Now: w.Clock.Now,
			Shares: 4, Workers: 1, State: filepath.Join(w.TempDir(), "state")}
		cut := errors.New("cut")
		for range 3 {
			faulty.SetRules(metafault.Rule{Op: meta.OpWalkVersions, Skip: 1, Fault: metafault.Before, Err: cut})
			if _, err := Run(w.Context(), options); !errors.Is(err, cut) {
				t.Fatalf("interrupted: %v", err)
			}
		}
		if n := faulty.Calls()[meta.OpWalkUploads]; n != 4 {
			t.Errorf("uploads were walked in %d parts, want 4", n)
		}
		other := options
		other.Deep = true
		if _, err := Run(w.Context(), other); !errors.Is(err, ErrOtherState) {
			t.Errorf("another check in its directory: %v, want ErrOtherState", err)
		}
		faulty.SetRules()
		summary, err := Run(w.Context(), options)
		assert.NoError(w, err)
		if !summary.Resumed || summary.Found[Missing] != 4 || summary.Versions != 4 || summary.Uploads != 0 {
			t.Errorf("in the end: %+v", summary)
		}
		if n := faulty.Calls()[meta.OpWalkVersions]; n != 4+3 {
			t.Errorf("versions were walked in %d parts, want 4 and the 3 that failed", n)
		}
		if summary, err = Run(w.Context(), options); err != nil || summary.Resumed {
			t.Errorf("a new one: %+v, %v", summary, err)
		}
	})
}

func TestACancelledCheckEnds(t *testing.T) {
	engines(t, func(w *fixture) {
		w.put(w.bucket("plain", ""), "k", tiny)
		ctx, cancel := context.WithCancel(w.Context())
		_, err := Run(ctx, Options{Store: w.Store, Meta: w.Meta, Blobs: map[string]blob.Store{"standard": w.blobs}, Shares: 2,
			Progress: func(p Progress) {
				if p.Phase == phaseVersions {
					cancel()
				}
			}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want Canceled", err)
		}
	})
}

// A gateway that deletes a bucket may crash before it drops the listing.
func TestWhatIsLeftOfARemovedBucketsListingIsTakenAway(t *testing.T) {
	engines(t, func(w *fixture) {
		faulty := metafault.Wrap(w.Meta, 1, metafault.Rule{Op: meta.OpDropListing, Fault: metafault.Before})
		dying := w.Gateway(w.T, func(o *store.Options) { o.Meta = faulty })
		kept, b, dropped := w.bucket("kept", ""), w.bucket("gone", ""), w.bucket("dropped", "")
		for _, b := range []*meta.Bucket{kept, b, dropped} {
			w.put(b, "k", 10)
		}
		for _, b := range []*meta.Bucket{b, dropped} {
			_, err := w.Store.Delete(w.Context(), b, "k", store.DeleteInput{})
			assert.NoError(w, err)
		}
		assert.NoError(w, w.Store.Flush(w.Context()))
		assert.NoError(w, w.Store.DeleteBucket(w.Context(), dropped))
		assert.NoError(w, dying.DeleteBucket(w.Context(), b))
		if n := faulty.Calls()[meta.OpDropListing]; n != 1 {
			w.Fatalf("the listing was dropped %d times, want once, in vain", n)
		}
		for _, b := range []*meta.Bucket{b, dropped} { // changes that were on their way, and will fail
			_, _ = w.Meta.Begin(w.Context(), b.ID, "late", meta.NextRev(0, w.Clock.Now()), false)
		}
		var want, repaired []string
		if w.onCassandra() {
			want = []string{"leftover " + b.ID.String() + "/: rows of a listing, and its bucket was removed"}
			repaired = []string{want[0] + " (repaired)"}
		}
		w.expect("a check", w.check(Options{}), want...)
		w.expect("with repair", w.check(Options{Repair: true}), repaired...)
		w.expect("after it", w.check(Options{}))
	})
}

// What a Complete that died leaves of a bucket that was deleted since, and the
// parts of an upload that is over, are taken away.
func TestLeftoversOfUploadsAreTakenAway(t *testing.T) {
	engines(t, func(w *fixture) {
		b, gone := w.bucket("plain", ""), w.bucket("gone", "")
		u := w.upload(gone, "dead")
		_, err := w.Meta.SetUploadState(w.Context(), *u, meta.UploadCompleting)
		assert.NoError(w, err)
		assert.NoError(w, w.Store.DeleteBucket(w.Context(), gone))
		over := w.upload(b, "over")
		_, err = w.Meta.SetUploadState(w.Context(), *over, meta.UploadAborted)
		assert.NoError(w, err)
		assert.NoError(w, w.Meta.Walk(w.Context(), meta.Share{Of: 1}, meta.Visitor{QueueEntry: func(e meta.QueueEntry) error { // as if it were lost
			if e.Blob.Upload != over.ID {
				return nil
			}
			return errors.Join(w.blobs.Delete(w.Context(), e.Blob.Blob), w.Meta.Drop(w.Context(), e))
		}}))
		w.upload(b, "goes on")

		dead := "leftover " + gone.ID.String() + "/dead: the upload, with 1 parts or more, is of a bucket that is gone"
		w.expect("at once", w.check(Options{}), dead)
		w.Clock.Advance(2 * storetest.Grace)
		rest := "leftover plain/over: the upload is aborted, and 1 parts or more are left of it"
		w.expect("when it is old", w.check(Options{}), dead, rest)
		w.expect("repair", w.check(Options{Repair: true}), dead+" (repaired)", rest+" (repaired)")
		w.Clock.Advance(2 * storetest.Grace)
		assert.NoError(w, w.Store.Flush(w.Context()))
		_, err = w.Store.Collect(w.Context())
		assert.NoError(w, err)
		found, summary := w.checked(Options{})
		w.expect("then", found)
		if blobs := map[bool]int64{true: 5, false: 1}[w.onCassandra()]; summary.Blobs != blobs || summary.Uploads == 0 || summary.Parts != 1 {
			t.Errorf("left is %+v", summary)
		}
	})
}

// A copy shares the bytes of its source. One that is not on record would lose
// them with the source.
func TestSharedBytesAreOnRecord(t *testing.T) {
	engines(t, func(w *fixture) {
		b := w.bucket("plain", "")
		const size = 2 << 20
		w.put(b, "source", size)
		_, err := w.Store.Copy(w.Context(), b, "copy", store.CopyInput{Source: b, SourceKey: "source", Attributes: store.Attributes{Owner: "owner"}})
		assert.NoError(w, err)
		assert.NoError(w, w.Store.Flush(w.Context()))
		seg := w.head(b, "copy").Current().Segments[0]
		if seg.Ref == (meta.ID{}) || seg.Blob != w.head(b, "source").Current().Segments[0].Blob {
			t.Skip("copies do not share bytes")
		}
		w.expect("shared", w.check(Options{Deep: true}))
		w.engine.dropReference(w, seg)
		line := "mismatched plain/copy: it shares its bytes…"
		w.expect("not on record", w.check(Options{}), line)
		w.expect("repair", w.check(Options{Repair: true}), line+"(repaired)")
		w.Clock.Advance(2 * storetest.Grace)
		_, err = w.Store.Collect(w.Context())
		assert.NoError(w, err)
		w.expect("then", w.check(Options{}))

		_, err = w.Store.Delete(w.Context(), b, "source", store.DeleteInput{})
		assert.NoError(w, err)
		w.Clock.Advance(2 * storetest.Grace)
		_, err = w.Store.Collect(w.Context())
		assert.NoError(w, err)
		w.expect("when the source is gone", w.check(Options{Deep: true}))
		_, err = w.Store.Delete(w.Context(), b, "copy", store.DeleteInput{})
		assert.NoError(w, err)
		w.Clock.Advance(2 * storetest.Grace)
		_, err = w.Store.Collect(w.Context())
		assert.NoError(w, err)
		found, summary := w.checked(Options{})
		w.expect("when both are", found)
		if summary.Blobs != 0 {
			t.Errorf("%d blobs are left", summary.Blobs)
		}
	})
}
