package metatest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pithos/pithos/meta"
)

var objectContracts = []contract{
	{"UnknownKeyHasNoVersions", func(s *suite) {
		h := s.read(s.bucket().ID, "k")
		s.equal("head", h, meta.Head{})
		if h.Current() != nil {
			s.Fatal("an unknown key has a current version")
		}
	}},
	{"CommitKeepsEveryField", testCommitKeepsEveryField},
	{"MetadataMayHoldAnyByte", func(s *suite) {
		b := s.bucket()
		odd := map[string]string{"x": "caf\xe9", "\xff": "\x00\r\n"}
		c := s.change(b.ID, "k", func(rev int64) []meta.Version {
			v := version(rev)
			v.Metadata, v.Headers = odd, odd
			return []meta.Version{v}
		})
		s.equal("versions", s.read(b.ID, "k").Versions, c.Put)
	}},
	{"PayloadOnlyWhenAsked", testPayloadOnlyWhenAsked},
	{"PayloadOfInlineMaxBytes", testLargePayload},
	{"ReadLimitsToTheNewest", testReadLimits},
	{"ReadNamesAVersion", testReadNames},
	{"CommitNeedsTheRevision", testCommitNeedsTheRevision},
	{"CommitReplacesTheSameSeq", testCommitReplaces},
	{"CommitMayRaiseTheRevisionBegun", func(s *suite) {
		b := s.bucket()
		p := s.begin(b.ID, "k", 100)
		c := plan("k", meta.Head{}, 200, []meta.Version{version(200)})
		s.ok(p.Commit(s.ctx, c))
		s.equal("revision", s.read(b.ID, "k").Rev, int64(200))
		s.equal("listing", s.keys(b.ID), []string{"k"})
	}},
	{"DeletingTheCurrentShowsTheOneBefore", testDeleteCurrent},
	{"NullVersionIsKnown", testNullVersion},
	{"GoneKeyCanBeMadeAgain", testGoneKey},
	{"VersionsArePaged", testVersionsPaged},
	{"ListedVersions", testListVersions},
	{"SegmentsLieInPages", testPages},
	{"ChangesKeepPages", testPagesAreKept},
	{"PagesGoWithTheirVersion", testPagesGo},
	{"NewVersionsComeWithTheirPages", testPagesAreComplete},
	{"PagesMustFitTheirIndex", testPagesMustFit},
	{"KeysThatArePrefixesStayApart", func(s *suite) {
		b := s.bucket()
		for _, key := range []string{"a", "a\x00", "a\x00\x01", "aa"} {
			v := s.add(b.ID, key)
			got, err := s.Versions(s.ctx, b.ID, key, 0, 10)
			s.ok(err)
			s.equal(fmt.Sprintf("versions of %q", key), got, bare(v))
		}
	}},
	{"OfRacingChangesOneWins", testRacingCommits},
	{"RacingChangesLoseNothing", testRacingIncrements},
	{"ReaderSeesOldOrNewWhole", testReadsAreWhole},
}

// begin announces a change and fails the test if that fails.
func (s *suite) begin(bucket meta.BucketID, key string, rev int64) meta.Pending {
	s.Helper()
	p, err := s.Begin(s.ctx, bucket, key, rev, false)
	s.ok(err)
	return p
}

func testCommitKeepsEveryField(s *suite) {
	b := s.bucket()
	c := s.change(b.ID, "k", func(rev int64) []meta.Version {
		v := full[meta.Version]()
		v.Seq, v.DeleteMarker = rev, false
		return []meta.Version{v}
	})
	h := s.read(b.ID, "k")
	s.equal("head", h, meta.Head{Rev: c.Rev, NullSeq: c.Rev, Versions: c.Put})
	entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
	s.ok(err)
	s.equal("listing", entries, []meta.Entry{*c.Entry})
}

func testPayloadOnlyWhenAsked(s *suite) {
	b := s.bucket()
	v := s.add(b.ID, "k")
	h, err := s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Seq: v.Seq})
	s.ok(err)
	s.equal("without payload", h.Versions, bare(v))
	s.equal("named, without payload", *h.Named, bare(v)[0])
	h, err = s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Seq: v.Seq, Payload: true})
	s.ok(err)
	s.equal("with payload", h.Versions, []meta.Version{v})
	s.equal("named, with payload", *h.Named, v)
}

