package blobtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pithos/pithos/blob"
)

// sizes are the sizes at which something may change.
func sizes(chunk, block int64) []int64 {
	var out []int64
	for _, around := range []int64{0, 4 << 10, 64 << 10, 256 << 10, chunk, 2 * chunk, 3 * chunk, block, 2 * block} {
		for d := int64(-1); d <= 1; d++ {
			if around+d >= 0 {
				out = append(out, around+d)
			}
		}
	}
	return append(out, 2*block+chunk+chunk/3)
}

func testSizes(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	for i, size := range sizes(chunk, block) {
		data := content(uint64(i), size)
		wantWhole(t, s, put(t, s, data), data)
	}
}

func testWriteSizes(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	data := content(1, max(2*chunk+100, 300<<10))
	for _, step := range []int{1, 7, 1000, int(chunk) - 1, int(chunk), int(chunk) + 1, 3 << 20} {
		w := create(t, s, blob.NewID())
		write(t, w, data, step)
		if _, err := w.Write(nil); err != nil {
			t.Fatalf("Write of nothing: %v", err)
		}
		ref := commit(t, w, len(data))
		wantWhole(t, s, ref, data)
	}
}

func testWriteRetainsNothing(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	data := content(2, 4*chunk+1)
	w := create(t, s, blob.NewID())
	scratch := make([]byte, chunk)
	for p := data; len(p) > 0; {
		n := copy(scratch, p)
		write(t, w, scratch[:n], n)
		clear(scratch)
		p = p[n:]
	}
	wantWhole(t, s, commit(t, w, len(data)), data)
}

func testReadBeforeCommit(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	for _, size := range []int64{100, chunk + 100, max(4*chunk+100, 600<<10)} {
		id := blob.NewID()
		w := create(t, s, id)
		write(t, w, content(3, size), 1<<20)
		ref := blob.Ref{ID: id, Size: size, Chunk: int32(chunk), Block: 1 << 10}
		if _, err := readRange(t.Context(), s, ref, 0, size); err == nil {
			t.Errorf("a blob of %d bytes can be read before it is committed", size)
		}
		w.Abort()
	}
}

func testAbort(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	for _, size := range []int64{0, 1, chunk, 600 << 10, 2*block + 1} {
		id := blob.NewID()
		w := create(t, s, id)
		write(t, w, content(4, size), 1<<20)
		w.Abort()
		w.Abort()
		if n, ok := walk(t, s)[id]; ok {
			t.Errorf("of %d bytes %d are left after Abort", size, n)
		}
		if _, err := w.Commit(); err == nil {
			t.Errorf("Commit after Abort succeeds")
		}
	}
}

func testAbortAfterCommit(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	for _, size := range []int64{10, 5*chunk + 1} {
		data := content(5, size)
		w := create(t, s, blob.NewID())
		write(t, w, data, 1<<20)
		ref := commit(t, w, len(data))
		w.Abort()
		wantWhole(t, s, ref, data)
	}
}

func testWriteAfterEnd(t *testing.T, s blob.Store) {
	w := create(t, s, blob.NewID())
	write(t, w, []byte("abc"), 3)
	ref := commit(t, w, 3)
	if n, err := w.Write([]byte("d")); err == nil || n != 0 {
		t.Errorf("Write after Commit: wrote %d, error %v", n, err)
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a second Commit succeeds")
	}
	wantWhole(t, s, ref, []byte("abc"))
}

func testDelete(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	kept := content(6, chunk+1)
	other := put(t, s, kept)
	for _, size := range []int64{1, chunk, 600 << 10, 3*block + 1} {
		ref := put(t, s, content(7, size))
		if err := s.Delete(t.Context(), ref.ID); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		wantGone(t, s, ref)
	}
	wantWhole(t, s, other, kept)
}

func testDeleteInterrupted(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	for _, size := range []int64{1, chunk + 1, 600 << 10, 3*block + 1} {
		id := blob.NewID()
		// A context of its own, which ends before the writer is done: what a
		// dead gateway leaves.
		ctx, cancel := context.WithCancel(t.Context())
		w, err := s.Create(ctx, id)
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		write(t, w, content(8, size), 1<<20)
		cancel()
		if _, err := w.Commit(); err == nil {
			t.Fatal("Commit succeeds though its context is cancelled")
		}
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		if n, ok := walk(t, s)[id]; ok {
			t.Errorf("of %d bytes %d are left after Delete", size, n)
		}
	}
}

func testDeleteTwice(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	if err := s.Delete(t.Context(), blob.NewID()); err != nil {
		t.Errorf("Delete of what was never there: %v", err)
	}
	for _, size := range []int64{0, 5, 5*chunk + 600<<10} {
		ref := put(t, s, content(9, size))
		for range 2 {
			if err := s.Delete(t.Context(), ref.ID); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
	}
}

func testWalk(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	want := make(map[blob.ID]int64)
	for i, size := range []int64{1, 100, chunk, chunk + 1, 300 << 10, 2*block + 5} {
		want[put(t, s, content(uint64(i), size)).ID] = size
	}
	for i := range 40 {
		want[put(t, s, content(uint64(i), int64(i+1))).ID] = int64(i + 1)
	}
	found := walk(t, s)
	for id, size := range want {
		if found[id] != size {
			t.Errorf("Walk finds %d bytes of blob %s, want %d", found[id], id, size)
		}
	}
	if len(found) != len(want) {
		t.Errorf("Walk finds %d blobs, want %d", len(found), len(want))
	}
}

func testWalkStops(t *testing.T, s blob.Store) {
	for i := range 5 {
		put(t, s, content(uint64(i), 10))
	}
	stop, visits := fmt.Errorf("enough"), 0
	err := s.Walk(t.Context(), func(blob.Info) error {
		visits++
		return stop
	})
	if !errors.Is(err, stop) || visits != 1 {
		t.Errorf("Walk returns %v after %d visits, want the visitor's error after 1", err, visits)
	}
}
