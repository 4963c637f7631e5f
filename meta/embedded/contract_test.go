package embedded

import (
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
)

func openDir(t testing.TB) meta.Store {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestContract(t *testing.T) { metatest.Run(t, openDir) }