func testLargePayload(s *suite) {
	b := s.bucket()
	for _, size := range []int{0, 1, s.InlineMax()} {
		body := bytes.Repeat([]byte("\x00\xff\x01pithos"), size/9+1)[:size]
		key := fmt.Sprint("k", size)
		s.change(b.ID, key, func(rev int64) []meta.Version {
			v := version(rev)
			v.Size, v.Payload = int64(size), body
			return []meta.Version{v}
		})
		if got := s.current(b.ID, key); !got.Inline || !bytes.Equal(got.Payload, body) {
			s.Fatalf("a payload of %d bytes came back with %d", size, len(got.Payload))
		}
	}
}

func testReadLimits(s *suite) {
	b := s.bucket()
	var want []meta.Version
	for range 4 {
		want = append([]meta.Version{s.add(b.ID, "k")}, want...)
	}
	for limit, n := range map[int]int{0: 1, 1: 1, 2: 2, 4: 4, 9: 4} {
		h, err := s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Limit: limit, Payload: true})
		s.ok(err)
		s.equal(fmt.Sprint("versions for limit ", limit), h.Versions, want[:n])
		s.equal("current", h.Current().Seq, want[0].Seq)
		if h.Named != nil {
			s.Fatal("a version was returned that was not requested")
		}
	}
}

func testReadNames(s *suite) {
	b := s.bucket()
	var added []meta.Version
	for range 3 {
		added = append(added, s.add(b.ID, "k"))
	}
	for _, v := range added {
		h, err := s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Seq: v.Seq, Payload: true})
		s.ok(err)
		s.equal("newest", h.Versions, added[2:])
		s.equal("named", *h.Named, v)
	}
	for _, o := range []meta.ReadOptions{{Seq: added[0].Seq + 1}, {Null: true}} {
		h, err := s.Read(s.ctx, b.ID, "k", o)
		s.ok(err)
		if h.Named != nil {
			s.Fatalf("%+v names %+v, which is not there", o, h.Named)
		}
	}
}

func testCommitNeedsTheRevision(s *suite) {
	b := s.bucket()
	first := s.add(b.ID, "k")
	s.add(b.ID, "k")
	before := s.read(b.ID, "k")
	for _, rev := range []int64{0, first.Seq, before.Rev - 1, before.Rev + 1} {
		wrong := before
		wrong.Rev = rev
		next := before.Rev + 1000
		c := plan("k", wrong, next, []meta.Version{version(next)}, first.Seq)
		s.is(commit(s.ctx, s.Store, b.ID, "k", c), meta.ErrConflict)
		s.equal("head after a refused change", s.read(b.ID, "k"), before)
	}
	c := plan("new", meta.Head{Rev: 77}, 100, []meta.Version{version(100)})
	s.is(commit(s.ctx, s.Store, b.ID, "new", c), meta.ErrConflict)
	s.equal("listing", s.keys(b.ID), []string{"k"})
}

func testCommitReplaces(s *suite) {
	b := s.bucket()
	old, current := s.add(b.ID, "k"), s.add(b.ID, "k")
	for _, v := range []*meta.Version{&old, &current} {
		v.ETag, v.Payload, v.Tags = "changed", []byte("changed"), []meta.Tag{{Key: "a", Value: "b"}}
		v.Size = int64(len(v.Payload))
		s.change(b.ID, "k", func(int64) []meta.Version { return []meta.Version{*v} })
		s.equal("versions", s.read(b.ID, "k").Versions, []meta.Version{current, old})
		v.Payload, v.Inline, v.Tags = nil, false, nil
		s.change(b.ID, "k", func(int64) []meta.Version { return []meta.Version{*v} })
		s.equal("versions without payload", s.read(b.ID, "k").Versions, []meta.Version{current, old})
	}
	entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
	s.ok(err)
	s.equal("listing", entries, []meta.Entry{*meta.EntryOf("k", &current)})
}

