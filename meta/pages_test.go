package meta

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
)

// many is a version of n parts of sizes 1 to n; with each == 2 every other part
// has two segments.
func many(n, each int) Version {
	v := Version{Owner: "o"}
	for i := 1; i <= n; i++ {
		v.Parts = append(v.Parts, PartInfo{Number: 3 * i, Size: int64(i)})
		pieces := 1
		if i%2 == 0 {
			pieces = each
		}
		for j := range pieces {
			size := int64(i / pieces)
			if j == 0 {
				size = int64(i) - int64(pieces-1)*size
			}
			v.Segments = append(v.Segments, Segment{Blob: NewID(), Size: size, Part: 3 * i})
		}
		v.Size += int64(i)
	}
	return v
}

func TestPagesHaveAllSegmentsAndParts(t *testing.T) {
	for _, n := range []int{101, 150, 200, 201, 10_000} {
		for _, each := range []int{1, 2} {
			v := many(n, each)
			p := v.Paged()
			if p.Pages == nil || p.Segments != nil || p.Parts != nil || p.CountSegments() != len(v.Segments) || p.CountParts() != n {
				t.Fatalf("%d parts: %d segments beside %+v", n, len(p.Segments), p.Pages)
			}
			stored := map[int][]byte{}
			for i, page := range p.Pages.Write {
				b, err := Marshal(page)
				if err != nil {
					t.Fatal(err)
				}
				stored[i] = b
			}
			doc, err := Marshal(&p)
			if err != nil {
				t.Fatal(err)
			}
			if len(doc) > 40+16*len(p.Pages.Index) {
				t.Errorf("the document of a version of %d parts has %d bytes", n, len(doc))
			}
			var got Version
			if err := Unmarshal(doc, &got); err != nil {
				t.Fatal(err)
			}
			if err := got.JoinPages(stored); err != nil || !reflect.DeepEqual(got, v) {
				t.Errorf("%d parts came back as %d segments and %d parts, %v", n, len(got.Segments), len(got.Parts), err)
			}
		}
	}
}

func TestShortListsHaveNoPages(t *testing.T) {
	v := many(PageSegments, 1)
	if p := v.Paged(); !reflect.DeepEqual(p, v) {
		t.Errorf("%d segments are divided", PageSegments)
	}
	// Parts that are not those of the segments cannot be divided with them.
	v = many(300, 1)
	v.Parts[5].Size++
	if p := v.Paged(); !reflect.DeepEqual(p, v) {
		t.Error("parts were divided that are not those of the segments")
	}
}

func TestPagesWithinARange(t *testing.T) {
	v := many(250, 1)
	p := v.Paged().Pages
	var sizes []int64
	for _, s := range v.Segments {
		sizes = append(sizes, s.Size)
	}
	sum := func(n int) (total int64) {
		for _, s := range sizes[:n] {
			total += s
		}
		return total
	}
	for _, c := range []struct {
		offset, end int64
		first, last int
		start       int64
	}{
		{0, 0, 0, 0, 0}, {0, 1, 0, 1, 0}, {0, v.Size, 0, 3, 0}, {sum(100) - 1, sum(100), 0, 1, 0}, {sum(100) - 1, sum(100) + 1, 0, 2, 0},
		{sum(100), sum(100) + 1, 1, 2, sum(100)}, {v.Size - 1, v.Size, 2, 3, sum(200)}, {sum(150), v.Size, 1, 3, sum(100)},
	} {
		if first, last, start := p.Within(c.offset, c.end); first != c.first || last != c.last || start != c.start {
			t.Errorf("%d to %d: pages %d to %d, which begin at %d; want %+v", c.offset, c.end, first, last, start, c)
		}
	}
	for number, want := range map[int]int{1: 0, 3: 0, 300: 0, 302: 0, 303: 1, 600: 1, 603: 2, 750: 2, 9999: 2} {
		if got := p.OfPart(number); got != want {
			t.Errorf("part %d is looked for in page %d, want %d", number, got, want)
		}
	}
}

