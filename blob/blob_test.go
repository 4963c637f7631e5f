package blob

import (
	"strings"
	"testing"
)

func TestNewIDsDiffer(t *testing.T) {
	if a, b := NewID(), NewID(); a == b {
		t.Error("the same ID twice")
	}
}

func FuzzParseIDReadsWhatStringWrote(f *testing.F) {
	for _, s := range []string{"", NewID().String(), strings.Repeat("f", 32), strings.Repeat("G", 32), strings.Repeat("0", 31), "../../etc/passwd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err == nil && id.String() != strings.ToLower(s) {
			t.Errorf("ParseID(%q) gives %s", s, id)
		}
		if again, err := ParseID(id.String()); err != nil || again != id {
			t.Errorf("ParseID of %s: %s, %v", id, again, err)
		}
	})
}
