package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// A completed multipart upload has up to 10,000 parts, and an object that was
// appended to as many segments: over a megabyte, which a HEAD, a condition or a
// change of tags does not need. So a version with more than [PageSegments] of
// them has its list apart from its document, in pages. The document has an
// index of the pages: one read of a key costs the same whatever is stored, and a
// reader knows how much it is going to read before it reads a page.
//
// The pages belong to the row of the version (bucket, key, Seq), and change with
// it in one atomic change. While the version is there, its list changes in one
// way only: an append adds to its end. So a page that is read after its index has
// all that the index states, or more of later appends, or the version is gone.
//
// Nothing relies on that: each page is compared with the index. A read of the
// index and one of a page ask different replicas, and one that a read of the index
// has repaired may still have the pages of before. A page that does not fit counts
// as not found: the reader begins again with the index.

// PageSegments is how many segments a page has at most, and a version without
// pages. (Parts that consist of several segments stay together, so that a page
// may have more.)
const PageSegments = 100

// Pages is the index of a version's pages.
type Pages struct {
	Segments int        `cbor:"1,keyasint"`           // how many there are
	Parts    int        `cbor:"2,keyasint,omitempty"` // how many there are; 0: what pages have is out of date
	Index    []PageInfo `cbor:"3,keyasint"`
	// Write are pages that a change adds or replaces, by their number; those
	// that are not in it stay as they are. A Read returns none.
	Write map[int]Page `cbor:"-"`
}

// PageInfo is what the index says of a page.
type PageInfo struct {
	Bytes int64 `cbor:"1,keyasint"`           // of the body, in its segments
	Part  int   `cbor:"2,keyasint,omitempty"` // the number of its first part; 0: it has no parts
	// Segments is how many the page has. They may be empty, so that Bytes alone
	// does not tell a page from the one before an append. 0 is not known: no page
	// is empty, and a build before this field may have written the index.
	Segments int `cbor:"3,keyasint"`
}

// Page is some of a version's segments, in order, and the parts that these are of.
type Page struct {
	Segments []Segment  `cbor:"1,keyasint"`
	Parts    []PartInfo `cbor:"2,keyasint,omitempty"`
}

// CountSegments returns how many segments v has.
func (v *Version) CountSegments() int {
	if v.Pages != nil {
		return v.Pages.Segments
	}
	return len(v.Segments)
}

// CountParts returns how many parts v was uploaded in; 0 if not in parts.
func (v *Version) CountParts() int {
	if v.Pages != nil {
		return v.Pages.Parts
	}
	return len(v.Parts)
}

// Paged returns v as it is stored: with its segments and parts in pages where
// there are more than PageSegments.
func (v Version) Paged() Version {
	if v.Pages != nil || len(v.Segments) <= PageSegments {
		return v
	}
	p := &Pages{Segments: len(v.Segments), Parts: len(v.Parts), Write: map[int]Page{}}
	segments, parts := v.Segments, v.Parts
	for len(segments) > 0 {
		page := Page{Segments: segments[:min(PageSegments, len(segments))]}
		if len(v.Parts) > 0 {
			page.Parts = parts[:min(PageSegments, len(parts))]
			parts = parts[len(page.Parts):]
			end := len(segments)
			if len(parts) > 0 {
				end = max(slices.IndexFunc(segments, func(s Segment) bool { return s.Part >= parts[0].Number }), 0)
			}
			page.Segments = segments[:end]
		}
		info, ok := page.info()
		if !ok {
			return v // its parts are not those of its segments: it stays whole
		}
		segments = segments[len(page.Segments):]
		p.Write[len(p.Index)] = page
		p.Index = append(p.Index, info)
	}
	v.Segments, v.Parts, v.Pages = nil, nil, p
	return v
}

// info is what an index says of p. It is not ok where p has parts, and its
// segments are not all that these consist of.
func (p *Page) info() (info PageInfo, ok bool) {
	info.Segments = len(p.Segments)
	for i := range p.Segments {
		info.Bytes += p.Segments[i].Size
	}
	if len(p.Parts) == 0 {
		return info, len(p.Segments) > 0
	}
	info.Part = p.Parts[0].Number
	var bytes int64
	for i := range p.Parts {
		bytes += p.Parts[i].Size
	}
	return info, bytes == info.Bytes && len(p.Segments) > 0
}