func TestAppendWritesOnePage(t *testing.T) {
	v := many(199, 1)
	paged := v.Paged()
	p, last := paged.Pages, paged.Pages.Write[1]
	for i := range 3 {
		s := Segment{Blob: NewID(), Size: 7}
		before := slices.Clone(p.Index)
		next := p.Appended(last, s)
		if !reflect.DeepEqual(p.Index, before) {
			t.Fatal("an append has changed the index that it began with")
		}
		at := len(next.Index) - 1
		page, ok := next.Write[at]
		if len(next.Write) != 1 || !ok || !reflect.DeepEqual(page.Segments[len(page.Segments)-1], s) || next.Segments != 200+i || next.Parts != 0 {
			t.Fatalf("append %d writes %d pages: %+v", i, len(next.Write), next.Index)
		}
		p, last = next, page
	}
	if len(p.Index) != 3 || p.Index[2].Bytes != 14 || len(last.Segments) != 2 {
		t.Errorf("202 segments lie in %+v", p.Index)
	}
}

// Programs that know of no pages must not take a version that has them for one
// without segments: its blobs would be collected.
func TestProgramsWithoutPagesRefuseThem(t *testing.T) {
	v := many(300, 1)
	p := v.Paged()
	doc, err := Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	type before Version // as the general decoder takes it
	var old before
	if err := decoding.Unmarshal(doc, &old); err == nil {
		t.Errorf("it was decoded as %+v", old)
	}
	e, err := UnmarshalEntryOf(doc, "k", 7)
	p.Seq = 7
	if want := *EntryOf("k", &p); err != nil || e != want {
		t.Errorf("listed as %+v, %v; want %+v", e, err, want)
	}
}

// An index without the number of segments (0), as an earlier build has written
// it, is compared by bytes; the next append writes the number.
func TestPagesWithoutTheNumberOfSegmentsFit(t *testing.T) {
	v := many(150, 1)
	v.Parts = nil
	p := v.Paged()
	last := p.Pages.Write[1]
	for i := range p.Pages.Index {
		p.Pages.Index[i].Segments = 0
	}
	if err := p.Pages.Fits(1, &last); err != nil {
		t.Error(err)
	}
	short := Page{Segments: last.Segments[:len(last.Segments)-1]}
	if err := p.Pages.Fits(1, &short); !errors.Is(err, ErrNotFound) {
		t.Errorf("a page that misses bytes: %v", err)
	}
	next := p.Pages.Appended(last, Segment{Blob: NewID(), Size: 7})
	if got, want := next.Index[1].Segments, len(last.Segments)+1; got != want {
		t.Errorf("the appended page states %d segments, want %d", got, want)
	}
	appended := next.Write[1]
	if err := next.Fits(1, &appended); err != nil {
		t.Error(err)
	}
	if err := p.Pages.cut(1, &appended); err != nil || len(appended.Segments) != len(last.Segments) {
		t.Errorf("as its index was before the append it has %d segments, %v", len(appended.Segments), err)
	}
}

// tornReads are those of a version whose pages are older than its index at first.
type tornReads struct {
	version Version
	pages   []Page
	torn    int // reads of pages that miss a segment
	reads   int
}

func (s *tornReads) Read(context.Context, BucketID, string, ReadOptions) (Head, error) {
	if s.reads++; s.version.Pages == nil {
		return Head{}, nil
	}
	v := s.version
	return Head{Rev: 9, Named: &v}, nil
}

func (s *tornReads) Pages(_ context.Context, _ BucketID, _ string, _ int64, from, n int) ([]Page, error) {
	pages := slices.Clone(s.pages[from : from+n])
	if s.torn--; s.torn >= 0 {
		page := &pages[len(pages)-1]
		page.Segments = page.Segments[:len(page.Segments)-1]
	}
	return pages, nil
}

func TestAWalkReadsAVersionAgain(t *testing.T) {
	v := many(150, 1)
	v.Parts = nil
	p := v.Paged()
	pages := []Page{p.Pages.Write[0], p.Pages.Write[1]}
	p.Pages.Write = nil

	r := VersionRow{Key: "k"}
	if gone, err := WholeAgain(t.Context(), &tornReads{version: p, pages: pages, torn: 2}, &r, false); gone || err != nil {
		t.Fatal(gone, err)
	}
	if !reflect.DeepEqual(r.Version, v) || r.Rev != 9 {
		t.Errorf("read %d segments of %d at revision %d", len(r.Segments), len(v.Segments), r.Rev)
	}
	if gone, err := WholeAgain(t.Context(), &tornReads{}, &r, false); !gone || err != nil {
		t.Errorf("a version that was removed: %v, %v", gone, err)
	}
	torn := &tornReads{version: p, pages: pages, torn: 1000}
	if gone, err := WholeAgain(t.Context(), torn, &r, false); gone || !errors.Is(err, ErrNotFound) || torn.reads > 10 {
		t.Errorf("a version that never fits: %v, %v, %d reads", gone, err, torn.reads)
	}
}