func testDeleteCurrent(s *suite) {
	b := s.bucket()
	versions := []meta.Version{s.add(b.ID, "k"), s.add(b.ID, "k"), s.add(b.ID, "k"), s.add(b.ID, "k")}
	s.change(b.ID, "k", nil, versions[3].Seq, versions[1].Seq) // two at once
	s.equal("versions", s.read(b.ID, "k").Versions, []meta.Version{versions[2], versions[0]})
	s.change(b.ID, "k", nil, versions[2].Seq)
	entries, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10})
	s.ok(err)
	s.equal("listing", entries, []meta.Entry{*meta.EntryOf("k", &versions[0])})
	marker := s.mark(b.ID, "k")
	s.equal("listing under a marker", s.keys(b.ID), []string(nil))
	s.change(b.ID, "k", nil, marker)
	s.equal("listing without the marker", s.keys(b.ID), []string{"k"})
	s.equal("versions at last", s.read(b.ID, "k").Versions, versions[:1])
}

func testNullVersion(s *suite) {
	b := s.bucket()
	s.add(b.ID, "k")
	c := s.change(b.ID, "k", func(rev int64) []meta.Version {
		v := version(rev)
		v.Null = true
		return []meta.Version{v}
	})
	s.add(b.ID, "k")
	h, err := s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Null: true, Payload: true})
	s.ok(err)
	s.equal("Seq of the null version", h.NullSeq, c.Rev)
	s.equal("null version", *h.Named, c.Put[0])
	s.change(b.ID, "k", nil, c.Rev)
	h, err = s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Null: true})
	s.ok(err)
	if h.NullSeq != 0 || h.Named != nil || len(s.read(b.ID, "k").Versions) != 2 {
		s.Fatalf("after its deletion: %+v", h)
	}
}

func testGoneKey(s *suite) {
	b := s.bucket()
	for range 3 {
		s.add(b.ID, "k")
		last := s.add(b.ID, "k")
		s.remove(b.ID, "k")
		h := s.read(b.ID, "k")
		if len(h.Versions) != 0 || h.NullSeq != 0 || h.Named != nil {
			s.Fatalf("a gone key has %+v", h)
		}
		if h.Rev != 0 && h.Rev <= last.Seq {
			s.Fatalf("revision %d after version %d", h.Rev, last.Seq)
		}
		s.equal("listing", s.keys(b.ID), []string(nil))
		versions, err := s.Versions(s.ctx, b.ID, "k", 0, 10)
		s.ok(err)
		s.equal("versions", len(versions), 0)
	}
	v := s.add(b.ID, "k")
	s.equal("made again", s.read(b.ID, "k").Versions, []meta.Version{v})
	s.equal("listing", s.keys(b.ID), []string{"k"})
}

func testVersionsPaged(s *suite) {
	b := s.bucket()
	var want []meta.Version
	for range 5 {
		want = append(bare(s.add(b.ID, "k")), want...)
	}
	for limit := 1; limit <= 6; limit++ {
		var got []meta.Version
		for before := int64(0); ; {
			page, err := s.Versions(s.ctx, b.ID, "k", before, limit)
			s.ok(err)
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				s.Fatalf("%d versions for a limit of %d", len(page), limit)
			}
			got = append(got, page...)
			before = page[len(page)-1].Seq
		}
		s.equal(fmt.Sprint("versions by pages of ", limit), got, want)
	}
	got, err := s.Versions(s.ctx, b.ID, "k", want[1].Seq+1, 1)
	s.ok(err)
	s.equal("below a Seq that is no version's", got, want[1:2])
}

// entriesOf is what listings show of versions of a key.
func entriesOf(key string, versions []meta.Version) []meta.Entry {
	var entries []meta.Entry
	for i := range versions {
		entries = append(entries, *meta.EntryOf(key, &versions[i]))
	}
	return entries
}

