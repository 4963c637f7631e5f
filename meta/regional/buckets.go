package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// CreateBucket implements [meta.Buckets]. A region that is not configured is
// refused.
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	if _, err := s.of(&b); err != nil {
		return meta.Bucket{}, err
	}
	made, err := s.home.CreateBucket(ctx, b)
	if made.Name != "" { // ours, or the one that exists
		s.learn(&made)
	}
	return made, err
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	b, err := s.home.Bucket(ctx, name)
	if err == nil {
		s.learn(&b)
	}
	return b, err
}

// UpdateBucket implements [meta.Buckets].
func (s *Store) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	return s.home.UpdateBucket(ctx, b, ifRev)
}

// RemoveBucket implements [meta.Buckets].
func (s *Store) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	return s.home.RemoveBucket(ctx, b)
}

// ListBuckets implements [meta.Buckets].
func (s *Store) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	list, err := s.home.ListBuckets(ctx, owner, after, limit)
	for i := range list {
		s.learn(&list[i])
	}
	return list, err
}

// Empty implements [meta.Buckets].
func (s *Store) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	store, err := s.at(ctx, id)
	if err != nil {
		return false, err
	}
	return store.Empty(ctx, id)
}