// Appended returns the index of the version that has one segment more than p,
// whose last page is last. Parts are not kept.
func (p *Pages) Appended(last Page, s Segment) *Pages {
	next := &Pages{Segments: p.Segments + 1, Index: slices.Clone(p.Index), Write: map[int]Page{}}
	at := len(p.Index) - 1
	if len(last.Segments) >= PageSegments {
		last = Page{}
		next.Index = append(next.Index, PageInfo{})
		at++
	}
	next.Index[at].Bytes += s.Size
	next.Index[at].Segments = len(last.Segments) + 1
	next.Write[at] = Page{Segments: append(slices.Clone(last.Segments), s)}
	return next
}

// Within returns which pages hold the bytes from offset up to end: those from
// first on and before last. Page first begins at the byte start.
func (p *Pages) Within(offset, end int64) (first, last int, start int64) {
	for first < len(p.Index) && start+p.Index[first].Bytes <= offset {
		start += p.Index[first].Bytes
		first++
	}
	last = first
	for at := start; last < len(p.Index) && at < end; last++ {
		at += p.Index[last].Bytes
	}
	return first, last, start
}

// OfPart returns which page has the part of that number, if there is one.
func (p *Pages) OfPart(number int) int {
	next := slices.IndexFunc(p.Index, func(i PageInfo) bool { return i.Part > number })
	if next < 0 {
		next = len(p.Index)
	}
	return max(next-1, 0)
}

// Whole reads the pages of v, a version of key, into v.Segments and v.Parts.
// ErrNotFound says that the version is gone by now.
func Whole(ctx context.Context, o PagesReader, bucket BucketID, key string, v *Version) error {
	p := v.Pages
	if p == nil {
		return nil
	}
	segments := make([]Segment, 0, p.Segments)
	parts := make([]PartInfo, 0, p.Parts)
	err := EachPage(ctx, o, bucket, key, v, 0, len(p.Index), func(page *Page) {
		segments = append(segments, page.Segments...)
		parts = append(parts, page.Parts...)
	})
	if err != nil {
		return err
	}
	return v.join(segments, parts)
}

