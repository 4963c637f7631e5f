// Package blobtest holds every driver to the contract of [blob.Store].
//
// A driver's test is a few lines:
//
//	func TestStore(t *testing.T) {
//		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t) })
//	}
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
)

// A Suite says how to get at a store, and what more of it can be tested.
type Suite struct {
	// Open returns a store that no other test uses. What it needs to be
	// closed is registered with t.Cleanup.
	Open func(t *testing.T) blob.Store
	// Corrupt changes a stored byte of chunk n of the blob behind the store's
	// back, in every replica. Nil: corruption is not tested.
	Corrupt func(t *testing.T, s blob.Store, ref blob.Ref, n int64)
	// Seed makes the random operations repeatable. Zero: another one each time.
	Seed uint64
}

// Run tests everything that needs nothing but a store.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	Suite{Open: open}.Run(t)
}

// Run runs one subtest for each behaviour.
func (s Suite) Run(t *testing.T) {
	tests := []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"ReadsBackWhatWasWritten", testSizes},
		{"WriteSizesDoNotMatter", testWriteSizes},
		{"WriteKeepsNothingOfItsArgument", testWriteRetainsNothing},
		{"RangesReadTheirBytes", testRanges},
		{"RangesOutsideTheBlobAreRefused", testBadRanges},
		{"WriterToGivesTheSameBytes", testWriterTo},
		{"NothingIsReadBeforeCommit", testReadBeforeCommit},
		{"UnknownBlobIsNotFound", testNotFound},
		{"AbortLeavesNothing", testAbort},
		{"AbortAfterCommitDoesNothing", testAbortAfterCommit},
		{"WriteAfterTheEndFails", testWriteAfterEnd},
		{"DeleteRemovesTheBlob", testDelete},
		{"DeleteRemovesAnInterruptedWrite", testDeleteInterrupted},
		{"DeleteTwiceIsNoError", testDeleteTwice},
		{"CloseInMidReadIsClean", testCloseEarly},
		{"WalkVisitsEachBlob", testWalk},
		{"WalkReturnsTheVisitorsError", testWalkStops},
		{"ConcurrentWritersAndReaders", testConcurrent},
		{"CancelEndsAWrite", testCancelWrite},
		{"CancelEndsARead", testCancelRead},
		{"CancelledContextIsRefused", testCancelledBefore},
		{"RandomOperationsMatchAModel", func(t *testing.T, b blob.Store) { testRandom(t, b, s.Seed) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, s.Open(t)) })
	}
	inspections(s, t)
	t.Run("CorruptionIsFound", func(t *testing.T) {
		if s.Corrupt == nil {
			t.Skip("the driver's test has no way to corrupt a blob")
		}
		testCorruption(t, s.Open(t), s.Corrupt)
	})
}

// content returns n bytes that depend on seed and on their place, so that a
// chunk in the wrong place or of the wrong blob shows.
func content(seed uint64, n int64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 7})
	_, _ = r.Read(p) // never fails
	return p
}

func create(t *testing.T, s blob.Store, id blob.ID) blob.Writer {
	t.Helper()
	w, err := s.Create(t.Context(), id)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return w
}

// write appends data in writes of step bytes.
func write(t *testing.T, w blob.Writer, data []byte, step int) {
	t.Helper()
	for p := data; len(p) > 0; {
		k := min(step, len(p))
		n, err := w.Write(p[:k])
		if err != nil || n != k {
			t.Fatalf("Write of %d bytes: wrote %d: %v", k, n, err)
		}
		p = p[k:]
	}
}

func commit(t *testing.T, w blob.Writer, size int) blob.Ref {
	t.Helper()
	ref, err := w.Commit()
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if ref.Size != int64(size) {
		t.Fatalf("Commit: the Ref has size %d, want %d", ref.Size, size)
	}
	return ref
}

// put stores data as a new blob.
func put(t *testing.T, s blob.Store, data []byte) blob.Ref {
	t.Helper()
	id := blob.NewID()
	w := create(t, s, id)
	write(t, w, data, 1<<20)
	ref := commit(t, w, len(data))
	if ref.ID != id {
		t.Fatalf("Commit: the Ref names %s, want %s", ref.ID, id)
	}
	return ref
}

func readRange(ctx context.Context, s blob.Store, ref blob.Ref, offset, length int64) (data []byte, err error) {
	r, err := s.Open(ctx, ref, offset, length)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := r.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close: %w", closeErr)
		}
	}()
	// Not io.ReadAll: were the reader endless, so would be the test.
	data, err = io.ReadAll(io.LimitReader(r, length+1))
	if err == nil && int64(len(data)) != length {
		err = fmt.Errorf("read %d bytes and io.EOF, want %d", len(data), length)
	}
	return data, err
}

func wantRange(t *testing.T, s blob.Store, ref blob.Ref, data []byte, offset, length int64) {
	t.Helper()
	got, err := readRange(t.Context(), s, ref, offset, length)
	if err != nil {
		t.Fatalf("read %d bytes from %d on of %d: %v", length, offset, ref.Size, err)
	}
	if !bytes.Equal(got, data[offset:offset+length]) {
		t.Fatalf("read %d bytes from %d on of %d: other bytes than were written", length, offset, ref.Size)
	}
}

func wantWhole(t *testing.T, s blob.Store, ref blob.Ref, data []byte) {
	t.Helper()
	wantRange(t, s, ref, data, 0, int64(len(data)))
}

// wantGone fails unless the blob, which had bytes, is not found.
func wantGone(t *testing.T, s blob.Store, ref blob.Ref) {
	t.Helper()
	if _, err := readRange(t.Context(), s, ref, 0, ref.Size); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("read of a blob that is not there: %v, want ErrNotFound", err)
	}
	if n, ok := walk(t, s)[ref.ID]; ok {
		t.Fatalf("Walk finds %d bytes of a blob that is not there", n)
	}
}

// walk returns what is stored of each blob.
func walk(t *testing.T, s blob.Store) map[blob.ID]int64 {
	t.Helper()
	found := make(map[blob.ID]int64)
	err := s.Walk(t.Context(), func(info blob.Info) error {
		found[info.ID] += info.Size
		return nil
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return found
}

// geometry finds out how the store cuts blobs: the size of a chunk, and of a
// block of chunks. A store that does not chunk gets sizes to try all the same.
func geometry(t *testing.T, s blob.Store) (chunk, block int64) {
	t.Helper()
	ref := put(t, s, content(0, 3<<20))
	if err := s.Delete(t.Context(), ref.ID); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	chunk = int64(ref.Chunk)
	if chunk == 0 {
		chunk = 64 << 10
	}
	block = chunk * int64(ref.Block)
	if block == 0 || block > 8<<20 {
		block = 4 * chunk // too much for a test, or no blocks
	}
	return chunk, block
}

// promptly runs f, which must not take long once its context is cancelled.
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}
