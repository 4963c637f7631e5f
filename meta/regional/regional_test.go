package regional

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

// region is a store that knows some buckets, has a queue and parts, and fails
// where err is set.
type region struct {
	meta.Store // nil: what is not below is not called
	name       string
	buckets    map[meta.BucketID]meta.Bucket
	queue      []meta.QueueEntry
	parts      []meta.Part
	err        error
	calls      []string
}

func (r *region) called(what string) error {
	r.calls = append(r.calls, what)
	return r.err
}

func (r *region) BucketByID(_ context.Context, id meta.BucketID) (meta.Bucket, error) {
	if b, ok := r.buckets[id]; ok || r.err != nil {
		return b, r.called("BucketByID")
	}
	return meta.Bucket{}, meta.ErrNotFound
}

func (r *region) Ping(context.Context) error { return r.err }

func (r *region) Due(context.Context, time.Time, int) ([]meta.QueueEntry, error) {
	return r.queue, r.err
}

func (r *region) Walk(_ context.Context, _ meta.Share, v meta.Visitor) error {
	for _, e := range r.queue {
		if err := v.QueueEntry(e); err != nil {
			return err
		}
	}
	return r.err
}

func (r *region) Enqueue(_ context.Context, entries ...meta.QueueEntry) error {
	r.queue = append(r.queue, entries...)
	return r.err
}

func (r *region) Parts(context.Context, meta.UploadID, int, int) ([]meta.Part, error) {
	return r.parts, r.called("Parts")
}

func (r *region) Versions(context.Context, meta.BucketID, string, int64, int) ([]meta.Version, error) {
	return nil, r.called("Versions")
}

// two returns a store of two regions, with a bucket in the far one and one in
// a region that is not configured.
func two() (s *Store, home, far *region, inFar, lost meta.Bucket) {
	inFar = meta.Bucket{Name: "in-far", ID: meta.NewID(), Config: meta.BucketConfig{Region: "far"}}
	lost = meta.Bucket{Name: "lost", ID: meta.NewID(), Config: meta.BucketConfig{Region: "moon"}}
	home, far = &region{name: "home"}, &region{name: "far"}
	home.buckets = map[meta.BucketID]meta.Bucket{inFar.ID: inFar, lost.ID: lost}
	return New(home, map[string]meta.Store{"home": home, "far": far, "also-far": far}), home, far, inFar, lost
}

func entryOf(b meta.BucketID, due int64) meta.QueueEntry {
	return meta.QueueEntry{Due: time.UnixMicro(due), Entry: meta.NewID(), Blob: meta.QueuedBlob{Bucket: b}}
}

func TestBucketsAreLookedUpOnce(t *testing.T) {
	s, home, far, b, _ := two()
	for range 3 {
		if _, err := s.Versions(t.Context(), b.ID, "k", 0, 1); err != nil {
			t.Fatal(err)
		}
	}
	if len(home.calls) != 1 || len(far.calls) != 3 {
		t.Errorf("home was asked for %v, the bucket's region for %v", home.calls, far.calls)
	}
}

// TestBucketsOfNowhereShowNothing: an empty answer would tell the collector
// that nothing refers to a blob.
func TestBucketsOfNowhereShowNothing(t *testing.T) {
	s, home, _, _, lost := two()
	if _, err := s.Versions(t.Context(), meta.NewID(), "k", 0, 1); !errors.Is(err, meta.ErrBucketGone) {
		t.Errorf("a bucket that is gone: %v", err)
	}
	if _, err := s.Versions(t.Context(), lost.ID, "k", 0, 1); err == nil || !strings.Contains(err.Error(), `"moon"`) {
		t.Errorf("a region that is not configured: %v", err)
	}
	if _, err := s.CreateBucket(t.Context(), lost); err == nil || !strings.Contains(err.Error(), `"moon"`) {
		t.Errorf("a new bucket there: %v", err)
	}
	home.err = meta.ErrUnavailable
	if _, err := s.Versions(t.Context(), meta.NewID(), "k", 0, 1); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("a lookup that failed: %v", err)
	}
	if err := s.Enqueue(t.Context(), entryOf(meta.NewID(), 1)); !errors.Is(err, meta.ErrUnavailable) || len(home.queue) > 0 {
		t.Errorf("an entry whose region is not known now: %v", err)
	}
}

