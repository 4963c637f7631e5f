package embedded

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
)

func openDir(t testing.TB) meta.Store { return openStore(t) }

func openStore(t testing.TB) *Store {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) {
	metatest.Run(t, openDir)
	metatest.Random(t, openDir, 1, 500)
	metatest.RunAccessKeys(t, func(t testing.TB) meta.AccessKeys { return openStore(t) })
}

// The same in memory, where more fit into the time; the memtables are small,
// so that flushes and compactions happen on the way.
func TestRandomCallsMatchTheModel(t *testing.T) {
	open := func(t testing.TB) meta.Store {
		s := openMem(t, vfs.NewMem(), Options{MemTableBytes: 256 << 10})
		t.Cleanup(func() {
			if err := checkRows(s); err != nil {
				t.Errorf("after random calls: %v", err)
			}
		})
		return s
	}
	for seed := range uint64(10) {
		metatest.Random(t, open, seed, 2000)
	}
}
