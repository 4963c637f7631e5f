package meta

import (
	"context"

	"github.com/pithos/pithos/internal/ids"
)

// Share is one of several equal parts of a store.
type Share = ids.Share

// Walker visits all rows of a store, as a check of the whole store does. It
// costs the database the reading of whole tables, so nothing that serves
// requests calls it.
type Walker interface {
	// Walk reads the share of each table that v has a function for, in the
	// order of these functions. All shares together cover the whole store.
	// Rows that are written or removed during the walk may be visited or not,
	// and in an old state; every other row is visited at least once.
	//
	// An error of a function ends the walk, which returns it. The walk may
	// hold resources of the database while a function runs.
	Walk(ctx context.Context, share Share, v Visitor) error
}

// Visitor says which rows a walk visits: those that it has a function for.
type Visitor struct {
	// Version is called for the versions of all keys: for those of one key one
	// after another, newest first, with the segments of their pages. Payloads are read only
	// if Payload is set.
	Version func(VersionRow) error
	Payload bool
	// Upload is called for all multipart uploads in any state, with their
	// parts; and for parts whose upload is gone, with an Upload that has
	// nothing but its ID.
	Upload func(Upload, []Part) error
	// QueueEntry is called for all queue entries, due or not, also those that
	// Due would not find.
	QueueEntry func(QueueEntry) error
	// Reference is called for the references that AddReferences recorded.
	Reference func(QueuedBlob) error
	// ListingPart is called for the parts of all listings that outlive the
	// removal of their buckets unless DropListing is called. A store whose
	// RemoveBucket removes them has none.
	ListingPart func(ListingPart) error
}

// VersionRow is a version with the key that it belongs to.
type VersionRow struct {
	Bucket BucketID
	Key    string
	// Rev is the revision of the key.
	Rev int64
	Version
}