func TestEntriesOfBucketsThatAreGoneTellTheirRegion(t *testing.T) {
	for name, look := range map[string]func(*Store) error{
		"Due": func(s *Store) error { _, err := s.Due(t.Context(), time.Now(), 10); return err },
		"Walk": func(s *Store) error {
			return s.Walk(t.Context(), meta.Share{Of: 1}, meta.Visitor{QueueEntry: func(meta.QueueEntry) error { return nil }})
		},
	} {
		s, _, far, _, _ := two()
		gone := meta.NewID()
		far.queue = append(far.queue, entryOf(gone, 1))
		if err := look(s); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Versions(t.Context(), gone, "k", 0, 1); err != nil || len(far.calls) != 1 {
			t.Errorf("%s: %v; the region was asked for %v", name, err, far.calls)
		}
	}
}

func TestEntriesGoToTheRegionOfTheirBucket(t *testing.T) {
	s, home, far, b, _ := two()
	if err := s.Enqueue(t.Context(), entryOf(b.ID, 1), entryOf(meta.NewID(), 2), entryOf(b.ID, 3)); err != nil {
		t.Fatal(err)
	}
	if len(far.queue) != 2 || len(home.queue) != 1 {
		t.Errorf("%d in the bucket's region, %d at home", len(far.queue), len(home.queue))
	}
}

func TestEveryRegionHasItsShareOfWhatIsDue(t *testing.T) {
	s, home, far, _, _ := two()
	for i := range int64(10) {
		home.queue = append(home.queue, entryOf(meta.NewID(), i))
	}
	far.queue = []meta.QueueEntry{entryOf(meta.NewID(), 100), home.queue[0]}
	due, err := s.Due(t.Context(), time.Now(), 4)
	if err != nil || len(due) != 4 {
		t.Fatalf("%d entries, %v", len(due), err)
	}
	for i, want := range []int64{0, 1, 2, 100} {
		if got := due[i].Due.UnixMicro(); got != want {
			t.Errorf("entry %d is due at %d, want %d", i, got, want)
		}
	}
}

func TestARegionThatIsDownLeavesTheOthers(t *testing.T) {
	s, home, far, _, _ := two()
	home.queue = []meta.QueueEntry{entryOf(meta.NewID(), 1)}
	home.parts = []meta.Part{{Number: 1}}
	far.err = meta.ErrUnavailable
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	if due, err := s.Due(t.Context(), time.Now(), 10); len(due) != 1 || err != nil {
		t.Errorf("due: %v, %v", due, err)
	}
	if parts, err := s.Parts(t.Context(), meta.NewID(), 0, 10); len(parts) != 1 || err != nil {
		t.Errorf("parts: %v, %v", parts, err)
	}
	home.queue, home.parts = nil, nil
	if _, err := s.Due(t.Context(), time.Now(), 10); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("due, when the other is done: %v", err)
	}
	if _, err := s.Parts(t.Context(), meta.NewID(), 0, 10); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("parts that may be there: %v", err)
	}
	home.err = meta.ErrUnavailable
	if err := s.Ping(t.Context()); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("ping, with all down: %v", err)
	}
}

func TestLocationsThatAreNotUsedAreForgotten(t *testing.T) {
	var p locations
	kept, unused, store := meta.NewID(), meta.NewID(), &region{}
	p.put(kept, store)
	p.put(unused, store)
	for range 2*generation + 2 {
		p.put(meta.NewID(), store)
		if _, ok := p.get(kept); !ok {
			t.Fatal("a location that is used was forgotten")
		}
	}
	if _, ok := p.get(unused); ok {
		t.Error("a location that is not used is still known")
	}
	if n := len(p.recent) + len(p.old); n > 2*generation {
		t.Errorf("%d locations are remembered", n)
	}
}
