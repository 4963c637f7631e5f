package meta

import (
	"context"
	"fmt"
)

// Share is one of Of equal parts of a store, numbered from 0: what one worker of
// a walk reads. A share covers the same rows each time, so a walk that was
// interrupted need not repeat the shares that were done.
type Share struct{ Part, Of int }

// Check returns an error unless 0 <= Part < Of.
func (s Share) Check() error {
	if s.Of < 1 || s.Part < 0 || s.Part >= s.Of {
		return fmt.Errorf("part %d of %d: there is no such share", s.Part, s.Of)
	}
	return nil
}

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
	// after another, newest first. Payloads are read only if Payload is set.
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
