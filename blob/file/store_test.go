package file

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobtest"
)

func openStore(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	tests := map[string]Options{
		"defaults":  {},
		"all large": {SmallBytes: 1},
		"all small": {SmallBytes: maxSmallBytes},
		"in memory": {FS: vfs.NewMem()},
	}
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			open := func(t *testing.T) blob.Store {
				if testing.Short() { // the disk syncs every blob
					o.FS = vfs.NewMem()
				}
				return openStore(t, t.TempDir(), o)
			}
			blobtest.Suite{
				Open:    open,
				Corrupt: corrupt,
			}.Run(t)
		})
	}
}

// corrupt changes a byte of chunk n, be it in Pebble or in a file.
func corrupt(t *testing.T, b blob.Store, ref blob.Ref, n int64) {
	t.Helper()
	s := b.(*Store)
	offset, length := frame(ref, n)
	offset += int64(length) / 2
	found, err := s.getSmall(ref.ID, func(image []byte) error {
		changed := append([]byte(nil), image...)
		changed[offset] ^= 1
		return s.small.Set(ref.ID[:], changed, pebble.Sync)
	})
	if err != nil {
		t.Fatal(err)
	}
	if found {
		return
	}
	f, err := s.opts.FS.OpenReadWrite(s.largePath(ref.ID), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 1)
	if _, err := f.ReadAt(p, offset); err != nil {
		t.Fatal(err)
	}
	p[0] ^= 1
	if _, err := f.WriteAt(p, offset); err != nil {
		t.Fatal(err)
	}
}

func TestStoreKeepsTheContractUnderFaults(t *testing.T) {
	blobtest.RunFaults(t, func(t *testing.T) blob.Store { return openStore(t, "data", Options{FS: vfs.NewMem()}) })
}
