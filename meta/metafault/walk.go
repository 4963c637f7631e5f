package metafault

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// The walks that can be made to fail, by the kind of row.
const (
	WalkVersions   Op = "WalkVersions"
	WalkUploads    Op = "WalkUploads"
	WalkQueue      Op = "WalkQueue"
	WalkReferences Op = "WalkReferences"
	WalkListings   Op = "WalkListings"
)

// Walk implements [meta.Walker]. Each kind of row is a call of its own.
func (s *Store) Walk(ctx context.Context, share meta.Share, v meta.Visitor) error {
	for _, kind := range []struct {
		op     Op
		wanted bool
		visit  meta.Visitor
	}{
		{WalkVersions, v.Version != nil, meta.Visitor{Version: v.Version, Payload: v.Payload}},
		{WalkUploads, v.Upload != nil, meta.Visitor{Upload: v.Upload}},
		{WalkQueue, v.QueueEntry != nil, meta.Visitor{QueueEntry: v.QueueEntry}},
		{WalkReferences, v.Reference != nil, meta.Visitor{Reference: v.Reference}},
		{WalkListings, v.ListingPart != nil, meta.Visitor{ListingPart: v.ListingPart}},
	} {
		if !kind.wanted {
			continue
		}
		if err := s.call(ctx, kind.op, func() error { return s.store.Walk(ctx, share, kind.visit) }); err != nil {
			return err
		}
	}
	return nil
}
