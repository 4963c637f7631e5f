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
