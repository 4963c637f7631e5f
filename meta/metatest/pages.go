package metatest

import (
	"fmt"
	"time"

	"github.com/pithos/pithos/meta"
)

// manyParts is a version of n parts, as it was before it was divided into pages.
func manyParts(seq int64, n int) meta.Version {
	v := meta.Version{Seq: seq, ETag: fmt.Sprint("e-", n), Modified: seq, Owner: "owner", Class: "STANDARD"}
	for i := range n {
		size := int64(5<<20 + i)
		v.Size += size
		v.Segments = append(v.Segments, meta.Segment{Store: "store", Blob: meta.NewID(), Bytes: size, Size: size, Part: 2*i + 1, Nonce: []byte("nonce")})
		v.Parts = append(v.Parts, meta.PartInfo{Number: 2*i + 1, Size: size, Checksum: &meta.Checksum{Algorithm: "CRC32", Type: "COMPOSITE", Value: "AAAAAA=="}})
	}
	return v
}

// putPaged adds v, divided into pages, and returns it as a read shows it.
func (s *suite) putPaged(bucket meta.BucketID, key string, v meta.Version) meta.Version {
	s.Helper()
	h := s.read(bucket, key)
	v.Seq = meta.NextRev(h.Rev, time.Now())
	paged := v.Paged()
	if paged.Pages == nil {
		s.Fatalf("%d segments are not divided into pages", len(v.Segments))
	}
	s.ok(commit(s.ctx, s.Store, bucket, key, plan(key, h, v.Seq, []meta.Version{paged}, seqs(h.Versions)...)))
	return asRead(paged)
}

// asRead is a version with pages as a read shows it.
func asRead(v meta.Version) meta.Version {
	index := *v.Pages
	index.Write = nil
	v.Pages = &index
	return v
}

// pages reads pages that must be there.
func (s *suite) pages(bucket meta.BucketID, key string, seq int64, from, n int) []meta.Page {
	s.Helper()
	pages, err := s.Pages(s.ctx, bucket, key, seq, from, n)
	s.ok(err)
	return pages
}

func testPages(s *suite) {
	b := s.bucket()
	whole := manyParts(0, 10_000)
	v := s.putPaged(b.ID, "k", whole)
	s.equal("pages", len(v.Pages.Index), 100)
	h := s.read(b.ID, "k")
	s.equal("head", h.Versions, []meta.Version{v})
	named, err := s.Read(s.ctx, b.ID, "k", meta.ReadOptions{Seq: v.Seq})
	s.ok(err)
	s.equal("named", *named.Named, v)
	versions, err := s.Versions(s.ctx, b.ID, "k", 0, 10)
	s.ok(err)
	s.equal("versions", versions, []meta.Version{v})
	entries, err := s.ListVersions(s.ctx, b.ID, "k", 0, 10)
	s.ok(err)
	s.equal("listed", entries, []meta.Entry{*meta.EntryOf("k", &v)})
	for _, r := range [][2]int{{0, 1}, {0, 100}, {37, 5}, {99, 1}} {
		for i, p := range s.pages(b.ID, "k", v.Seq, r[0], r[1]) {
			at := 100 * (r[0] + i)
			s.equal(fmt.Sprint("page ", r[0]+i), p, meta.Page{Segments: whole.Segments[at : at+100], Parts: whole.Parts[at : at+100]})
		}
	}
	for _, r := range [][2]int{{100, 1}, {99, 2}, {1000, 1}} {
		_, err := s.Pages(s.ctx, b.ID, "k", v.Seq, r[0], r[1])
		s.is(err, meta.ErrNotFound)
	}
	for _, key := range []string{"k", "other"} {
		_, err := s.Pages(s.ctx, b.ID, key, v.Seq+1, 0, 1)
		s.is(err, meta.ErrNotFound)
	}
	got := h.Versions[0]
	s.ok(meta.Whole(s.ctx, s, b.ID, "k", &got))
	whole.Seq = v.Seq
	s.equal("whole", got, whole)
	for _, shares := range []int{1, 3} {
		rows := s.walked(b.ID, false, shares)
		s.equal("versions walked", len(rows), 1)
		s.equal("version walked", rows[0].Version, whole)
	}
}

