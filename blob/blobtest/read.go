package blobtest

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/pithos/pithos/blob"
)

func testRanges(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	small := content(10, 100)
	ref := put(t, s, small)
	for offset := int64(0); offset <= 100; offset += 10 {
		for length := int64(0); offset+length <= 100; length += 5 {
			wantRange(t, s, ref, small, offset, length)
		}
	}
	size := 2*block + chunk + chunk/2
	large := content(11, size)
	ref = put(t, s, large)
	borders := []int64{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, block - 1, block, block + 1, 2 * block, size - chunk/2, size - 1, size}
	for _, from := range borders {
		for _, to := range borders {
			if from <= to {
				wantRange(t, s, ref, large, from, to-from)
			}
		}
	}
}

func testBadRanges(t *testing.T, s blob.Store) {
	ref := put(t, s, content(12, 10))
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, 11}, {10, 1}, {11, 0}, {1, 1<<63 - 1}} {
		if _, err := readRange(t.Context(), s, ref, r[0], r[1]); err == nil {
			t.Errorf("%d bytes from %d on of a blob of 10 can be read", r[1], r[0])
		}
	}
}

func testWriterTo(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	data := content(13, 5*chunk+77)
	ref := put(t, s, data)
	offset := chunk - 3
	r, err := s.Open(t.Context(), ref, offset, ref.Size-offset-1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer r.Close()
	var got bytes.Buffer
	// A few bytes by Read, the rest by WriteTo where the reader has it.
	if _, err := io.CopyN(&got, struct{ io.Reader }{r}, 5); err != nil {
		t.Fatalf("Read: %v", err)
	}
	if _, err := io.Copy(&got, r); err != nil {
		t.Fatalf("Copy: %v", err)
	}
	if !bytes.Equal(got.Bytes(), data[offset:ref.Size-1]) {
		t.Error("other bytes than were written")
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after the end: %d bytes, %v, want io.EOF", n, err)
	}
	w, ok := r.(io.WriterTo)
	if !ok {
		return
	}
	r2, err := s.Open(t.Context(), ref, 0, ref.Size)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer r2.Close()
	broken := errors.New("broken pipe")
	if _, err := r2.(io.WriterTo).WriteTo(failingWriter{broken}); !errors.Is(err, broken) {
		t.Errorf("WriteTo a broken writer: %v, want its error", err)
	}
	if n, err := w.WriteTo(io.Discard); n != 0 || err != nil {
		t.Errorf("WriteTo after the end: %d bytes, %v", n, err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func testNotFound(t *testing.T, s blob.Store) {
	chunk, _ := geometry(t, s)
	for _, size := range []int64{1, chunk, 700 << 10} {
		ref := put(t, s, content(14, size))
		ref.ID = blob.NewID()
		if _, err := readRange(t.Context(), s, ref, 0, size); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("read of %d bytes that were never written: %v, want ErrNotFound", size, err)
		}
	}
}

func testCloseEarly(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	data := content(15, 2*block+chunk)
	ref := put(t, s, data)
	leak := watchGoroutines(t)
	for i := range 10 {
		r, err := s.Open(t.Context(), ref, 0, ref.Size)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		head := make([]byte, i*1000)
		if _, err := io.ReadFull(iotest.HalfReader(r), head); err != nil {
			t.Fatalf("Read: %v", err)
		}
		if !bytes.Equal(head, data[:len(head)]) {
			t.Fatal("other bytes than were written")
		}
		for range 2 {
			if err := r.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Fatalf("Read after Close: %d bytes, %v, want an error", n, err)
		}
	}
	leak()
	wantWhole(t, s, ref, data)
}

func testCorruption(t *testing.T, s blob.Store, corrupt func(*testing.T, blob.Store, blob.Ref, int64)) {
	chunk, _ := geometry(t, s)
	for _, size := range []int64{10, chunk + 10, max(5*chunk, 700<<10)} {
		last := (size - 1) / chunk
		for _, n := range []int64{0, last / 2, last} {
			data := content(16, size)
			ref := put(t, s, data)
			corrupt(t, s, ref, n)
			got, err := readRange(t.Context(), s, ref, 0, size)
			if !errors.Is(err, blob.ErrCorrupt) {
				t.Fatalf("read with chunk %d of %d bytes changed: %v, want ErrCorrupt", n, size, err)
			}
			if int64(len(got)) > n*chunk || !bytes.Equal(got, data[:len(got)]) {
				t.Fatalf("bytes of the changed chunk %d were returned", n)
			}
			if n > 0 {
				wantRange(t, s, ref, data, 0, n*chunk)
			}
			if n < last {
				wantRange(t, s, ref, data, (n+1)*chunk, size-(n+1)*chunk)
			}
			if err := s.Delete(t.Context(), ref.ID); err != nil {
				t.Fatalf("Delete of a corrupt blob: %v", err)
			}
			wantGone(t, s, ref)
		}
	}
}
