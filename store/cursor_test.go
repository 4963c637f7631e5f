package store

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pithos/pithos/meta/metatest"
)

// FuzzCursor walks keys as a listing does, over reads that refuse what a
// database refuses, and compares with what the rules of S3 make of the keys.
func FuzzCursor(f *testing.F) {
	f.Add("a,a/b,a/c,b,п/x,п", "", "/", "", 2)
	f.Add("a/п1,a/п2,a/р", "a/", "п", "a/п", 1)
	f.Add("\x7f,\u0080,\ud7ff,\ue000,\uffff,\U00010000,\U0010ffff,\U0010ffff\U0010ffff", "\U0010ffff", "\U0010ffff", "", 3)
	f.Add("a//b,a/,a//,a", "a", "//", "a/", 1000)
	f.Add("a/1,a/2,b", "a/", "", strings.Repeat("a", 1030), 1)
	f.Add("a/1,a/2,b/1", "", "/", "a/1", 10)
	f.Add("a/1,a/2", "a/", "/", "a/", 10)
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	text := func() string { return metatest.RandomText(rng, 3) }
	for range 500 {
		var keys []string
		for len(keys) < 20 {
			keys = append(keys, text()+text())
		}
		f.Add(strings.Join(keys, ","), text(), text(), text(), rng.Int())
		some := []rune(keys[rng.IntN(len(keys))] + "/")
		i, j := rng.IntN(len(some)), rng.IntN(len(some))
		f.Add(strings.Join(keys, ","), string(some[:i]), string(some[i:i+1]), string(some[:j]), rng.Int())
	}
	f.Fuzz(func(t *testing.T, list, prefix, delimiter, after string, limit int) {
		for _, s := range []string{list, prefix, delimiter, after} {
			if !utf8.ValidString(s) {
				return
			}
		}
		keys := slices.Compact(slices.Sorted(strings.SplitSeq(list, ",")))
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == "" || len(k) > MaxKeyBytes })
		limit = 1 + limit&7
		var want []string
		for _, key := range keys {
			item := key
			if i := strings.Index(strings.TrimPrefix(key, prefix), delimiter); i >= 0 && delimiter != "" && strings.HasPrefix(key, prefix) {
				item = key[:len(prefix)+i+len(delimiter)]
			}
			if strings.HasPrefix(key, prefix) && item > after && !slices.Contains(want, item) {
				want = append(want, item)
			}
		}
		var got []string
		c := newCursor(prefix, delimiter, after, limit)
		for reads := 0; !c.done; reads++ {
			if !utf8.ValidString(c.from) || !utf8.ValidString(c.to) || len(c.from) > 2*MaxKeyBytes || reads > 3*len(keys)+3 {
				t.Fatalf("read %d from %q to %q", reads, c.from, c.to)
			}
			found := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return k < c.from || c.to != "" && k >= c.to })
			page := found[:min(len(found), c.step)]
			c.page(page, len(found) > len(page),
				func(i int) bool { got = append(got, page[i]); return true },
				func(common string) bool { got = append(got, common); return true })
		}
		if !slices.Equal(got, want) {
			t.Fatalf("prefix %q, delimiter %q, after %q: got %q, want %q", prefix, delimiter, after, got, want)
		}
	})
}