// testPagesAreKept changes what is no segment, and then adds segments.
func testPagesAreKept(s *suite) {
	b := s.bucket()
	whole := manyParts(0, 199)
	v := s.putPaged(b.ID, "k", whole)
	s.change(b.ID, "k", func(int64) []meta.Version {
		v.Tags = []meta.Tag{{Key: "a", Value: "b"}}
		return []meta.Version{v}
	})
	s.equal("after new tags", s.read(b.ID, "k").Versions, []meta.Version{v})
	s.equal("first page after new tags", s.pages(b.ID, "k", v.Seq, 0, 1)[0].Segments, whole.Segments[:100])
	for i := range 3 {
		last := len(v.Pages.Index) - 1
		added := meta.Segment{Store: "store", Blob: meta.NewID(), Bytes: 1, Size: 1}
		whole.Segments = append(whole.Segments, added)
		s.change(b.ID, "k", func(int64) []meta.Version {
			v.Pages = v.Pages.Appended(s.pages(b.ID, "k", v.Seq, last, 1)[0], added)
			v.Size++
			if len(v.Pages.Write) != 1 {
				s.Fatalf("an append writes %d pages", len(v.Pages.Write))
			}
			return []meta.Version{v}
		})
		v = asRead(v)
		s.equal(fmt.Sprint("after append ", i), s.read(b.ID, "k").Versions, []meta.Version{v})
	}
	s.equal("segments", v.Pages.Segments, 202)
	s.equal("pages", len(v.Pages.Index), 3)
	s.ok(meta.Whole(s.ctx, s, b.ID, "k", &v))
	s.equal("segments", v.Segments, whole.Segments)
	s.equal("walked", s.walked(b.ID, false, 1)[0].Segments, whole.Segments)
}

// testPagesGo removes a version, and replaces one by another without pages.
func testPagesGo(s *suite) {
	b := s.bucket()
	v := s.putPaged(b.ID, "k", manyParts(0, 150))
	s.change(b.ID, "k", func(int64) []meta.Version {
		return []meta.Version{version(v.Seq)}
	})
	s.equal("pages of the version that replaced it", s.read(b.ID, "k").Versions[0].Pages, (*meta.Pages)(nil))
	s.equal("walked", len(s.walked(b.ID, false, 1)[0].Segments), 0)
	w := s.putPaged(b.ID, "k", manyParts(0, 250))
	s.remove(b.ID, "k")
	_, err := s.Pages(s.ctx, b.ID, "k", w.Seq, 0, 1)
	s.is(err, meta.ErrNotFound)
	s.equal("versions walked", len(s.walked(b.ID, false, 1)), 0)
}

func testPagesAreComplete(s *suite) {
	b := s.bucket()
	v := manyParts(0, 150)
	v.Seq = meta.NextRev(0, time.Now())
	missing := v.Paged()
	delete(missing.Pages.Write, 1)
	if err := commit(s.ctx, s.Store, b.ID, "k", plan("k", meta.Head{}, v.Seq, []meta.Version{missing})); err == nil {
		s.Error("a new version came without one of its pages")
	}
	both := v.Paged()
	both.Segments = v.Segments
	if err := commit(s.ctx, s.Store, b.ID, "k", plan("k", meta.Head{}, v.Seq, []meta.Version{both})); err == nil {
		s.Error("a version came with segments in its document and in pages")
	}
	s.equal("versions", len(s.read(b.ID, "k").Versions), 0)
}

// testPagesMustFit has an index state more, and less, than the pages have.
func testPagesMustFit(s *suite) {
	b := s.bucket()
	whole := manyParts(0, 150)
	whole.Parts = nil
	v := s.putPaged(b.ID, "k", whole)
	before := v
	last := s.pages(b.ID, "k", v.Seq, 1, 1)[0]
	added := meta.Segment{Store: "store", Blob: meta.NewID()} // an empty one
	s.change(b.ID, "k", func(int64) []meta.Version {
		v.Pages = v.Pages.Appended(last, added)
		v.Pages.Write = nil
		return []meta.Version{v}
	})
	got := s.read(b.ID, "k").Versions[0]
	s.is(got.Pages.Fits(1, &s.pages(b.ID, "k", v.Seq, 1, 1)[0]), meta.ErrNotFound)
	s.is(meta.Whole(s.ctx, s, b.ID, "k", &got), meta.ErrNotFound)
	s.change(b.ID, "k", func(int64) []meta.Version {
		v.Pages = before.Pages.Appended(last, added)
		return []meta.Version{v}
	})
	s.ok(meta.Whole(s.ctx, s, b.ID, "k", &before))
	s.equal("as its index was before the append", before.Segments, whole.Segments)
	s.is(before.Paged().Pages.Fits(1, &s.pages(b.ID, "k", v.Seq, 1, 1)[0]), meta.ErrNotFound)
}
