package embedded

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pithos/pithos/meta"
)

// crash returns what a crash now leaves of the file system: all that was
// synced, and by chance some of what was not.
func crash(fs *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rand.New(rand.NewPCG(rng.Uint64(), 0))}
	return fs.CrashClone(cfg)
}

// reopened opens what a crash has left, and checks that its rows agree.
func reopened(t *testing.T, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open("meta", Options{FS: fs})
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	if err := checkRows(s); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	return s
}

// checkRows holds that the rows of the database agree with one another.
func checkRows(s *Store) error {
	return s.iterate(context.Background(), nil, nil, func(key, value []byte) (bool, error) {
		var err error
		switch key[0] {
		case tableHead:
			err = checkHeadRow(s, key, value)
		case tableGone:
			err = checkAbsent(s, tableHead, key)
		case tableCurrent:
			err = checkPresent(s, tableHead, key)
		case tablePayload:
			err = checkPresent(s, tableVersion, key)
		case tableVersion:
			err = checkVersionRow(s, key, value)
		}
		if err != nil {
			err = fmt.Errorf("row %q: %w", key, err)
		}
		return true, err
	})
}

func moved(key []byte, table byte) []byte {
	other := bytes.Clone(key)
	other[0] = table
	return other
}

func checkPresent(s *Store, table byte, key []byte) error {
	if _, err := s.get(moved(key, table)); err != nil {
		return fmt.Errorf("row in table %c: %w", table, err)
	}
	return nil
}

func checkAbsent(s *Store, table byte, key []byte) error {
	if _, err := s.get(moved(key, table)); err == nil {
		return fmt.Errorf("there is a row in table %c too", table)
	}
	return nil
}

func checkHeadRow(s *Store, key, value []byte) error {
	h, err := decodeHead(value)
	if err != nil {
		return err
	}
	if h.current == 0 {
		return fmt.Errorf("a head without versions")
	}
	bucket, name := meta.BucketID(key[1:1+idLen]), string(key[1+idLen:])
	versions, err := s.versions(context.Background(), bucket, name, 0, 1, true)
	if err != nil || len(versions) == 0 || versions[0].Seq != h.current {
		return fmt.Errorf("current version %d, newest %+v, %v", h.current, versions, err)
	}
	if v := versions[0]; string(v.Payload) != "" && string(v.Payload) != v.ETag && v.Inline {
		return fmt.Errorf("version %+v has another's payload", v)
	}
	if !h.listed {
		return checkAbsent(s, tableCurrent, key)
	}
	var e meta.Entry
	if err := s.getRow(moved(key, tableCurrent), &e); err != nil || e.Seq != h.current {
		return fmt.Errorf("listed as %+v, %v", e, err)
	}
	return nil
}

func checkVersionRow(s *Store, key, value []byte) error {
	var v meta.Version
	if err := meta.Unmarshal(value, &v); err != nil {
		return err
	}
	if v.Inline && v.Size > 0 {
		return checkPresent(s, tablePayload, key)
	}
	return checkAbsent(s, tablePayload, key)
}

func TestAcknowledgedChangesSurviveACrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	fs := vfs.NewCrashableMem()
	s := openMem(t, fs, Options{MemTableBytes: 64 << 10})
	b := newBucket(t, s)
	want := map[string]meta.Head{}
	for i := range 150 {
		key := fmt.Sprint("k", rng.IntN(8))
		h := want[key]
		rev := max(h.Rev, int64(i)) + 2
		var err error
		switch {
		case len(h.Versions) > 0 && rng.IntN(3) == 0:
			err = remove(s, b.ID, key, h, rev)
		case len(h.Versions) > 0:
			err = put(s, b.ID, key, h.Rev, rev, []int64{h.Versions[0].Seq}, string(bytes.Repeat([]byte{'x'}, rng.IntN(4000))))
		default:
			err = put(s, b.ID, key, h.Rev, rev, nil, "new")
		}
		if err != nil {
			t.Fatal(err)
		}
		want[key] = read(t, s, b.ID, key)
		after := reopened(t, crash(fs, rng))
		for key, h := range want {
			if got := read(t, after, b.ID, key); fmt.Sprint(got) != fmt.Sprint(h) {
				t.Fatalf("change %d of %q: %+v after the crash, want %+v", i, key, got, h)
			}
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOtherAcknowledgedRowsSurviveACrash(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(3, 4))
	fs := vfs.NewCrashableMem()
	s := openMem(t, fs, Options{})
	b := newBucket(t, s)
	u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: "k", Rev: 1}
	e := meta.QueueEntry{Due: s.opts.Now(), Entry: meta.NewID(), Kind: meta.QueueFresh}
	for _, step := range []struct {
		name  string
		do    func() error
		check func(s *Store) error
	}{
		{"bucket", func() error { return nil }, func(s *Store) error { _, err := s.Bucket(ctx, b.Name); return err }},
		{"upload", func() error { return s.CreateUpload(ctx, u) }, func(s *Store) error { _, err := s.Upload(ctx, b.ID, "k", u.ID); return err }},
		{"part", func() error { return s.PutPart(ctx, u, meta.Part{Number: 1}) }, func(s *Store) error {
			return wantOne(s.Parts(ctx, u.ID, 0, 9))
		}},
		{"queue entry", func() error { return s.Enqueue(ctx, e) }, func(s *Store) error { return wantOne(s.Due(ctx, e.Due, 9)) }},
		{"claim", func() error { return s.Claim(ctx, e) }, func(s *Store) error {
			due, err := s.Due(ctx, e.Due, 9)
			if err == nil && !due[0].Claimed {
				err = fmt.Errorf("the claim is lost")
			}
			return err
		}},
		{"drop, flushed", func() error {
			if err := s.Drop(ctx, e); err != nil {
				return err
			}
			return s.Flush(ctx)
		}, func(s *Store) error {
			if wantOne(s.Due(ctx, e.Due, 9)) == nil {
				return fmt.Errorf("the entry is back")
			}
			return nil
		}},
		{"fence", func() error { _, err := s.Fence(ctx, b.ID, "k", 50, meta.ReadOptions{}); return err }, func(s *Store) error {
			h, err := s.Read(ctx, b.ID, "k", meta.ReadOptions{})
			if h.Rev <= 50 {
				return fmt.Errorf("the fence is lost: %+v, %v", h, err)
			}
			return nil
		}},
		{"access key", func() error { return s.PutAccessKey(ctx, meta.AccessKey{ID: "AK"}) }, func(s *Store) error {
			_, err := s.AccessKey(ctx, "AK")
			return err
		}},
		{"hold", func() error { return s.AddHold(ctx, meta.Hold{ID: meta.ID{1}, Rev: 1, Left: 1}) }, func(s *Store) error {
			holds, err := s.ListHolds(ctx)
			if err == nil && len(holds) != 1 {
				err = fmt.Errorf("the hold is lost: %v", holds)
			}
			return err
		}},
		{"lease", func() error { return s.PutLease(ctx, meta.Lease{Job: "j", Rev: 1}, 0) }, func(s *Store) error {
			return wantOne(s.ListLeases(ctx, "j"))
		}},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for range 5 {
			after := reopened(t, crash(fs, rng))
			if err := step.check(after); err != nil {
				t.Errorf("%s after a crash: %v", step.name, err)
			}
			if err := after.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func wantOne[T any](rows []T, err error) error {
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d rows", len(rows))
	}
	return err
}

// Crashes in the midst of concurrent changes: what was acknowledged, or seen
// by a reader or in a listing, is there, and no change is there by half.
func TestCrashUnderConcurrentChangesLosesNothingSeen(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	fs := vfs.NewCrashableMem()
	s := openMem(t, fs, Options{MemTableBytes: 64 << 10})
	b := newBucket(t, s)
	const keys = 4
	var seen [keys]atomic.Int64 // the newest Seq that anybody was told of
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop.Store(true)
	for i := range keys {
		wg.Go(func() { overwriteUntil(t, s, b.ID, fmt.Sprint("k", i), &seen[i], &stop) })
		wg.Go(func() { readUntil(t, s, b.ID, fmt.Sprint("k", i), &seen[i], &stop) })
	}
	wg.Go(func() { listUntil(t, s, b.ID, seen[:], &stop) })
	for range 40 {
		var before [keys]int64
		for i := range before {
			before[i] = seen[i].Load()
		}
		after := reopened(t, crash(fs, rng))
		for i, seq := range before {
			h := read(t, after, b.ID, fmt.Sprint("k", i))
			if seq > 0 && (len(h.Versions) != 1 || h.Versions[0].Seq < seq) {
				t.Errorf("key %d was seen at %d and is at %+v after the crash", i, seq, h)
			}
		}
		if err := after.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func raise(seen *atomic.Int64, seq int64) {
	for {
		old := seen.Load()
		if old >= seq || seen.CompareAndSwap(old, seq) {
			return
		}
	}
}

func overwriteUntil(t *testing.T, s *Store, bucket meta.BucketID, key string, seen *atomic.Int64, stop *atomic.Bool) {
	var old []int64
	for rev := int64(2); !stop.Load(); rev += 2 {
		if err := put(s, bucket, key, rev-2, rev, old, fmt.Sprint("body of ", rev)); err != nil {
			t.Error(err)
			return
		}
		raise(seen, rev)
		old = []int64{rev}
	}
}

func readUntil(t *testing.T, s *Store, bucket meta.BucketID, key string, seen *atomic.Int64, stop *atomic.Bool) {
	for !stop.Load() {
		h, err := s.Read(context.Background(), bucket, key, meta.ReadOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		raise(seen, h.Rev)
	}
}

func listUntil(t *testing.T, s *Store, bucket meta.BucketID, seen []atomic.Int64, stop *atomic.Bool) {
	for !stop.Load() {
		entries, _, err := s.Scan(context.Background(), bucket, meta.ScanOptions{Limit: 100})
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range entries {
			raise(&seen[e.Key[1]-'0'], e.Seq)
		}
	}
}

// When the disk refuses a sync, the change is not acknowledged and the store
// says why it ends; what was acknowledged before is there at the next start.
func TestFailingSyncEndsTheStore(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var broken atomic.Bool
	disk := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return errorfs.ErrInjected
		}
		return nil
	}))
	fatal := make(chan string, 10)
	s, err := Open("meta", Options{FS: disk, Fatalf: func(format string, args ...any) {
		fatal <- fmt.Sprintf(format, args...)
		runtime.Goexit() // as an exit, for the goroutine that asked for it
	}})
	if err != nil {
		t.Fatal(err)
	} // it is not closed: the process would have ended
	b := newBucket(t, s)
	if err := put(s, b.ID, "before", 0, 10, nil, "x"); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	acknowledged := make(chan error, 1)
	go func() { acknowledged <- put(s, b.ID, "after", 0, 10, nil, "x") }()
	select {
	case why := <-fatal:
		if !strings.Contains(why, "injected") {
			t.Fatalf("the store ended with %q", why)
		}
	case err := <-acknowledged:
		t.Fatalf("the change ended with %v", err)
	}
	after := reopened(t, crash(fs, rand.New(rand.NewPCG(7, 8))))
	defer after.Close()
	if h := read(t, after, b.ID, "before"); len(h.Versions) != 1 {
		t.Fatalf("what was acknowledged is %+v", h)
	}
}