// WholeAgain reads the version of a row that a walk has visited, and whose pages
// did not fit: it was removed or appended to since its row was read, or one of the
// two reads was older. ErrNotFound: it does not fit now either. gone says that the
// version is not there any more.
func WholeAgain(ctx context.Context, o PagesReader, r *VersionRow, payload bool) (gone bool, err error) {
	for range 5 {
		h, err := o.Read(ctx, r.Bucket, r.Key, ReadOptions{Seq: r.Seq, Payload: payload})
		if err != nil || h.Named == nil {
			return err == nil, err
		}
		v := *h.Named
		if err = Whole(ctx, o, r.Bucket, r.Key, &v); err == nil {
			r.Version, r.Rev = v, h.Rev
			return false, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	return false, fmt.Errorf("version %d of key %q: its pages of segments do not fit its index: %w", r.Seq, r.Key, ErrNotFound)
}

// PagesReader is what the functions here need of [Objects].
type PagesReader interface {
	Read(ctx context.Context, bucket BucketID, key string, o ReadOptions) (Head, error)
	Pages(ctx context.Context, bucket BucketID, key string, seq int64, from, n int) ([]Page, error)
}

// EachPage reads the pages from number first on and before last of v, a version of
// key, some at a time, and calls visit for each. It leaves out what later appends
// have added to the last one. ErrNotFound: the version is gone, or has changed
// since it was read, or a page does not have what its index states.
func EachPage(ctx context.Context, o PagesReader, bucket BucketID, key string, v *Version, first, last int, visit func(*Page)) error {
	const atOnce = 16 // about 200 KB
	for ; first < last; first += atOnce {
		pages, err := o.Pages(ctx, bucket, key, v.Seq, first, min(atOnce, last-first))
		if err != nil {
			return err
		}
		for i := range pages {
			if err := v.Pages.cut(first+i, &pages[i]); err != nil {
				return fmt.Errorf("version %d: %w", v.Seq, err)
			}
			visit(&pages[i])
		}
	}
	return nil
}

// cut takes from a page what later appends have added to it. ErrNotFound: what is
// left is not what the index states.
func (p *Pages) cut(number int, page *Page) error {
	info := p.Index[number]
	switch {
	case p.Parts != 0:
	case info.Segments == 0: // not known
		bytes, n := int64(0), 0
		for n < len(page.Segments) && bytes+page.Segments[n].Size <= info.Bytes {
			bytes += page.Segments[n].Size
			n++
		}
		page.Segments = page.Segments[:n]
	case len(page.Segments) > info.Segments:
		page.Segments = page.Segments[:info.Segments]
	}
	return p.Fits(number, page)
}

// Fits returns ErrNotFound unless a page has exactly what the index states of it.
func (p *Pages) Fits(number int, page *Page) error {
	got, _ := page.info()
	want := p.Index[number]
	if p.Parts == 0 {
		got.Part, want.Part = 0, 0
	}
	if want.Segments == 0 {
		got.Segments = 0 // not known
	}
	if got != want {
		return fmt.Errorf("page %d of its segments has %+v, its index says %+v: %w", number, got, want, ErrNotFound)
	}
	return nil
}

// join makes v whole, of what its pages have.
func (v *Version) join(segments []Segment, parts []PartInfo) error {
	p := v.Pages
	if len(segments) != p.Segments || p.Parts > 0 && len(parts) != p.Parts {
		return fmt.Errorf("version %d has %d segments and %d parts in its pages, its index says %d and %d: %w", v.Seq, len(segments), len(parts), p.Segments, p.Parts, ErrNotFound)
	}
	v.Segments, v.Parts, v.Pages = segments, nil, nil
	if p.Parts > 0 {
		v.Parts = parts
	}
	return nil
}

// JoinPages makes v whole, of the encoded pages that are stored with it.
func (v *Version) JoinPages(pages map[int][]byte) error {
	if v.Pages == nil {
		return nil
	}
	var segments []Segment
	var parts []PartInfo
	for i := range v.Pages.Index {
		var p Page
		if pages[i] == nil {
			return fmt.Errorf("page %d of the segments of version %d: %w", i, v.Seq, ErrNotFound)
		}
		if err := Unmarshal(pages[i], &p); err != nil {
			return fmt.Errorf("page %d of the segments of version %d: %w", i, v.Seq, err)
		}
		if err := v.Pages.cut(i, &p); err != nil {
			return fmt.Errorf("version %d: %w", v.Seq, err)
		}
		segments, parts = append(segments, p.Segments...), append(parts, p.Parts...)
	}
	return v.join(segments, parts)
}

// CheckPages refuses to put v as a new version, or with new pages, unless the
// change has all that the index speaks of.
func (v *Version) CheckPages(isNew bool) error {
	if v.Pages == nil {
		return nil
	}
	if len(v.Segments) > 0 || len(v.Parts) > 0 {
		return fmt.Errorf("version %d has segments both in its document and in pages", v.Seq)
	}
	for i := range v.Pages.Index {
		if _, ok := v.Pages.Write[i]; isNew && !ok {
			return fmt.Errorf("version %d is new and comes without page %d of its segments", v.Seq, i)
		}
	}
	return nil
}

// marshalVersion encodes a version. One with pages is an array of the index and
// the rest: programs that know of no pages cannot decode it, and so neither take
// it for a version without a body nor its blobs for unreferenced.
func marshalVersion(v *Version) ([]byte, error) {
	if v.Pages == nil {
		return encoding.Marshal(v)
	}
	index, err := encoding.Marshal(v.Pages)
	if err != nil {
		return nil, err
	}
	rest, err := encoding.Marshal(v)
	return slices.Concat([]byte{pagedVersion}, index, rest), err
}

// pagedVersion is the head of a CBOR array of two.
const pagedVersion = 0x82

// unmarshalVersion decodes what marshalVersion wrote.
func unmarshalVersion(b []byte, v *Version) error {
	if len(b) == 0 || b[0] != pagedVersion {
		return decoding.Unmarshal(b, v)
	}
	index := &Pages{}
	rest, err := decoding.UnmarshalFirst(b[1:], index)
	if err != nil {
		return err
	}
	v.Pages = index
	return decoding.Unmarshal(rest, v)
}

// versionFields returns the map of an encoded version.
func versionFields(b []byte) []byte {
	if len(b) == 0 || b[0] != pagedVersion {
		return b
	}
	d := decoder[[]byte]{in: b, at: 1}
	d.skip()
	if d.failed {
		return nil
	}
	return b[d.at:]
}
