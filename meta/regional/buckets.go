package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// CreateBucket implements [meta.Buckets]. A region that is not configured is
// refused.
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	if _, err := s.regionOf(&b); err != nil {
		return meta.Bucket{}, err
	}
	made, err := s.home.CreateBucket(ctx, b)
	if made.Name != "" { // the new one, or the one that exists
		s.remember(&made)
	}
	return made, err
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	b, err := s.home.Bucket(ctx, name)
	if err == nil {
		s.remember(&b)
	}
	return b, err
}

// ListBuckets implements [meta.Buckets].
func (s *Store) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	list, err := s.home.ListBuckets(ctx, owner, after, limit)
	for i := range list {
		s.remember(&list[i])
	}
	return list, err
}

// Empty implements [meta.Buckets].
func (s *Store) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	return route(ctx, s, id, func(m meta.Store) (bool, error) { return m.Empty(ctx, id) })
}
