package check

import (
	"context"
	"errors"
	"testing"

	"github.com/pithos/pithos/meta"
)

// withoutPages has a version whose pages are never found.
type withoutPages struct {
	meta.Store
	reads int
}

func (w *withoutPages) Versions(context.Context, meta.BucketID, string, int64, int) ([]meta.Version, error) {
	return []meta.Version{{Seq: 1, Pages: &meta.Pages{Segments: 1, Index: []meta.PageInfo{{Segments: 1}}}}}, nil
}

func (w *withoutPages) Pages(ctx context.Context, _ meta.BucketID, _ string, _ int64, _, _ int) ([]meta.Page, error) {
	if w.reads++; w.reads > 100 {
		return nil, errors.New("endless")
	}
	return nil, meta.ErrNotFound
}

func TestMissingPagesEndTheSearchForAReference(t *testing.T) {
	c := &checker{Options: Options{Meta: &withoutPages{}}}
	if refers, err := c.keyRefers(t.Context(), &ref{Key: "k"}); refers || !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("got %v, %v", refers, err)
	}
}

// changing has a version that is appended to after each of its first reads.
type changing struct {
	meta.Store
	reads int
}

func (s *changing) Read(context.Context, meta.BucketID, string, meta.ReadOptions) (meta.Head, error) {
	s.reads++
	return meta.Head{Named: &meta.Version{Seq: 1, Pages: &meta.Pages{Segments: 1, Index: []meta.PageInfo{{Segments: 1}}}}}, nil
}

func (s *changing) Pages(context.Context, meta.BucketID, string, int64, int, int) ([]meta.Page, error) {
	if s.reads < 3 {
		return nil, meta.ErrNotFound
	}
	return []meta.Page{{Segments: []meta.Segment{{Blob: meta.ID{1}}}}}, nil
}

// A version that changes while it is read still holds its blobs: its bytes must
// not be taken for those of a removed version.
func TestAVersionThatChangesIsReadAgain(t *testing.T) {
	c := &checker{Options: Options{Meta: &changing{}}}
	r := &ref{Key: "k", Seq: 1, Blob: meta.ID{1}}
	if holds, err := c.holds(t.Context(), r); !holds || err != nil {
		t.Errorf("got %v, %v", holds, err)
	}
}
