package metatest

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/meta"
)

var listingContracts = []contract{
	{"EmptyBucket", func(s *suite) {
		b := s.bucket()
		entries, more, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
		s.ok(err)
		keys, moreKeys, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10, All: true})
		s.ok(err)
		if len(entries) > 0 || more || len(keys) > 0 || moreKeys {
			s.Fatalf("an empty bucket lists %v %v %v %v", entries, more, keys, moreKeys)
		}
	}},
	{"OddKeysInByteOrder", testOddKeys},
	{"PrefixesOfAnyCharacter", testPrefixes},
	{"TextThatIsNotUTF8IsRefused", testBadText},
	{"RangesAndPages", testRangesAndPages},
	{"BucketsStayApart", func(s *suite) {
		a, b := s.bucket(), s.bucket()
		s.add(a.ID, "in a")
		s.add(b.ID, "in b")
		s.equal("keys of a", s.keys(a.ID), []string{"in a"})
		s.equal("keys of b", s.keys(b.ID), []string{"in b"})
	}},
	{"MarkersAndGoneKeysAreHidden", testHiddenKeys},
	{"ScanOfAllShowsEveryVersion", testScanAll},
	{"ChangesShowAtOnce", testChangesShowAtOnce},
	{"BegunChangesDoNotShow", testBegunChanges},
	{"KeyWithManyVersionsIsOneKey", func(s *suite) {
		b := s.bucket()
		for range 20 {
			s.add(b.ID, "a")
		}
		s.add(b.ID, "b")
		s.equal("keys", s.keys(b.ID), []string{"a", "b"})
		keys, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10, All: true})
		s.ok(err)
		s.equal("all keys", keyNames(keys), []string{"a", "b"})
	}},
	{"StableKeysShowOnceWhileOthersChange", testListWhileChanging},
}

// keys lists the keys of a bucket by pages.
func (s *suite) keys(bucket meta.BucketID) []string {
	s.Helper()
	keys, err := scanKeys(s, bucket, "", "", 100)
	s.ok(err)
	return keys
}

// scanKeys pages through a range and checks what holds for each page.
func scanKeys(s *suite, bucket meta.BucketID, from, to string, limit int) ([]string, error) {
	entries, err := scanPages(s, bucket, meta.ScanOptions{From: from, To: to, Limit: limit})
	return keyNames(entries), err
}

// scanAllKeys is scanKeys for a scan of all keys.
func scanAllKeys(s *suite, bucket meta.BucketID, from, to string, limit int) ([]meta.Entry, error) {
	return scanPages(s, bucket, meta.ScanOptions{From: from, To: to, Limit: limit, All: true})
}

func scanPages(s *suite, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, error) {
	var got []meta.Entry
	for more := true; more; {
		var page []meta.Entry
		var err error
		if page, more, err = s.Scan(s.ctx, bucket, o); err != nil {
			return nil, err
		}
		if len(page) > o.Limit || more && (len(page) == 0 || !o.All && len(page) < o.Limit) {
			return nil, fmt.Errorf("%d keys for a limit of %d, and more: %v", len(page), o.Limit, more)
		}
		for _, e := range page {
			if e.Key < o.From || o.To != "" && e.Key >= o.To {
				return nil, fmt.Errorf("key %q is not in the range from %q to %q", e.Key, o.From, o.To)
			}
			o.From = e.Key + "\x00"
		}
		got = append(got, page...)
	}
	return got, nil
}

func keyNames(entries []meta.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Key)
	}
	return out
}

// OddKeys are valid keys (1 to 1,024 bytes of UTF-8) that are hard for codecs and
// orders, in no order.
func OddKeys() []string {
	return []string{
		"a", "a/", "a/b", "a//b", "a/./b", "a/../b", "/", "//", ".", "..", "-", " ", "  ", "a b", "A", "B", "b",
		"\x00", "\x00\x00", "\x00\x01", "\x01", "a\x00", "a\x00b", "a\x00\xc3\xbf", "a\x01", "\t", "\r\n", "\x1f", "\x7f", "a\x7f",
		"\u0080", "é", "e\u0301", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0001f5c4", "\U0010ffff", "\U0010ffff\U0010ffff",
		"%", "%00", "%2F", "+", "?", "&", "'", "\"", "\\", "<k>", "\u202e", "\u2028", "null", "NaN", "true",
		strings.Repeat("k", 1024), strings.Repeat("k", 1023), strings.Repeat("\U0010ffff", 256), strings.Repeat("\x00", 1024),
	}
}

