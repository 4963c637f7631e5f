package ids

import (
	"strings"
	"testing"
)

func TestIDIsReadAsItIsWritten(t *testing.T) {
	id := New()
	got, err := Parse(id.String())
	if err != nil || got != id {
		t.Fatalf("%v came back as %v, %v", id, got, err)
	}
	if id == New() {
		t.Fatal("two fresh ids are the same")
	}
	for _, bad := range []string{"", "00", strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("g", 32), strings.Repeat("é", 16)} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("Parse(%q) gives no error", bad)
		}
	}
}

func FuzzParseReadsWhatStringWrote(f *testing.F) {
	for _, s := range []string{"", "00112233445566778899aabbccddeeff", "é", strings.Repeat("G", 32), "../../etc/passwd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err == nil && !strings.EqualFold(id.String(), s) {
			t.Fatalf("%q was read as %v", s, id)
		}
		if again, err := Parse(id.String()); err != nil || again != id {
			t.Errorf("Parse of %s: %s, %v", id, again, err)
		}
	})
}

func TestSharesThatCannotBeAreRefused(t *testing.T) {
	for s, ok := range map[Share]bool{{0, 1}: true, {1, 2}: true, {}: false, {-1, 2}: false, {2, 2}: false} {
		if err := s.Check(); (err == nil) != ok {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
