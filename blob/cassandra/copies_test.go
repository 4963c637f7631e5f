package cassandra

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/pithos/pithos/blob"
)

// The fake database has one copy of each chunk, unless a test gives it others:
// wrong ones, by the number of the copy.
func (f *replicas) copies(context.Context) (int, error) { return max(1, f.copiesOf), nil }

func (f *replicas) readCopy(ctx context.Context, id blob.ID, at position, n, _ int, buf []byte) (int64, []byte, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.rows[rowKey{id, at}]
	if wrong, is := f.wrong[n]; is && r.written <= writtenAt {
		if wrong == nil {
			return 0, nil, 0, errMissing
		}
		r.data = wrong
	}
	if !ok {
		return 0, nil, 0, errMissing
	}
	return r.sum, append(buf[:0], r.data...), max(r.written, writtenAt), ctx.Err()
}

func (f *replicas) rewrite(_ context.Context, id blob.ID, at position, sum int64, data []byte, timestamp int64, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows[rowKey{id, at}] = row{sum: sum, data: bytes.Clone(data), written: timestamp}
	return nil
}

func (f *replicas) blockSize(ctx context.Context, id blob.ID, block int) (total int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, r := range f.rows {
		if key.id == id && key.at.block == block {
			total += sizeOf(r.sum)
		}
	}
	return total, ctx.Err()
}

// A read that met wrong bytes heals them, wherever it found the right ones.
func TestAReadHealsWrongCopies(t *testing.T) {
	for name, reads := range map[string]int{"found by a second read": 1, "found at a quorum": 3, "found in a copy alone": 4} {
		t.Run(name, func(t *testing.T) {
			s, f := fakeStore(t, Options{})
			ref, err := write(t, s, []byte("some bytes"))
			if err != nil {
				t.Fatal(err)
			}
			f.copiesOf, f.wrong = 3, map[int][]byte{0: []byte("zome bytes"), 1: nil}
			f.onRead = func(nth int, _ bool, r *row) error {
				if nth <= reads {
					r.data[0] ^= 1
				}
				return nil
			}
			data, err := s.fetch(t.Context(), ref, 0)
			if err != nil || string(data) != "some bytes" {
				t.Fatalf("%q, %v", data, err)
			}
			if h, err := s.Verify(t.Context(), ref, false); err != nil || !h.Good() {
				t.Errorf("after the read: %+v, %v", h, err)
			}
			if r := f.rows[rowKey{ref.ID, position{}}]; r.written != writtenAt+1 {
				t.Errorf("the chunk was rewritten at %d", r.written)
			}
		})
	}
}

func TestVerifyTellsCopiesThatAreWrongFromThoseThatAreMissing(t *testing.T) {
	s, f := fakeStore(t, Options{})
	ref, err := write(t, s, []byte("some bytes"))
	if err != nil {
		t.Fatal(err)
	}
	f.copiesOf, f.wrong = 4, map[int][]byte{0: []byte("zome bytes"), 1: nil, 2: []byte("short")}
	h, err := s.Verify(t.Context(), ref, false)
	if want := (blob.Health{Chunks: 1, Corrupt: 2, Missing: 1}); err != nil || h != want {
		t.Errorf("%+v, %v; want %+v", h, err, want)
	}
	h, err = s.Verify(t.Context(), ref, true)
	if want := (blob.Health{Chunks: 1, Corrupt: 2, Missing: 1, Healed: 3}); err != nil || h != want {
		t.Errorf("healing: %+v, %v; want %+v", h, err, want)
	}
	if h, err = s.Verify(t.Context(), ref, true); err != nil || !h.Good() {
		t.Errorf("healed: %+v, %v", h, err)
	}
}

func TestWithoutAGoodCopyNothingIsHealed(t *testing.T) {
	s, f := fakeStore(t, Options{})
	ref, err := write(t, s, []byte("some bytes"))
	if err != nil {
		t.Fatal(err)
	}
	f.copiesOf, f.wrong = 2, map[int][]byte{0: []byte("zome bytes"), 1: []byte("sume bytes")}
	f.onRead = func(_ int, _ bool, r *row) error { r.data[0] ^= 1; return nil }
	if _, err := s.fetch(t.Context(), ref, 0); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("fetch: %v, want ErrCorrupt", err)
	}
	h, err := s.Verify(t.Context(), ref, true)
	if want := (blob.Health{Chunks: 1, Corrupt: 2, LostCorrupt: 1}); err != nil || h != want {
		t.Errorf("%+v, %v; want %+v", h, err, want)
	}
}

func TestCopiesAreThoseOfTheDatacenter(t *testing.T) {
	for _, c := range []struct {
		options map[string]any
		want    int
	}{
		{map[string]any{"replication_factor": "3"}, 3},
		{map[string]any{"west": "2", "east": "3"}, 3},
		{map[string]any{"west": "3", "east": "2"}, 2},
		{map[string]any{"east": "3/1"}, 3},
		{map[string]any{"west": "3"}, 1},
		{map[string]any{}, 1},
	} {
		if got := copiesIn("east", c.options); got != c.want {
			t.Errorf("%v: %d copies, want %d", c.options, got, c.want)
		}
	}
}
