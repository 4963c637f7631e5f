package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
)

func fill(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(p)
	return p
}

func store(s *Store, id blob.ID, data []byte) (blob.Ref, error) {
	w, err := s.Create(context.Background(), id)
	if err != nil {
		return blob.Ref{}, err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return blob.Ref{}, err
	}
	return w.Commit()
}

func load(s *Store, ref blob.Ref) ([]byte, error) {
	r, err := s.Open(context.Background(), ref, 0, ref.Size)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// history is what the clients of a store know to be so.
type history struct {
	mu        sync.Mutex
	committed map[blob.Ref][]byte
	begun     map[blob.ID]bool // begun, neither committed nor known to be gone
	deleted   map[blob.Ref]bool
}

func (h *history) record(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// TestCommittedBlobsSurviveACrash lets writers write and delete, takes what a
// crash before some file operation would leave on disk, and opens that.
func TestCommittedBlobsSurviveACrash(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashOnce(t, seed) })
	}
}

func crashOnce(t *testing.T, seed uint64) {
	mem := vfs.NewCrashableMem()
	h := &history{committed: map[blob.Ref][]byte{}, begun: map[blob.ID]bool{}, deleted: map[blob.Ref]bool{}}
	var operations atomic.Int64
	var crashed vfs.FS
	var before, after *history
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && operations.Add(1) == int64(20+10*seed) {
			before = snapshot(h)
			rng := rand.New(rand.NewPCG(seed, 99))
			crashed = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(seed%5) * 25, RNG: rng})
			after = snapshot(h)
		}
		return nil
	}))
	s := openStore(t, "data", Options{FS: fs, MemTableBytes: 512 << 10})
	operations.Store(0)
	var g errgroup.Group
	for i := range uint64(4) {
		g.Go(func() error { return workload(s, h, rand.New(rand.NewPCG(seed, i))) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if crashed == nil {
		t.Fatalf("only %d file operations: no crash", operations.Load())
	}
	checkCrashed(t, crashed, before, after)
	end := snapshot(h)
	checkCrashed(t, mem.CrashClone(vfs.CrashCloneCfg{}), end, end)
}

func workload(s *Store, h *history, rnd *rand.Rand) error {
	for range 12 {
		id := blob.NewID()
		data := fill(rnd.Uint64(), 1+rnd.IntN([]int{100, 200 << 10, 600 << 10}[rnd.IntN(3)]))
		h.record(func() { h.begun[id] = true })
		ref, err := store(s, id, data)
		if err != nil {
			return err
		}
		h.record(func() { h.committed[ref] = data })
		if rnd.IntN(4) > 0 {
			continue
		}
		h.record(func() { delete(h.committed, ref) }) // from here on either is right
		if err := s.Delete(context.Background(), id); err != nil {
			return err
		}
		h.record(func() { h.deleted[ref] = true })
	}
	return nil
}

func snapshot(h *history) *history {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &history{committed: map[blob.Ref][]byte{}, begun: map[blob.ID]bool{}, deleted: map[blob.Ref]bool{}}
	for ref, data := range h.committed {
		c.committed[ref] = data
	}
	for id := range h.begun {
		c.begun[id] = true
	}
	for ref := range h.deleted {
		c.deleted[ref] = true
	}
	return c
}

// checkCrashed opens what a crash left. What was committed before it, and not
// being deleted by the time after, must be whole; what was deleted is gone;
// everything found must have been begun.
func checkCrashed(t *testing.T, fs vfs.FS, before, after *history) {
	t.Helper()
	s, err := Open("data", Options{FS: fs})
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	defer s.Close()
	for ref, data := range before.committed {
		if _, ok := after.committed[ref]; !ok {
			continue
		}
		if got, err := load(s, ref); err != nil || !bytes.Equal(got, data) {
			t.Errorf("committed blob of %d bytes: %d bytes after the crash, %v", ref.Size, len(got), err)
		}
	}
	for ref := range before.deleted {
		if _, err := load(s, ref); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("deleted blob of %d bytes after the crash: %v, want ErrNotFound", ref.Size, err)
		}
	}
	err = s.Walk(t.Context(), func(info blob.Info) error {
		if !after.begun[info.ID] {
			t.Errorf("a blob of %d bytes that was never begun", info.Size)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Walk: %v", err)
	}
}

func TestCrashLeavesNothingOfUncommittedBlobs(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openStore(t, "data", Options{FS: fs})
	for _, size := range []int{10, 200 << 10, 900 << 10} {
		w, err := s.Create(t.Context(), blob.NewID())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		if _, err := w.Write(fill(1, size)); err != nil {
			t.Fatal(err)
		}
	}
	for percent := 0; percent <= 100; percent += 50 {
		rng := rand.New(rand.NewPCG(1, uint64(percent)))
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
		none := &history{}
		checkCrashed(t, crashed, none, none)
		if names, err := crashed.List("data/tmp"); err != nil || len(names) > 0 {
			t.Errorf("tmp holds %v after the next start: %v", names, err)
		}
	}
}

// TestFailedFileOperationsLeaveNothing fails each operation on large blobs in
// turn, until one goes through.
func TestFailedFileOperationsLeaveNothing(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		failAt, failures := -1, 0
		count := 0
		var on bool
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !on || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || strings.Contains(op.Path, "small") || op.Kind == errorfs.OpRemove {
				return nil
			}
			count++
			if count-1 == failAt {
				return cause
			}
			return nil
		}))
		s := openStore(t, "data", Options{FS: fs})
		data := fill(2, 900<<10)
		for failAt = 0; ; failAt++ {
			on, count = true, 0
			ref, err := store(s, blob.NewID(), data)
			on = false
			if err == nil {
				if got, err := load(s, ref); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("blob is not what was written: %v", err)
				}
				break
			}
			failures++
			want := blob.ErrUnavailable
			if cause == syscall.ENOSPC {
				want = blob.ErrFull
			}
			if !errors.Is(err, want) || !errors.Is(err, cause) {
				t.Errorf("operation %d fails with %q: the write fails with %v", failAt, cause, err)
			}
			if err := s.Walk(t.Context(), func(info blob.Info) error {
				return fmt.Errorf("%d bytes are left", info.Size)
			}); err != nil {
				t.Errorf("operation %d fails with %q: %v", failAt, cause, err)
			}
		}
		if failures < 4 { // create, write, fsync, rename at least
			t.Errorf("only %d operations failed", failures)
		}
	}
}

func TestFullDiskRefusesWritesAndKeepsReading(t *testing.T) {
	fs := vfs.NewMem()
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 40})
	s := openStore(t, "data", Options{FS: fs})
	sizes := []int{10, 900 << 10}
	refs := make(map[int]blob.Ref)
	for _, size := range sizes {
		var err error
		if refs[size], err = store(s, blob.NewID(), fill(3, size)); err != nil {
			t.Fatal(err)
		}
	}
	fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20, TotalBytes: 1 << 40})
	for _, size := range sizes {
		if _, err := store(s, blob.NewID(), fill(4, size)); !errors.Is(err, blob.ErrFull) {
			t.Errorf("write of %d bytes to a full disk: %v, want ErrFull", size, err)
		}
		if got, err := load(s, refs[size]); err != nil || !bytes.Equal(got, fill(3, size)) {
			t.Errorf("read of %d bytes from a full disk: %v", size, err)
		}
		if err := s.Delete(t.Context(), refs[size].ID); err != nil {
			t.Errorf("delete on a full disk: %v", err)
		}
	}
}
