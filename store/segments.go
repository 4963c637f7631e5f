package store

import (
	"context"
	"errors"
	"fmt"
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
		return nil, nil, s.goneVersion(ctx, bucket, key, v, err)
	}
	return &w, release, nil
}

// goneVersion is the error of v, a version of key, whose pages could not be read
// with err. errReplaced: it was overwritten, deleted or appended to since it was
// read; also if it is a damagedError, which is final after a number of tries.
func (s *Store) goneVersion(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version, err error) error {
	if !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	e := noSuchKey(key)
	e.Err = errReplaced
	h, readErr := s.meta.Read(ctx, bucket, key, meta.ReadOptions{Seq: v.Seq})
	if readErr == nil && h.Named != nil && sameBlobs(h.Named, v) {
		e.Err = fmt.Errorf("%w: %w", errReplaced, &damagedError{key, v.Seq, err.Error()})
	}
	return e
}

// damagedError: a version is unchanged since it was read, and its pages are not
// what its index states.
type damagedError struct {
	key   string
	seq   int64
	cause string
}

// damageTries is how often a version that does not fit its index is read again.
// Few times are enough: it is unchanged each time, and on Cassandra its pages are
// read by Paxos where they do not fit.
const damageTries = 4

// damage returns the damagedError that err carries, nil if there is none.
func damage(err error) *damagedError {
	var damaged *damagedError
	errors.As(err, &damaged)
	return damaged
}

// finalDamage returns the damagedError of a try, the first being 0, that is not to
// be repeated; nil if there is none.
func finalDamage(err error, try int) error {
	if damaged := damage(err); damaged != nil && try >= damageTries {
		return damaged
	}
	return nil
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("the row of version %d of key %q is damaged: %s", e.seq, e.key, e.cause)
}

// remains returns the segments that are left of v, a damaged version of key.
func (s *Store) remains(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version) (found []meta.Segment, err error) {
	for i := range v.Pages.Index {
		pages, err := s.meta.Pages(ctx, bucket, key, v.Seq, i, 1)
		if errors.Is(err, meta.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = append(found, pages[0].Segments...)
	}
	s.log.Sugar().Errorf("version %d of key %q is removed, its row was damaged: %d of its %d segments are left, the blobs of the others may stay without a reference", v.Seq, key, len(found), v.Pages.Segments)
	return found, nil
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
	err = meta.EachPage(ctx, s.meta, bucket, key, v, first, last, func(p *meta.Page) { segments = append(segments, p.Segments...) })
	if err != nil {
		release()
		return nil, 0, nil, s.goneVersion(ctx, bucket, key, v, err)
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
		if err := meta.EachPage(ctx, s.meta, b.ID, key, v, at, at+1, func(p *meta.Page) { add(p.Parts) }); err != nil {
			return nil, false, replacedIn(s.goneVersion(ctx, b.ID, key, v, err))
		}
	}
	return found, more, nil
}

// replacedIn returns err, or what the client is told of an error of goneVersion.
func replacedIn(err error) error {
	if damaged := damage(err); damaged != nil {
		return damaged
	}
	if errors.Is(err, errReplaced) {
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
		var parts []meta.PartInfo
		if err := meta.EachPage(ctx, s.meta, bucket, key, v, try.page, try.page+1, func(p *meta.Page) { parts = p.Parts }); err != nil {
			return nil, 0, s.goneVersion(ctx, bucket, key, v, err)
		}
		if p, offset := partOf(parts, number, try.index); p != nil {
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
