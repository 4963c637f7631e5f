package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// Read implements [meta.Objects].
func (s *Store) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	return route(ctx, s, bucket, func(m meta.Store) (meta.Head, error) { return m.Read(ctx, bucket, key, o) })
}

// Begin implements [meta.Objects].
func (s *Store) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	return route(ctx, s, bucket, func(m meta.Store) (meta.Pending, error) { return m.Begin(ctx, bucket, key, rev, history) })
}

// Fence implements [meta.Objects].
func (s *Store) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	return route(ctx, s, bucket, func(m meta.Store) (meta.Head, error) { return m.Fence(ctx, bucket, key, rev, o) })
}

// Versions implements [meta.Objects].
func (s *Store) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	return route(ctx, s, bucket, func(m meta.Store) ([]meta.Version, error) { return m.Versions(ctx, bucket, key, before, limit) })
}

// Pages implements [meta.Objects].
func (s *Store) Pages(ctx context.Context, bucket meta.BucketID, key string, seq int64, from, n int) ([]meta.Page, error) {
	return route(ctx, s, bucket, func(m meta.Store) ([]meta.Page, error) { return m.Pages(ctx, bucket, key, seq, from, n) })
}

// Scan implements [meta.Listings].
func (s *Store) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	store, err := s.find(ctx, bucket)
	if err != nil {
		return nil, false, err
	}
	return store.Scan(ctx, bucket, o)
}

// ListVersions implements [meta.Listings].
func (s *Store) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	return route(ctx, s, bucket, func(m meta.Store) ([]meta.Entry, error) { return m.ListVersions(ctx, bucket, key, before, limit) })
}

// DropListing implements [meta.Listings]. Where the region of a bucket that was
// removed is not remembered, the listing is dropped in every region.
func (s *Store) DropListing(ctx context.Context, part meta.ListingPart) error {
	if store, ok := s.locations.get(part.Bucket); ok {
		return store.DropListing(ctx, part)
	}
	for _, store := range s.stores {
		if err := store.DropListing(ctx, part); err != nil {
			return err
		}
	}
	return nil
}