// Characters are the edges of UTF-8: the first and last code points of each
// length, those around the surrogates, and some whose encoding ends in BF, after
// which the next code point differs in an earlier byte.
func Characters() []rune {
	return []rune{0, 1, ' ', '/', 'a', 'b', 0x7e, 0x7f, 0x80, 0xbf, 0xc0, 0xff, 0x100, 'п', 'р', 0x7ff, 0x800, 0xfff, 0x1000,
		'世', 0xd7fe, 0xd7ff, 0xe000, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1003f, 0x10040, 0x1f5c4, 0x10fffe, 0x10ffff}
}

// RandomText returns up to n characters: the edges, and any others.
func RandomText(rng *rand.Rand, n int) string {
	var b strings.Builder
	edges := Characters()
	for range rng.IntN(n + 1) {
		c := edges[rng.IntN(len(edges))]
		if rng.IntN(4) == 0 {
			c = rng.Int32N(utf8.MaxRune + 1)
		}
		if !utf8.ValidRune(c) {
			c = 0xd7ff
		}
		b.WriteRune(c)
	}
	return b.String()
}

// testPrefixes asks for the keys with a prefix, for prefixes that end with each
// of the characters.
func testPrefixes(s *suite) {
	b := s.bucket()
	var keys []string
	var uploads []meta.Upload
	prefixes := []string{"", "p"}
	for i, c := range Characters() {
		keys = append(keys, "p"+string(c), "p"+string(c)+string(Characters()[(i*7)%len(Characters())]))
		if i%2 == 0 {
			keys = append(keys, string(c)+"\U0010ffff")
		}
		uploads = append(uploads, s.newUpload(b.ID, "p"+string(c)+"u"))
		prefixes = append(prefixes, string(c), "p"+string(c), string(c)+"\U0010ffff")
	}
	slices.Sort(keys)
	slices.SortFunc(uploads, func(x, y meta.Upload) int { return cmp.Compare(x.Key, y.Key) })
	for _, key := range keys {
		s.add(b.ID, key)
	}
	for _, prefix := range prefixes {
		to := meta.Successor(prefix)
		want := slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		got, err := scanKeys(s, b.ID, prefix, to, 1000)
		s.ok(err)
		s.equal(fmt.Sprintf("keys with the prefix %q", prefix), slices.Clip(got), append([]string(nil), want...))
		all, err := scanAllKeys(s, b.ID, prefix, to, 1000)
		s.ok(err)
		s.equal(fmt.Sprintf("all keys with the prefix %q", prefix), keyNames(all), append([]string(nil), want...))
		list, err := s.ListUploads(s.ctx, b.ID, prefix, to, meta.UploadID{}, 1000)
		s.ok(err)
		begun := slices.DeleteFunc(slices.Clone(uploads), func(u meta.Upload) bool { return !strings.HasPrefix(u.Key, prefix) })
		s.equal(fmt.Sprintf("uploads with the prefix %q", prefix), append([]meta.Upload(nil), list...), append([]meta.Upload(nil), begun...))
	}
}

var badTexts = []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", strings.Repeat("k", meta.MaxTextBytes+1)}

// testBadText gives strings to the driver that databases refuse.
func testBadText(s *suite) {
	b := s.bucket()
	for _, bad := range badTexts {
		for what, call := range map[string]func() error{
			"Scan from": func() error { _, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{From: bad, Limit: 1}); return err },
			"Scan to":   func() error { _, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{To: bad, Limit: 1}); return err },
			"Scan of all from": func() error {
				_, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{From: bad, Limit: 1, All: true})
				return err
			},
			"Scan of all to": func() error {
				_, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{To: bad, Limit: 1, All: true})
				return err
			},
			"ListUploads":    func() error { _, err := s.ListUploads(s.ctx, b.ID, bad, "", meta.UploadID{}, 1); return err },
			"ListUploads to": func() error { _, err := s.ListUploads(s.ctx, b.ID, "", bad, meta.UploadID{}, 1); return err },
			"Read":           func() error { _, err := s.Read(s.ctx, b.ID, bad, all); return err },
			"Versions":       func() error { _, err := s.Versions(s.ctx, b.ID, bad, 0, 1); return err },
			"ListVersions":   func() error { _, err := s.ListVersions(s.ctx, b.ID, bad, 0, 1); return err },
			"Fence":          func() error { _, err := s.Fence(s.ctx, b.ID, bad, 1, all); return err },
			"Begin":          func() error { _, err := s.Begin(s.ctx, b.ID, bad, 100, false); return err },
			"CreateUpload":   func() error { return s.CreateUpload(s.ctx, uploadOf(b.ID, bad)) },
			"ListBuckets":    func() error { _, err := s.ListBuckets(s.ctx, "", bad, 1); return err },
			"of an owner":    func() error { _, err := s.ListBuckets(s.ctx, bad, "", 1); return err },
		} {
			if err := call(); !errors.Is(err, meta.ErrBadText) {
				s.Fatalf("%s %.10q: %v", what, bad, err)
			}
		}
		_, err := s.Bucket(s.ctx, bad)
		s.is(err, meta.ErrNotFound)
	}
	long := strings.Repeat("k", meta.MaxTextBytes)
	got, err := scanKeys(s, b.ID, long, "", 1)
	s.ok(err)
	s.equal("keys", len(got), 0)
	_, err = s.Read(s.ctx, b.ID, long, all)
	s.ok(err)
}

