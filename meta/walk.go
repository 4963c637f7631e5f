package meta

import (
	"context"
	"fmt"
)

// Share is one of Of equal parts of everything, numbered from 0: what one
// worker of a walk looks at. The same share covers the same rows each time, so
// that a walk which was interrupted need not repeat those that were done.
type Share struct{ Part, Of int }

// Check returns an error unless 0 <= Part < Of.
func (s Share) Check() error {
	if s.Of < 1 || s.Part < 0 || s.Part >= s.Of {
		return fmt.Errorf("part %d of %d: there is no such share", s.Part, s.Of)
	}
	return nil
}

// Walks visit every row that a store has, whoever's it is, as a check of the
// whole store needs it. All shares together cover everything. What is written
// or removed while a walk runs may or may not be visited, or be visited as it
// was; everything else is visited at least once. A walk costs the database
// the reading of a table: nothing that serves requests calls it.
//
// The visitor's error ends the walk, which returns it. The walk may hold
// resources of the database while visit runs.
type Walks interface {
	// WalkVersions visits the versions of all keys: those of one key one
	// after another, newest first. Payloads are read only if payload is set.
	WalkVersions(ctx context.Context, share Share, payload bool, visit func(VersionRow) error) error

	// WalkUploads visits all multipart uploads, in whatever state, with their
	// parts; and parts whose upload is gone, under an Upload that has nothing
	// but its ID.
	WalkUploads(ctx context.Context, share Share, visit func(Upload, []Part) error) error

	// WalkQueue visits all queue entries, due or not, also those that Due
	// would not find.
	WalkQueue(ctx context.Context, share Share, visit func(QueueEntry) error) error

	// WalkReferences visits what is recorded by AddReferences.
	WalkReferences(ctx context.Context, share Share, visit func(QueuedBlob) error) error

	// WalkListings visits the parts of all listings that outlive the removal
	// of their buckets unless DropListing is called. A store whose
	// RemoveBucket takes all with it visits none.
	WalkListings(ctx context.Context, share Share, visit func(ListingPart) error) error
}

// VersionRow is a version with the key that it belongs to.
type VersionRow struct {
	Bucket BucketID
	Key    string
	// Rev is the revision of the key.
	Rev int64
	Version
}
