package meta_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pithos/pithos/meta"
)

func TestSuccessorIsTheNextCodePoint(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "a": "b", "a/": "a0", "\x00": "\x01", "\x7e": "\x7f", "\x7f": "\u0080", "п": "р", "ÿ": "\u0100", "¿": "À",
		"\u07ff": "\u0800", "\ud7ff": "\ue000", "\uffff": "\U00010000", "\U0010fffe": "\U0010ffff",
		"\U0010ffff": "", "a\U0010ffff": "b", "\ud7ff\U0010ffff\U0010ffff": "\ue000",
	} {
		if got := meta.Successor(prefix); got != want {
			t.Errorf("the successor of %q is %q, want %q", prefix, got, want)
		}
	}
	// Every character, as the last of a prefix.
	for r, last := rune(0), "p"; r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		prefix := "p" + string(r)
		if last != "p" && last != prefix {
			t.Fatalf("the successor of what precedes %q is %q", prefix, last)
		}
		last = meta.Successor(prefix)
	}
}

// FuzzSuccessor holds that the strings from a prefix up to its successor are
// those that begin with the prefix, and that the successor is UTF-8.
func FuzzSuccessor(f *testing.F) {
	for _, s := range []string{"", "a", "п", "\x7f", "\ud7ff", "\uffff", "\U0010ffff", "a\U0010ffff"} {
		f.Add(s, s+"x")
		f.Add(s, meta.Successor(s))
	}
	f.Fuzz(func(t *testing.T, prefix, s string) {
		if !utf8.ValidString(prefix) || !utf8.ValidString(s) {
			return
		}
		next := meta.Successor(prefix)
		if !utf8.ValidString(next) {
			t.Fatalf("the successor of %q is %q", prefix, next)
		}
		within := s >= prefix && (next == "" || s < next)
		if within != strings.HasPrefix(s, prefix) {
			t.Fatalf("%q from %q up to %q: %t", s, prefix, next, within)
		}
	})
}
