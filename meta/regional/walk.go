package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// Walks go over one region after another: a share of the whole is the same
// share of each. What is met in a region tells where its bucket is, or was,
// which nothing else does once the bucket is gone.

// WalkVersions implements [meta.Walks].
func (s *Store) WalkVersions(ctx context.Context, share meta.Share, payload bool, visit func(meta.VersionRow) error) error {
	for _, store := range s.stores {
		err := store.WalkVersions(ctx, share, payload, func(r meta.VersionRow) error {
			s.places.put(r.Bucket, store)
			return visit(r)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WalkUploads implements [meta.Walks].
func (s *Store) WalkUploads(ctx context.Context, share meta.Share, visit func(meta.Upload, []meta.Part) error) error {
	for _, store := range s.stores {
		err := store.WalkUploads(ctx, share, func(u meta.Upload, parts []meta.Part) error {
			s.places.put(u.ID, store)
			if u.Bucket != (meta.BucketID{}) {
				s.places.put(u.Bucket, store)
			}
			return visit(u, parts)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WalkQueue implements [meta.Walks].
func (s *Store) WalkQueue(ctx context.Context, share meta.Share, visit func(meta.QueueEntry) error) error {
	for _, store := range s.stores {
		err := store.WalkQueue(ctx, share, func(e meta.QueueEntry) error {
			s.places.put(e.Blob.Bucket, store)
			return visit(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WalkReferences implements [meta.Walks].
func (s *Store) WalkReferences(ctx context.Context, share meta.Share, visit func(meta.QueuedBlob) error) error {
	for _, store := range s.stores {
		err := store.WalkReferences(ctx, share, func(b meta.QueuedBlob) error {
			s.places.put(b.Bucket, store)
			return visit(b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WalkListings implements [meta.Walks].
func (s *Store) WalkListings(ctx context.Context, share meta.Share, visit func(meta.ListingPart) error) error {
	for _, store := range s.stores {
		err := store.WalkListings(ctx, share, func(p meta.ListingPart) error {
			s.places.put(p.Bucket, store)
			return visit(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