// testListVersions lists versions with all that a version can have.
func testListVersions(s *suite) {
	b := s.bucket()
	rev := meta.NextRev(0, time.Now())
	var versions []meta.Version
	for i := range 6 {
		v := version(rev + int64(i))
		v.Null, v.Owner, v.Class = i == 1, "owner", "COLD"
		v.Headers = map[string]string{"Content-Disposition": strings.Repeat("d", 1000)}
		v.Segments = make([]meta.Segment, 100*i)
		for n := range v.Segments {
			v.Segments[n] = meta.Segment{Store: "store", Blob: meta.NewID(), Part: n + 1}
		}
		switch i {
		case 2:
			v = meta.Version{Seq: v.Seq, DeleteMarker: true, Modified: 5, Owner: "owner"}
		case 3:
			v.Checksum = &meta.Checksum{Algorithm: "CRC32", Type: "COMPOSITE", Value: "AAAAAA==-3"}
		case 4:
			v.Moving = &meta.Move{ID: meta.NewID(), Key: "other"}
		}
		versions = append([]meta.Version{v}, versions...)
	}
	c := plan("k", meta.Head{}, versions[0].Seq, versions)
	c.NullSeq = versions[4].Seq
	s.ok(commit(s.ctx, s.Store, b.ID, "k", c))
	want := entriesOf("k", versions)
	for limit := 1; limit <= 7; limit++ {
		var got []meta.Entry
		for before := int64(0); ; {
			page, err := s.ListVersions(s.ctx, b.ID, "k", before, limit)
			s.ok(err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			before = page[len(page)-1].Seq
		}
		s.equal(fmt.Sprint("versions listed by pages of ", limit), got, want)
	}
	none, err := s.ListVersions(s.ctx, b.ID, "none", 0, 10)
	s.ok(err)
	if len(none) != 0 {
		s.Fatalf("a key that is not there has %v", none)
	}
}

func testRacingCommits(s *suite) {
	b := s.bucket()
	var before meta.Head
	for range max(2, s.rounds/2) { // the first time the key is new
		const n = 6
		changes := make([]meta.Change, n)
		for i := range changes {
			rev := meta.NextRev(before.Rev, time.Now()) + int64(i)
			changes[i] = plan("k", before, rev, []meta.Version{version(rev)}, seqs(before.Versions)...)
		}
		results := make([]error, n)
		s.winners(race(n, func(i int) error {
			results[i] = commit(s.ctx, s.Store, b.ID, "k", changes[i])
			return results[i]
		}), meta.ErrConflict)
		h := s.read(b.ID, "k")
		won := slices.Index(results, nil)
		if won < 0 || slices.Index(results[won+1:], nil) >= 0 {
			s.Fatalf("not one winner: %v", results)
		}
		s.equal("winner's versions", h.Versions, changes[won].Put)
		before = h
	}
}

func testRacingIncrements(s *suite) {
	b := s.bucket()
	const workers, each = 4, 5
	errs := race(workers, func(int) error {
		for range each {
			if err := s.increment(b.ID, "k"); err != nil {
				return err
			}
		}
		return nil
	})
	s.ok(errors.Join(errs...))
	if got := s.current(b.ID, "k").Appends; got != workers*each {
		s.Fatalf("%d of %d increments are there", got, workers*each)
	}
}

// increment replaces the only version of key by one that counts one more.
func (s *suite) increment(bucket meta.BucketID, key string) error {
	for {
		h, err := s.Read(s.ctx, bucket, key, all)
		if err != nil {
			return err
		}
		v := version(meta.NextRev(h.Rev, time.Now()))
		if old := h.Current(); old != nil {
			v.Appends = old.Appends
		}
		v.Appends++
		c := plan(key, h, v.Seq, []meta.Version{v}, seqs(h.Versions)...)
		if err = commit(s.ctx, s.Store, bucket, key, c); !errors.Is(err, meta.ErrConflict) {
			return err
		}
	}
}

// testReadsAreWhole reads a key while it is overwritten: each read returns one
// whole version with its payload, and never an older one than before.
func testReadsAreWhole(s *suite) {
	b := s.bucket()
	s.ok(s.increment(b.ID, "k"))
	done := make(chan struct{})
	errs := race(3, func(i int) error {
		if i == 0 {
			defer close(done)
			for range 20 {
				if err := s.increment(b.ID, "k"); err != nil {
					return err
				}
			}
			return nil
		}
		return s.watch(b.ID, "k", done)
	})
	s.ok(errors.Join(errs...))
}

func (s *suite) watch(bucket meta.BucketID, key string, done <-chan struct{}) error {
	last := 0
	for {
		h, err := s.Read(s.ctx, bucket, key, all)
		if err != nil {
			return err
		}
		if len(h.Versions) != 1 {
			return fmt.Errorf("%d versions while the key is overwritten", len(h.Versions))
		}
		v := h.Versions[0]
		if string(v.Payload) != v.ETag || v.Seq != h.Rev {
			return fmt.Errorf("a torn read: revision %d, version %+v", h.Rev, v)
		}
		if v.Appends < last {
			return fmt.Errorf("read %d after %d", v.Appends, last)
		}
		last = v.Appends
		select {
		case <-done:
			return nil
		default:
		}
	}
}