func testOddKeys(s *suite) {
	b := s.bucket()
	want := map[string]meta.Version{}
	keys := OddKeys()
	for _, key := range keys {
		want[key] = s.add(b.ID, key)
	}
	slices.Sort(keys)
	for _, limit := range []int{1000, 7} {
		got, err := scanKeys(s, b.ID, "", "", limit)
		s.ok(err)
		s.equal(fmt.Sprint("listing by pages of ", limit), got, keys)
		all, err := scanAllKeys(s, b.ID, "", "", limit)
		s.ok(err)
		s.equal(fmt.Sprint("listing of all by pages of ", limit), keyNames(all), keys)
	}
	for i, key := range keys {
		s.equal(fmt.Sprintf("versions of %q", key), s.read(b.ID, key).Versions, []meta.Version{want[key]})
		if i%3 == 0 && i+3 < len(keys) {
			got, err := scanKeys(s, b.ID, key, keys[i+3], 10)
			s.ok(err)
			s.equal(fmt.Sprintf("from %q to %q", key, keys[i+3]), got, keys[i:i+3])
		}
	}
}

func testRangesAndPages(s *suite) {
	b := s.bucket()
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%02d", i))
		s.add(b.ID, keys[i])
	}
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"", "", keys},
		{"k10", "", keys[10:]},
		{"k10\x00", "", keys[11:]},
		{"", "k10", keys[:10]},
		{"k10", "k20", keys[10:20]},
		{"k1", "k2", keys[10:20]},
		{"k10", "k10", nil},
		{"k20", "k10", nil},
		{"z", "", nil},
		{"", "a", nil},
	} {
		for _, limit := range []int{1, 3, 10, 1000} {
			got, err := scanKeys(s, b.ID, c.from, c.to, limit)
			s.ok(err)
			s.equal(fmt.Sprintf("from %q to %q by pages of %d", c.from, c.to, limit), got, c.want)
			all, err := scanAllKeys(s, b.ID, c.from, c.to, limit)
			s.ok(err)
			s.equal(fmt.Sprintf("all from %q to %q by pages of %d", c.from, c.to, limit), keyNames(all), c.want)
		}
	}
}

func testHiddenKeys(s *suite) {
	b := s.bucket()
	for i := range 12 {
		key := fmt.Sprintf("k%02d", i)
		if i%4 != 1 {
			s.add(b.ID, key)
		}
		switch i % 4 {
		case 0:
			s.remove(b.ID, key)
		case 1, 2:
			s.mark(b.ID, key)
		}
	}
	want := []string{"k03", "k07", "k11"}
	for limit := 1; limit <= 4; limit++ {
		got, err := scanKeys(s, b.ID, "", "", limit)
		s.ok(err)
		s.equal(fmt.Sprint("by pages of ", limit), got, want)
	}
}

