package s3api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pithos/pithos/meta"
)

// A parsed rule decides like the original rule.
func FuzzCORSMatcher(f *testing.F) {
	f.Add("x-amz-*", "X-Amz-Date")
	f.Add("*", "")
	f.Add("a*a", "a")
	f.Add("Content-TYPE", "content-type")
	f.Add("İ*", "i̇x")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.Count(pattern, "*") > 1 {
			return
		}
		m := (&corsRule{AllowedHeaders: []string{pattern}, AllowedOrigins: []string{pattern}}).matcher()
		matches := func(pattern, s string) bool {
			before, after, star := strings.Cut(pattern, "*")
			return !star && pattern == s || star && len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
		}
		if w, got := m.origin(s); got != matches(pattern, s) || got && w.String() != pattern {
			t.Errorf("origin %q of %q: %v as %q", pattern, s, got, w)
		}
		if name := strings.ToLower(s); m.allowsHeaders([]string{name}) != matches(strings.ToLower(pattern), name) {
			t.Errorf("header %q of %q: %v", pattern, s, m.allowsHeaders([]string{name}))
		}
	})
}

func TestPreflightNamesAreBounded(t *testing.T) {
	header := func(values ...string) http.Header { return http.Header{"Access-Control-Request-Headers": values} }
	many := make([]string, maxCORSHeaders)
	for i := range many {
		many[i] = fmt.Sprintf("x-amz-meta-%d", i)
	}
	for _, c := range []struct {
		header http.Header
		want   []string
		bad    bool
	}{
		{header(), nil, false},
		{header("", " , ,"), nil, false},
		{header("X-Amz-Date, x-amz-ACL", "x-amz-acl"), []string{"x-amz-date", "x-amz-acl"}, false},
		{header(strings.Join(many, ",")), many, false},
		{header(strings.Join(many, ","), strings.Join(many, ",")), many, false},
		{header(strings.Join(many, ","), "one-more"), nil, true},
		{header(strings.Repeat("a", maxCORSHeaderBytes+1)), nil, true},
		{header(strings.Repeat("a", maxCORSHeaderBytes), "b"), nil, true},
		{header(strings.Repeat(",", maxCORSHeaderBytes+1)), nil, true},
	} {
		got, err := requestedHeaders(c.header)
		if !slices.Equal(got, c.want) || (err != nil) != c.bad {
			t.Errorf("%.60v: %.60q, %v", c.header, got, err)
		}
	}
}

func TestParsedCacheIsBoundedByBytes(t *testing.T) {
	c := parsedCache[string]{max: 100}
	parses := 0
	get := func(n byte, rev int64, cost int) {
		t.Helper()
		b := &meta.Bucket{ID: meta.BucketID{n}, Rev: rev}
		want := fmt.Sprint(n, rev)
		got, err := c.get(b, []byte(want), func(doc []byte) (string, int, error) { parses++; return string(doc), cost, nil })
		if got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for n := range byte(10) {
		get(n, 1, 10)
	}
	for n := range byte(10) {
		get(n, 1, 10)
	}
	if parses != 10 {
		t.Errorf("%d documents were parsed for 10", parses)
	}
	get(0, 2, 60) // another revision; 1 to 6 go
	get(0, 1, 10)
	get(9, 1, 10)
	if parses != 12 { // 0 at revision 1 was used least recently
		t.Errorf("parsed %d times", parses)
	}
	get(50, 1, 101) // never kept
	get(50, 1, 101)
	if parses != 14 || c.bytes > 100 || len(c.byKey) != c.used.Len() {
		t.Errorf("parsed %d times, %d bytes, %d and %d entries", parses, c.bytes, len(c.byKey), c.used.Len())
	}
	fails := fmt.Errorf("no")
	if _, err := c.get(&meta.Bucket{}, nil, func([]byte) (string, int, error) { return "", 0, fails }); err != fails { //nolint:errorlint // as it is
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				n := byte(rand.IntN(30))
				b := &meta.Bucket{ID: meta.BucketID{n}}
				if got, err := c.get(b, nil, func([]byte) (string, int, error) { return fmt.Sprint(n), 20, nil }); got != fmt.Sprint(n) || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
	if c.bytes > 100 || len(c.byKey) != c.used.Len() {
		t.Errorf("%d bytes, %d and %d entries", c.bytes, len(c.byKey), c.used.Len())
	}
}
