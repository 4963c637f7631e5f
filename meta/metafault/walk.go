package metafault

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// The walks that can be made to fail.
const (
	WalkVersions   Op = "WalkVersions"
	WalkUploads    Op = "WalkUploads"
	WalkQueue      Op = "WalkQueue"
	WalkReferences Op = "WalkReferences"
	WalkListings   Op = "WalkListings"
)

// WalkVersions implements [meta.Walks].
func (s *Store) WalkVersions(ctx context.Context, share meta.Share, payload bool, visit func(meta.VersionRow) error) error {
	return s.call(ctx, WalkVersions, func() error { return s.store.WalkVersions(ctx, share, payload, visit) })
}

// WalkUploads implements [meta.Walks].
func (s *Store) WalkUploads(ctx context.Context, share meta.Share, visit func(meta.Upload, []meta.Part) error) error {
	return s.call(ctx, WalkUploads, func() error { return s.store.WalkUploads(ctx, share, visit) })
}

// WalkQueue implements [meta.Walks].
func (s *Store) WalkQueue(ctx context.Context, share meta.Share, visit func(meta.QueueEntry) error) error {
	return s.call(ctx, WalkQueue, func() error { return s.store.WalkQueue(ctx, share, visit) })
}

// WalkReferences implements [meta.Walks].
func (s *Store) WalkReferences(ctx context.Context, share meta.Share, visit func(meta.QueuedBlob) error) error {
	return s.call(ctx, WalkReferences, func() error { return s.store.WalkReferences(ctx, share, visit) })
}

// WalkListings implements [meta.Walks].
func (s *Store) WalkListings(ctx context.Context, share meta.Share, visit func(meta.ListingPart) error) error {
	return s.call(ctx, WalkListings, func() error { return s.store.WalkListings(ctx, share, visit) })
}
