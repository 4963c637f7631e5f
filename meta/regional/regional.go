// Package regional makes one [meta.Store] of the stores of several regions.
//
// The home region's store has the buckets and the holds of backups of all
// regions; the stores of the other regions read the same rows. Everything in a
// bucket is in the region that the bucket's settings name, for the whole life
// of the bucket: keys, listings, uploads, and the queue entries of its blobs.
// So each change is still one change in one store, and no promise of package
// meta needs two regions to agree.
package regional

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

// Home is the store of the region that has the buckets.
type Home interface {
	meta.Store

	// BucketByID returns the bucket with the id; ErrNotFound if it was removed.
	BucketByID(ctx context.Context, id meta.BucketID) (meta.Bucket, error)
}

// Store is a [meta.Store] over several regions. Methods that are given the id
// of a bucket return [meta.ErrBucketGone] where no region is known to have
// had it.
type Store struct {
	meta.Buckets // of home; buckets.go has those that need more
	meta.Holds   // of home
	meta.Leases  // of home

	home      Home
	regions   map[string]meta.Store
	stores    []meta.Store // each once
	locations locations
}

var _ meta.Store = (*Store)(nil)

// New returns the store over regions, by name, several of which may be the
// same store. Buckets whose settings name no region are in home. Closing it
// closes them all.
func New(home Home, regions map[string]meta.Store) *Store {
	s := &Store{Buckets: home, Holds: home, Leases: home, home: home, regions: regions, stores: []meta.Store{home}}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		if !slices.Contains(s.stores, regions[name]) {
			s.stores = append(s.stores, regions[name])
		}
	}
	return s
}

// regionOf returns the store of a bucket's region.
func (s *Store) regionOf(b *meta.Bucket) (meta.Store, error) {
	if b.Config.Region == "" {
		return s.home, nil
	}
	if store, ok := s.regions[b.Config.Region]; ok {
		return store, nil
	}
	return nil, fmt.Errorf("bucket %q is in the region %q, which the configuration does not have", b.Name, b.Config.Region)
}

// remember notes the region of a bucket. A bucket whose region is not
// configured can be listed; its content cannot be read.
func (s *Store) remember(b *meta.Bucket) {
	if store, err := s.regionOf(b); err == nil {
		s.locations.put(b.ID, store)
	}
}

// find returns the store that has a bucket.
func (s *Store) find(ctx context.Context, id meta.BucketID) (meta.Store, error) {
	if store, ok := s.locations.get(id); ok {
		return store, nil
	}
	b, err := s.home.BucketByID(ctx, id)
	if errors.Is(err, meta.ErrNotFound) {
		return nil, fmt.Errorf("region of bucket %s: %w", id, meta.ErrBucketGone)
	}
	if err != nil {
		return nil, fmt.Errorf("region of bucket %s: %w", id, err)
	}
	store, err := s.regionOf(&b)
	if err == nil {
		s.locations.put(id, store)
	}
	return store, err
}

// route makes a call of the store that has a bucket.
func route[T any](ctx context.Context, s *Store, id meta.BucketID, call func(meta.Store) (T, error)) (T, error) {
	store, err := s.find(ctx, id)
	if err != nil {
		var none T
		return none, err
	}
	return call(store)
}

// InlineMax implements [meta.Store]: the least of all regions.
func (s *Store) InlineMax() int {
	least := s.home.InlineMax()
	for _, store := range s.stores {
		least = min(least, store.InlineMax())
	}
	return least
}

// Ping implements [meta.Store]. One region that answers is enough: requests for
// buckets of other regions fail by themselves, and those of this one are served.
func (s *Store) Ping(ctx context.Context) error {
	errs := make([]error, len(s.stores))
	var g errgroup.Group
	for i, store := range s.stores {
		g.Go(func() error { errs[i] = store.Ping(ctx); return nil })
	}
	_ = g.Wait() // the errors are in errs
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

// Flush implements [meta.Store].
func (s *Store) Flush(ctx context.Context) error {
	var errs []error
	for _, store := range s.stores {
		errs = append(errs, store.Flush(ctx))
	}
	return errors.Join(errs...)
}

// Close implements [meta.Store].
func (s *Store) Close() error {
	var errs []error
	for _, store := range s.stores {
		errs = append(errs, store.Close())
	}
	return errors.Join(errs...)
}
