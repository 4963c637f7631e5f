package embedded

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
)

func openMem(t testing.TB, fs vfs.FS, o Options) *Store {
	t.Helper()
	o.FS = fs
	s, err := Open("meta", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newBucket(t testing.TB, s meta.Store) meta.Bucket {
	t.Helper()
	id := meta.NewID()
	b, err := s.CreateBucket(context.Background(), meta.Bucket{
		Name: "b-" + id.String(), ID: id, Rev: meta.NextRev(0, time.Now()),
		State: meta.BucketActive, Owner: "owner", Created: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// put makes a version the only one of key, on condition of the revision ifRev.
func put(s meta.Store, bucket meta.BucketID, key string, ifRev, rev int64, replaces []int64, body string) error {
	ctx := context.Background()
	p, err := s.Begin(ctx, bucket, key, rev, false)
	if err != nil {
		return err
	}
	v := meta.Version{Seq: rev, Null: true, Size: int64(len(body)), ETag: body, Inline: true, Payload: []byte(body)}
	return p.Commit(ctx, meta.Change{
		IfRev: ifRev, Rev: rev, ID: meta.NewID(), Put: []meta.Version{v}, Delete: replaces,
		NullSeq: rev, Entry: meta.EntryOf(key, &v),
	})
}

func remove(s meta.Store, bucket meta.BucketID, key string, h meta.Head, rev int64) error {
	ctx := context.Background()
	p, err := s.Begin(ctx, bucket, key, rev, false)
	if err != nil {
		return err
	}
	return p.Commit(ctx, meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), Delete: []int64{h.Versions[0].Seq}, RemovesKey: true})
}

func read(t testing.TB, s meta.Store, bucket meta.BucketID, key string) meta.Head {
	t.Helper()
	h, err := s.Read(context.Background(), bucket, key, meta.ReadOptions{Payload: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestStoreIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := newBucket(t, s)
	if err := put(s, b.ID, "k", 0, 100, nil, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if h := read(t, s, b.ID, "k"); len(h.Versions) != 1 || string(h.Versions[0].Payload) != "hello" || h.Rev != 100 {
		t.Fatalf("read %+v", h)
	}
}

func TestSecondOpenNamesTheProcessAndTheDirectory(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = Open(dir, Options{})
	if err == nil {
		t.Fatal("opened twice")
	}
	for _, want := range []string{dir, "in use by process " + strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, c := range map[string]struct{ key, value, want string }{
		"newer format":      {formatKey, "99", ErrNewer.Error()},
		"unreadable format": {formatKey, "x", "unreadable format"},
		"other database":    {"zzz", "1", "not pithos metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			db, err := pebble.Open("meta", &pebble.Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Set([]byte(c.key), []byte(c.value), pebble.Sync), db.Close()); err != nil {
				t.Fatal(err)
			}
			_, err = Open("meta", Options{FS: fs})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Open: %v, want an error that says %q", err, c.want)
			}
		})
	}
}

func TestCallsAfterCloseFail(t *testing.T) {
	s := openMem(t, vfs.NewMem(), Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Read(context.Background(), meta.NewID(), "k", meta.ReadOptions{})
	if !errors.Is(err, meta.ErrUnavailable) {
		t.Fatalf("Read after Close: %v", err)
	}
	if err := s.Ping(context.Background()); !errors.Is(err, meta.ErrUnavailable) {
		t.Fatalf("Ping after Close: %v", err)
	}
}

// A key that is gone for longer than its revision is remembered goes on above
// that revision when it is made again, though the clock has gone back.
func TestRecreatedKeyGoesOnAboveItsOldRevision(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	fs := vfs.NewMem()
	o := Options{Now: func() time.Time { return now }, Remember: time.Second}
	s := openMem(t, fs, o)
	b := newBucket(t, s)
	if err := put(s, b.ID, "k", 0, 1_000_000, nil, "x"); err != nil {
		t.Fatal(err)
	}
	if err := remove(s, b.ID, "k", read(t, s, b.ID, "k"), 1_000_002); err != nil {
		t.Fatal(err)
	}
	if h := read(t, s, b.ID, "k"); h.Rev != 1_000_002 || h.Current() != nil {
		t.Fatalf("the revision of a gone key is %d", h.Rev)
	}
	now = time.UnixMicro(5_000_000)
	if _, err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if h := read(t, s, b.ID, "k"); h.Rev != 0 {
		t.Fatalf("revision %d is still remembered", h.Rev)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	now = time.UnixMicro(500_000) // the clock is set back
	s = openMem(t, fs, o)
	if err := put(s, b.ID, "k", 0, 500_000, nil, "y"); !errors.Is(err, meta.ErrConflict) {
		t.Fatalf("a revision below the old one: %v", err)
	}
	h := read(t, s, b.ID, "k")
	if err := put(s, b.ID, "k", h.Rev, meta.NextRev(h.Rev, now), nil, "y"); err != nil {
		t.Fatal(err)
	}
	if h := read(t, s, b.ID, "k"); h.Rev <= 1_000_002 {
		t.Fatalf("the key was made again at %d", h.Rev)
	}
}

func TestForgottenUploadIsFoundForSomeDays(t *testing.T) {
	ctx := context.Background()
	now := time.UnixMicro(1_000_000)
	s := openMem(t, vfs.NewMem(), Options{Now: func() time.Time { return now }})
	b := newBucket(t, s)
	u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: "k", Rev: 1}
	if err := s.CreateUpload(ctx, u); err != nil {
		t.Fatal(err)
	}
	u, err := s.SetUploadState(ctx, u, meta.UploadAborted)
	if err == nil {
		err = s.ForgetUpload(ctx, u)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		later time.Duration
		want  error
	}{{6 * 24 * time.Hour, nil}, {2 * 24 * time.Hour, meta.ErrNotFound}} {
		now = now.Add(c.later)
		if _, err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Upload(ctx, b.ID, "k", u.ID); !errors.Is(err, c.want) {
			t.Fatalf("at %v: %v, want %v", now, err, c.want)
		}
	}
}

// A fence is as old as its time, not as the revision that it stands at.
func TestFenceAtAnOldRevisionOutlivesASweep(t *testing.T) {
	ctx := context.Background()
	s := openMem(t, vfs.NewMem(), Options{})
	b := newBucket(t, s)
	if _, err := s.Fence(ctx, b.ID, "k", 10, meta.ReadOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if err := put(s, b.ID, "k", 0, 100, nil, "x"); !errors.Is(err, meta.ErrConflict) {
		t.Fatalf("a change from before the fence: %v", err)
	}
}

// A listing that has passed over many deleted keys has them cleared away, so
// that later ones cost their page though nothing is written any more.
func TestListingClearsAwayDeletedKeys(t *testing.T) {
	s := openMem(t, vfs.NewMem(), Options{})
	b := newBucket(t, s)
	batch := s.db.NewBatch()
	for i := range 2 * manySkipped {
		key := rowKey(tableCurrent, b.ID, strconv.Itoa(i))
		if err := errors.Join(batch.Set(key, []byte{0xa0}, nil), batch.Delete(key, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	skipped := func() int {
		it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tableCurrent}, UpperBound: []byte{tableCurrent + 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		if it.First() {
			t.Fatal("a deleted key is there")
		}
		return it.Stats().ForwardStepCount[pebble.InternalIterCall]
	}
	if n := skipped(); n < manySkipped {
		t.Fatalf("only %d deleted rows to pass over", n)
	}
	if _, _, err := s.Scan(context.Background(), b.ID, meta.ScanOptions{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Minute); skipped() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d deleted rows are still passed over", skipped())
		}
		runtime.Gosched()
	}
}