func testScanAll(s *suite) {
	b := s.bucket()
	one := s.add(b.ID, "one")
	s.add(b.ID, "two")
	s.add(b.ID, "two")
	s.mark(b.ID, "marker")
	s.add(b.ID, "marked")
	s.mark(b.ID, "marked")
	s.add(b.ID, "gone")
	s.remove(b.ID, "gone")
	s.add(b.ID, "was two")
	s.change(b.ID, "was two", nil, s.add(b.ID, "was two").Seq)
	keys, more, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 100, All: true})
	s.ok(err)
	s.equal("more", more, false)
	found := map[string]meta.Entry{}
	for _, k := range keys {
		found[k.Key] = k
	}
	if gone, named := found["gone"]; named {
		s.noVersions(b.ID, []meta.Entry{gone})
		delete(found, "gone")
	}
	s.equal("number of keys", len(found), 5)
	for key, k := range found {
		switch {
		case key == "one":
			s.equal("entry of the only version", k, *meta.EntryOf("one", &one))
		case key == "was two" && !k.HasOlderVersions:
			s.equal("entry of what is left", k, *meta.EntryOf(key, s.current(b.ID, key)))
		default:
			s.equal("entry of a key with several versions", k, meta.Entry{Key: key, HasOlderVersions: true})
		}
	}
}

func testChangesShowAtOnce(s *suite) {
	b := s.bucket()
	for i := range 10 {
		key := fmt.Sprint("k", i%3)
		v := s.add(b.ID, key)
		entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1})
		s.ok(err)
		s.equal("listing after a PUT", entries, []meta.Entry{*meta.EntryOf(key, &v)})
		if i%2 == 1 {
			s.remove(b.ID, key)
			entries, _, err = s.Scan(s.ctx, b.ID, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1})
			s.ok(err)
			s.equal("listing after a DELETE", len(entries), 0)
		}
	}
}

func testBegunChanges(s *suite) {
	b := s.bucket()
	v := s.add(b.ID, "old")
	now := time.Now()
	s.begin(b.ID, "old", meta.NextRev(v.Seq, now)) // its writer has crashed
	s.begin(b.ID, "new", meta.NextRev(0, now))
	s.begin(b.ID, "cancelled", meta.NextRev(0, now)).Cancel(s.ctx)
	for range 2 {
		entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
		s.ok(err)
		s.equal("listing", entries, []meta.Entry{*meta.EntryOf("old", &v)})
		keys, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10, All: true})
		s.ok(err)
		s.noVersions(b.ID, slices.DeleteFunc(keys, func(k meta.Entry) bool { return k.Key == "old" }))
		s.ok(s.Flush(s.ctx))
	}
	w := s.add(b.ID, "new")
	entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
	s.ok(err)
	s.equal("listing", entries, []meta.Entry{*meta.EntryOf("new", &w), *meta.EntryOf("old", &v)})
}

// testListWhileChanging lists by small pages while keys between the stable ones are
// added, changed and removed.
func testListWhileChanging(s *suite) {
	b := s.bucket()
	var stable []string
	for i := range 12 {
		stable = append(stable, fmt.Sprintf("k%02d", i))
		s.add(b.ID, stable[i])
	}
	done := make(chan struct{})
	errs := race(3, func(i int) error {
		if i == 0 {
			defer close(done)
			for n := range 15 {
				if err := s.toggle(b.ID, fmt.Sprintf("k%02d-", n%5)); err != nil {
					return err
				}
			}
			return nil
		}
		return s.listUntil(done, b.ID, stable, 1+3*i)
	})
	s.ok(errors.Join(errs...))
}

// toggle adds a key, or removes it if it is there; the listing shows it at once.
func (s *suite) toggle(bucket meta.BucketID, key string) error {
	h, err := s.Read(s.ctx, bucket, key, all)
	if err != nil {
		return err
	}
	rev := meta.NextRev(h.Rev, time.Now())
	var put []meta.Version
	if len(h.Versions) == 0 {
		put = append(put, version(rev))
	}
	if err := commit(s.ctx, s.Store, bucket, key, plan(key, h, rev, put, seqs(h.Versions)...)); err != nil {
		return err
	}
	entries, _, err := s.Scan(s.ctx, bucket, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1})
	if err == nil && len(entries) != len(put) {
		err = fmt.Errorf("the listing shows %v after a change to %v", entries, put)
	}
	return err
}

func (s *suite) listUntil(done <-chan struct{}, bucket meta.BucketID, stable []string, limit int) error {
	for {
		keys, err := scanKeys(s, bucket, "", "", limit)
		if err != nil {
			return err
		}
		if !slices.IsSorted(keys) {
			return fmt.Errorf("keys out of order: %q", keys)
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasSuffix(k, "-") })
		if !slices.Equal(keys, stable) {
			return fmt.Errorf("the stable keys show as %q", keys)
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}
