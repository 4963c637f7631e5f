package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// The rule: what a request does costs what it asks for, not what is stored of the
// object. The segments and parts of a version that has many lie in pages apart
// from it (package meta, pages.go). An operation reads those that it needs, after
// its caller was authorized, and asks for their memory first ([Options.Reserve]).

// Memory of a segment, in bytes, while it is read or written.
const (
	segmentBytes = 256 // as a GET keeps it
	wholeBytes   = 768 // with its part, and with what is written of it: references, queue entries, pages
)

// reserve asks for memory until release is called.
func (s *Store) reserve(ctx context.Context, bytes int64) (release func(), err error) {
	if s.reserved == nil {
		return func() {}, nil
	}
	return s.reserved(ctx, bytes)
}

// whole returns v, a version of key, with all its segments and parts. release
// gives their memory back. errReplaced says that the version is gone.
func (s *Store) whole(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version) (_ *meta.Version, release func(), err error) {
	if v.Pages == nil {
		return v, func() {}, nil
	}
	if release, err = s.reserve(ctx, wholeBytes*int64(v.Pages.Segments)); err != nil {
		return nil, nil, err
	}
	w := *v
	if err := meta.Whole(ctx, s.meta, bucket, key, &w); err != nil {
		release()
		return nil, nil, goneVersion(key, err)
	}
	return &w, release, nil
}

// goneVersion is the error of a version whose pages were not there: it was
// overwritten or deleted since it was read.
func goneVersion(key string, err error) error {
	if !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	e := noSuchKey(key)
	e.Err = errReplaced
	return e
}

// replacedSource is the error of an object that was found, and authorized, and was
// replaced before it could be read.
func replacedSource() error {
	return &s3err.Error{Code: s3err.SlowDown, Message: "The object was changed while it was read; please try again", Err: ErrSourceReplaced}
}

// segmentsWithin returns the segments of v that hold length bytes from offset on,
// and how many bytes of the first ones are to be passed over.
func (s *Store) segmentsWithin(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version, offset, length int64) (_ []meta.Segment, skip int64, release func(), err error) {
	if v.Pages == nil {
		return v.Segments, offset, func() {}, nil
	}
	first, last, start := v.Pages.Within(offset, offset+length)
	n := min((last-first)*meta.PageSegments, v.Pages.Segments)
	if release, err = s.reserve(ctx, segmentBytes*int64(n)); err != nil {
		return nil, 0, nil, err
	}
	segments := make([]meta.Segment, 0, n)
	err = meta.EachPage(ctx, s.meta, bucket, key, v.Seq, first, last, func(p *meta.Page) { segments = append(segments, p.Segments...) })
	if err != nil {
		release()
		return nil, 0, nil, goneVersion(key, err)
	}
	return segments, offset - start, release, nil
}

// Parts returns the parts of v, a version of key, with numbers above after, up to
// limit of them, and whether there are more.
func (s *Store) Parts(ctx context.Context, b *meta.Bucket, key string, v *meta.Version, after, limit int) (found []meta.PartInfo, more bool, err error) {
	add := func(parts []meta.PartInfo) {
		for i := range parts {
			if parts[i].Number <= after {
				continue
			}
			if more = len(found) == limit; more {
				return
			}
			found = append(found, parts[i])
		}
	}
	if v.Pages == nil || v.Pages.Parts == 0 {
		add(v.Parts)
		return found, more, nil
	}
	release, err := s.reserve(ctx, wholeBytes*int64(limit+2*meta.PageSegments))
	if err != nil {
		return nil, false, err
	}
	defer release()
	for at := v.Pages.OfPart(after + 1); at < len(v.Pages.Index) && !more; at++ {
		pages, err := s.meta.Pages(ctx, b.ID, key, v.Seq, at, 1)
		if err != nil {
			return nil, false, s.replacedIn(key, err)
		}
		add(pages[0].Parts)
	}
	return found, more, nil
}

func (s *Store) replacedIn(key string, err error) error {
	if err = goneVersion(key, err); errors.Is(err, errReplaced) {
		return replacedSource()
	}
	return err
}

// part returns the part of v that a GET asks for by its number, and the offset of
// its first byte. The n-th one answers to n too, where no part has that number.
// Nil: there is no such part.
func (s *Store) part(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version, number int) (*meta.PartInfo, int64, error) {
	if v.Pages == nil {
		p, offset := partOf(v.Parts, number, number-1)
		return p, offset, nil
	}
	// Each page of parts has PageSegments of them, but for the last one.
	byNumber, nth := v.Pages.OfPart(number), number-1
	for _, try := range []struct{ page, index int }{{byNumber, -1}, {nth / meta.PageSegments, nth % meta.PageSegments}} {
		if try.page >= len(v.Pages.Index) {
			continue
		}
		pages, err := s.meta.Pages(ctx, bucket, key, v.Seq, try.page, 1)
		if err != nil {
			return nil, 0, goneVersion(key, err)
		}
		if p, offset := partOf(pages[0].Parts, number, try.index); p != nil {
			for _, before := range v.Pages.Index[:try.page] {
				offset += before.Bytes
			}
			return p, offset, nil
		}
	}
	return nil, 0, nil
}

// partOf returns the part of that number, or else the one at index, and what the
// parts before it have in bytes; nil if there is neither.
func partOf(parts []meta.PartInfo, number, index int) (*meta.PartInfo, int64) {
	at := slices.IndexFunc(parts, func(p meta.PartInfo) bool { return p.Number == number })
	if at < 0 {
		at = index
	}
	if at < 0 || at >= len(parts) {
		return nil, 0
	}
	var offset int64
	for i := range at {
		offset += parts[i].Size
	}
	return &parts[at], offset
}
