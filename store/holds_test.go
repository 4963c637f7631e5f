package store_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// hooked calls a hook after a call of the collector's.
type hooked struct {
	meta.Store
	due, references func()
}

func (h *hooked) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	due, err := h.Store.Due(ctx, now, limit)
	if h.due != nil {
		h.due()
	}
	return due, err
}

func (h *hooked) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	refs, err := h.Store.References(ctx, b)
	if h.references != nil {
		h.references()
	}
	return refs, err
}

func (w *fixture) hold(t *testing.T) meta.Hold {
	t.Helper()
	h, err := store.HoldAdmin{Meta: w.Meta}.Begin(t.Context(), time.Hour, "test")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestAHoldThatBeginsDuringACollectionIsHonoured has the collector overtaken,
// at each step of its proof, by a backup that copies the metadata and by the
// deletion of what these refer to.
func TestAHoldThatBeginsDuringACollectionIsHonoured(t *testing.T) {
	for _, step := range []string{"due", "references"} {
		t.Run(step, func(t *testing.T) {
			w := newFixture(t)
			b := w.bucket(t, "")
			w.put(t, b, "k", random(100_000))
			// As a PUT leaves it that was not able to drop its entry.
			h, err := w.Meta.Read(t.Context(), b.ID, "k", meta.ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			seg := h.Current().Segments[0]
			err = w.Meta.Enqueue(t.Context(), meta.QueueEntry{Due: w.Clock.Now(), Entry: meta.NewID(), Kind: meta.QueueFresh,
				Blob: meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: b.ID, Key: "k"}})
			if err != nil {
				t.Fatal(err)
			}
			m := &hooked{Store: w.Meta}
			var hold meta.Hold
			overtake := func() {
				if hold.ID == (meta.ID{}) {
					hold = w.hold(t)
					if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{}); err != nil {
						t.Error(err)
					}
				}
			}
			if step == "due" {
				m.due = overtake
			} else {
				if _, err := w.Delete(t.Context(), b, "k", store.DeleteInput{}); err != nil {
					t.Fatal(err)
				}
				m.references = overtake
			}
			w.Clock.Advance(2 * storetest.Grace)
			done, err := w.Gateway(t, func(o *store.Options) { o.Meta = m }).Collect(t.Context())
			if err != nil || !done.Held || done.Deleted != 0 || w.stored(t) == 0 {
				t.Fatalf("collected %+v, %v, and %d blobs are left", done, err, w.stored(t))
			}
			if err := (store.HoldAdmin{Meta: w.Meta}).End(t.Context(), hold.ID); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(2 * storetest.Grace)
			if _, err := w.Collect(t.Context()); err != nil || w.stored(t) != 0 {
				t.Fatalf("%v, and %d blobs are left after the hold", err, w.stored(t))
			}
		})
	}
}

// TestWhileABackupHoldsNothingIsDeleted goes through everything that deletes
// blobs.
func TestWhileABackupHoldsNothingIsDeleted(t *testing.T) {
	w := newFixture(t)
	b, doomed := w.bucket(t, ""), w.bucket(t, "")
	w.put(t, b, "deleted", random(100_000))
	w.put(t, b, "replaced", random(100_000))
	part := func(b *meta.Bucket) string {
		u, err := w.CreateUpload(t.Context(), b, "upload", store.CreateUploadInput{Attributes: store.Attributes{Owner: "alice"}})
		if err == nil {
			_, err = w.UploadPart(t.Context(), b, "upload", store.PartInput{UploadID: u.ID.String(), Number: 1, Body: bytes.NewReader(random(100_000)), Size: 100_000})
		}
		if err != nil {
			t.Fatal(err)
		}
		return u.ID.String()
	}
	upload := part(b)
	part(doomed)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold, before := w.hold(t), w.stored(t)

	if _, err := w.Delete(t.Context(), b, "deleted", store.DeleteInput{}); err != nil {
		t.Fatal(err)
	}
	w.put(t, b, "replaced", []byte("short"))
	if err := w.AbortUpload(t.Context(), b, "upload", upload); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteBucket(t.Context(), doomed); err != nil {
		t.Fatal(err)
	}
	_, err := w.Put(t.Context(), b, "broken", store.PutInput{Attributes: store.Attributes{Owner: "alice"}, Body: bytes.NewReader(random(50_000)), Size: 60_000})
	wantCode(t, err, s3err.IncompleteBody)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Clock.Advance(2 * storetest.Grace)
		if done, err := w.Collect(t.Context()); err != nil || !done.Held {
			t.Fatalf("collected %+v, %v", done, err)
		}
	}
	if got := w.stored(t); got < before {
		t.Errorf("of %d blobs %d are left", before, got)
	}
	if err := (store.HoldAdmin{Meta: w.Meta}).End(t.Context(), hold.ID); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.Clock.Advance(2 * storetest.Grace)
		if _, err := w.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.stored(t); got != 0 {
		t.Errorf("%d blobs are left after the hold", got)
	}
}

// TestAHoldExpiresByWhatGatewaysHaveSeen, of which several age it, one whose
// clock is a year ahead.
func TestAHoldExpiresByWhatGatewaysHaveSeen(t *testing.T) {
	w := newFixture(t)
	other := w.Gateway(t, func(o *store.Options) { o.Now = func() time.Time { return w.Clock.Now().AddDate(1, 0, 0) } })
	age := func() []meta.Hold {
		t.Helper()
		var left []meta.Hold
		for _, s := range []*store.Store{w.Store, other} {
			var err error
			if left, err = s.AgeHolds(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return left
	}
	admin := store.HoldAdmin{Meta: w.Meta}
	h := w.hold(t) // for an hour
	age()
	for range 5 {
		w.Clock.Advance(10 * time.Minute)
		if len(age()) != 1 {
			t.Fatal("a hold of an hour expires within 50 minutes")
		}
	}
	if _, err := admin.Renew(t.Context(), h.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	age()
	for range 5 {
		w.Clock.Advance(10 * time.Minute)
		if len(age()) != 1 {
			t.Fatal("a renewed hold expires within 50 minutes")
		}
	}
	for range 3 {
		w.Clock.Advance(10 * time.Minute)
		age()
	}
	if left := age(); len(left) != 0 {
		t.Fatalf("a hold that no caller renews lasts: %v", left)
	}
	if err := admin.End(t.Context(), h.ID); !errors.Is(err, store.ErrNoHold) {
		t.Errorf("the end of an expired hold: %v", err)
	}
	if _, err := admin.Renew(t.Context(), h.ID, time.Hour); !errors.Is(err, store.ErrNoHold) {
		t.Errorf("the renewal of an expired hold: %v", err)
	}
}
