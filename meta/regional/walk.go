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
		if err := store.Walk(ctx, share, s.remembering(store, v)); err != nil {
			return err
		}
	}
	return nil
}

// remembering returns v, and remembers that what it visits is in store.
func (s *Store) remembering(store meta.Store, v meta.Visitor) meta.Visitor {
	r := meta.Visitor{Payload: v.Payload}
	if v.Version != nil {
		r.Version = func(row meta.VersionRow) error {
			s.locations.put(row.Bucket, store)
			return v.Version(row)
		}
	}
	if v.Upload != nil {
		r.Upload = func(u meta.Upload, parts []meta.Part) error {
			s.locations.put(u.ID, store)
			if u.Bucket != (meta.BucketID{}) {
				s.locations.put(u.Bucket, store)
			}
			return v.Upload(u, parts)
		}
	}
	if v.QueueEntry != nil {
		r.QueueEntry = func(e meta.QueueEntry) error {
			s.locations.put(e.Blob.Bucket, store)
			return v.QueueEntry(e)
		}
	}
	if v.Reference != nil {
		r.Reference = func(b meta.QueuedBlob) error {
			s.locations.put(b.Bucket, store)
			return v.Reference(b)
		}
	}
	if v.ListingPart != nil {
		r.ListingPart = func(p meta.ListingPart) error {
			s.locations.put(p.Bucket, store)
			return v.ListingPart(p)
		}
	}
	return r
}
