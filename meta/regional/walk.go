package regional

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// Walk implements [meta.Walker]. It walks one region after another: a share of
// the whole is the same share of each. The region that a row is found in tells
// where its bucket is or was, which nothing else does once the bucket is gone.
func (s *Store) Walk(ctx context.Context, share meta.Share, v meta.Visitor) error {
	for _, store := range s.stores {
		if err := store.Walk(ctx, share, s.learning(store, v)); err != nil {
			return err
		}
	}
	return nil
}

// learning returns v, and remembers that what it visits is in store.
func (s *Store) learning(store meta.Store, v meta.Visitor) meta.Visitor {
	learns := meta.Visitor{Payload: v.Payload}
	if v.Version != nil {
		learns.Version = func(r meta.VersionRow) error {
			s.places.put(r.Bucket, store)
			return v.Version(r)
		}
	}
	if v.Upload != nil {
		learns.Upload = func(u meta.Upload, parts []meta.Part) error {
			s.places.put(u.ID, store)
			if u.Bucket != (meta.BucketID{}) {
				s.places.put(u.Bucket, store)
			}
			return v.Upload(u, parts)
		}
	}
	if v.QueueEntry != nil {
		learns.QueueEntry = func(e meta.QueueEntry) error {
			s.places.put(e.Blob.Bucket, store)
			return v.QueueEntry(e)
		}
	}
	if v.Reference != nil {
		learns.Reference = func(b meta.QueuedBlob) error {
			s.places.put(b.Bucket, store)
			return v.Reference(b)
		}
	}
	if v.ListingPart != nil {
		learns.ListingPart = func(p meta.ListingPart) error {
			s.places.put(p.Bucket, store)
			return v.ListingPart(p)
		}
	}
	return learns
}
