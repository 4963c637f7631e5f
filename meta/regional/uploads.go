package regional

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

// CreateUpload implements [meta.Uploads].
func (s *Store) CreateUpload(ctx context.Context, u meta.Upload) error {
	store, err := s.find(ctx, u.Bucket)
	if err != nil {
		return err
	}
	s.locations.put(u.ID, store)
	return store.CreateUpload(ctx, u)
}

// Upload implements [meta.Uploads].
func (s *Store) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	store, err := s.find(ctx, bucket)
	if err != nil {
		return meta.Upload{}, err
	}
	u, err := store.Upload(ctx, bucket, key, id)
	if err == nil {
		s.locations.put(u.ID, store)
	}
	return u, err
}

// SetUploadState implements [meta.Uploads].
func (s *Store) SetUploadState(ctx context.Context, u meta.Upload, state meta.UploadState) (meta.Upload, error) {
	return route(ctx, s, u.Bucket, func(m meta.Store) (meta.Upload, error) { return m.SetUploadState(ctx, u, state) })
}

// PutPart implements [meta.Uploads].
func (s *Store) PutPart(ctx context.Context, u meta.Upload, p meta.Part) error {
	store, err := s.find(ctx, u.Bucket)
	if err != nil {
		return err
	}
	return store.PutPart(ctx, u, p)
}

// Parts implements [meta.Uploads]. Most callers have read the upload before;
// otherwise all regions are asked, of which one at most has parts.
func (s *Store) Parts(ctx context.Context, id meta.UploadID, after, limit int) ([]meta.Part, error) {
	if store, ok := s.locations.get(id); ok {
		return store.Parts(ctx, id, after, limit)
	}
	found, errs := make([][]meta.Part, len(s.stores)), make([]error, len(s.stores))
	var g errgroup.Group
	for i, store := range s.stores {
		g.Go(func() error { found[i], errs[i] = store.Parts(ctx, id, after, limit); return nil })
	}
	_ = g.Wait() // the errors are in errs
	for i, parts := range found {
		if len(parts) > 0 && errs[i] == nil {
			return parts, nil
		}
	}
	return nil, errors.Join(errs...)
}

// ListUploads implements [meta.Uploads].
func (s *Store) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	return route(ctx, s, bucket, func(m meta.Store) ([]meta.Upload, error) { return m.ListUploads(ctx, bucket, from, to, afterID, limit) })
}

// ForgetUpload implements [meta.Uploads].
func (s *Store) ForgetUpload(ctx context.Context, u meta.Upload) error {
	store, err := s.find(ctx, u.Bucket)
	if err != nil {
		return err
	}
	return store.ForgetUpload(ctx, u)
}
