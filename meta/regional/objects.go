package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// Read implements [meta.Objects].
func (s *Store) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return meta.Head{}, err
	}
	return store.Read(ctx, bucket, key, o)
}

// Begin implements [meta.Objects].
func (s *Store) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return nil, err
	}
	return store.Begin(ctx, bucket, key, rev, history)
}

// Fence implements [meta.Objects].
func (s *Store) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return meta.Head{}, err
	}
	return store.Fence(ctx, bucket, key, rev, o)
}

// Versions implements [meta.Objects].
func (s *Store) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return nil, err
	}
	return store.Versions(ctx, bucket, key, before, limit)
}

// Scan implements [meta.Listings].
func (s *Store) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return nil, false, err
	}
	return store.Scan(ctx, bucket, o)
}

// ListVersions implements [meta.Listings].
func (s *Store) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	store, err := s.at(ctx, bucket)
	if err != nil {
		return nil, err
	}
	return store.ListVersions(ctx, bucket, key, before, limit)
}

// DropListing implements [meta.Listings]. Where a bucket was that is gone is
// known to whoever has removed it, or has met its listing: else it is dropped
// everywhere.
func (s *Store) DropListing(ctx context.Context, part meta.ListingPart) error {
	if store, ok := s.places.get(part.Bucket); ok {
		return store.DropListing(ctx, part)
	}
	for _, store := range s.stores {
		if err := store.DropListing(ctx, part); err != nil {
			return err
		}
	}
	return nil
}
