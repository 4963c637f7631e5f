package blobtest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/pithos/pithos/blob"
)

// inspections are the tests of what a check does, on the store itself and on
// what [blob.Inspect] makes of one that offers nothing.
func inspections(s Suite, t *testing.T) {
	for name, inspect := range map[string]func(blob.Store) blob.Inspector{
		"Inspector": blob.Inspect,
		"Plain":     func(s blob.Store) blob.Inspector { return blob.Inspect(onlyStore{s}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := s.Open(t)
			t.Run("SharesCoverEverythingOnce", func(t *testing.T) { testShares(t, inspect(b)) })
			t.Run("StatTellsWhatIsStored", func(t *testing.T) { testStat(t, inspect(b)) })
			t.Run("FindAndPurge", func(t *testing.T) { testFind(t, inspect(b)) })
			t.Run("VerifyFindsNothingWrong", func(t *testing.T) { testVerifyGood(t, inspect(b)) })
			if s.Corrupt != nil {
				t.Run("VerifyFindsCorruption", func(t *testing.T) {
					testVerifyCorrupt(t, inspect(b), func(ref blob.Ref, n int64) { s.Corrupt(t, b, ref, n) })
				})
			}
		})
	}
}

// onlyStore hides what a store offers beyond [blob.Store].
type onlyStore struct{ s blob.Store }

func (o onlyStore) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	return o.s.Create(ctx, id)
}

func (o onlyStore) Open(ctx context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	return o.s.Open(ctx, ref, offset, length)
}

func (o onlyStore) Delete(ctx context.Context, id blob.ID) error { return o.s.Delete(ctx, id) }

func (o onlyStore) Walk(ctx context.Context, visit func(blob.Info) error) error {
	return o.s.Walk(ctx, visit)
}

func testShares(t *testing.T, s blob.Inspector) {
	_, block := geometry(t, s)
	want := map[blob.ID]int64{}
	for i := range 60 {
		size := int64(1 + i*977)
		if i%20 == 0 {
			size = 2*block + 5
		}
		want[put(t, s, content(uint64(i), size)).ID] = size
	}
	type piece struct {
		id    blob.ID
		block int
	}
	for _, of := range []int{1, 3, 300} {
		found, seen := map[blob.ID]int64{}, map[piece]bool{}
		for part := range of {
			err := s.WalkShare(t.Context(), blob.Share{Part: part, Of: of}, func(info blob.Info) error {
				if p := (piece{info.ID, info.Block}); !seen[p] {
					seen[p] = true
					found[info.ID] += info.Size
				}
				return nil
			})
			if err != nil {
				t.Fatalf("share %d of %d: %v", part, of, err)
			}
		}
		for id, size := range want {
			if found[id] != size {
				t.Errorf("%d shares find %d bytes of blob %s, want %d", of, found[id], id, size)
			}
		}
	}
	for _, bad := range []blob.Share{{}, {Part: -1, Of: 2}, {Part: 2, Of: 2}} {
		if err := s.WalkShare(t.Context(), bad, func(blob.Info) error { return nil }); err == nil {
			t.Errorf("%+v is walked", bad)
		}
	}
	enough := errors.New("enough")
	if err := s.WalkShare(t.Context(), blob.Share{Of: 1}, func(blob.Info) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the visitor's error comes back as %v", err)
	}
}

func testStat(t *testing.T, s blob.Inspector) {
	chunk, block := geometry(t, s)
	stat := func(ref blob.Ref, want int64) {
		t.Helper()
		if n, err := s.Stat(t.Context(), ref); err != nil || n != want {
			t.Errorf("Stat of %d bytes: %d, %v; want %d", ref.Size, n, err, want)
		}
	}
	for _, size := range []int64{0, 1, chunk, 600 << 10, 2*block + 7} {
		ref := put(t, s, content(40, size))
		stat(ref, size)
		if err := s.Delete(t.Context(), ref.ID); err != nil {
			t.Fatal(err)
		}
		stat(ref, 0)
	}
}

func testFind(t *testing.T, s blob.Inspector) {
	_, block := geometry(t, s)
	for _, size := range []int64{1, 600 << 10, 2*block + 7} {
		ref := put(t, s, content(41, size))
		if found, err := s.Find(t.Context(), ref.ID, 0); err != nil || !found {
			t.Errorf("a blob of %d bytes is found: %v, %v", size, found, err)
		}
		if err := s.Purge(t.Context(), ref.ID, 3); err != nil {
			t.Fatal(err)
		}
		wantGone(t, s, ref)
		if found, err := s.Find(t.Context(), ref.ID, 0); err != nil || found {
			t.Errorf("a blob that was purged is found: %v, %v", found, err)
		}
	}
}

func verify(t *testing.T, s blob.Inspector, ref blob.Ref, heal bool) blob.Health {
	t.Helper()
	h, err := s.Verify(t.Context(), ref, heal)
	if err != nil {
		t.Fatalf("Verify of %d bytes: %v", ref.Size, err)
	}
	return h
}

func testVerifyGood(t *testing.T, s blob.Inspector) {
	chunk, block := geometry(t, s)
	for _, size := range []int64{0, 1, chunk, chunk + 1, 600 << 10, 2*block + 7} {
		ref := put(t, s, content(42, size))
		if h := verify(t, s, ref, true); !h.Good() || h.Unread > 0 || size > 0 && h.Chunks == 0 {
			t.Errorf("%d bytes: %+v", size, h)
		}
		if err := s.Delete(t.Context(), ref.ID); err != nil {
			t.Fatal(err)
		}
		if h := verify(t, s, ref, true); size > 0 && h.LostMissing == 0 {
			t.Errorf("%d bytes that were deleted: %+v", size, h)
		}
	}
}

func testVerifyCorrupt(t *testing.T, s blob.Inspector, corrupt func(blob.Ref, int64)) {
	chunk, _ := geometry(t, s)
	for _, size := range []int64{10, max(5*chunk, 700<<10)} {
		ref := put(t, s, content(43, size))
		corrupt(ref, (size-1)/chunk)
		for range 2 {
			if h := verify(t, s, ref, true); h.LostCorrupt != 1 || h.Healed != 0 || h.Good() {
				t.Errorf("%d bytes of which one was changed: %+v", size, h)
			}
		}
	}
}
