// Package meta is the interface of metadata stores: buckets, the versions of
// every key, listings, multipart uploads, access keys, and the queue of blobs
// that the garbage collector checks.
//
// A driver (a folder below this one) keeps them in one database. The rules of
// S3 are in package store; a driver knows only rows, revisions and conditional
// changes. The suite in metatest tests every driver against the contracts
// written here, also through [Intercept], of which decorators are made.
//
// # Revisions
//
// Each key has a revision: a number that grows with every change of the key.
// Each change names the revision that it is based on as its condition.
// [NextRev] chooses the next one: about the time in microseconds, but always at
// least two more than the last, so that clocks which disagree cannot make it go
// back.
//
// # Strings
//
// Keys, bounds of keys, names and ids are UTF-8 of at most [MaxTextBytes]
// bytes, and any character may occur in them, U+0000 and U+10FFFF included.
// They are ordered by their bytes, which is the order of their code points.
// Drivers return [ErrBadText] for anything else, and ErrNotFound if a bucket or
// an access key is read by such a name. Use [Successor] to compute a bound: it
// computes by code points.
package meta

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The closed set of errors that drivers return, wrapped with the operation.
// Any other error is an internal one.
var (
	// ErrNotFound: the row does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists: the row to create exists already.
	ErrExists = errors.New("exists already")
	// ErrConflict: another change came first; read again and decide again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrBucketGone: the bucket of a change was removed.
	ErrBucketGone = errors.New("bucket is gone")
	// ErrBucketDeleting: the bucket of a change is about to be removed if it is empty.
	ErrBucketDeleting = errors.New("bucket is being deleted")
	// ErrUploadClosed: the multipart upload is not open any more.
	ErrUploadClosed = errors.New("upload is closed")
	// ErrClaimed: the collector has claimed a blob that a change refers to, so
	// the change must not be made.
	ErrClaimed = errors.New("blob was collected")
	// ErrUnknownOutcome: a change was sent, and whether it was made is unknown.
	// Drivers find out by themselves if they can.
	ErrUnknownOutcome = errors.New("outcome unknown")
	// ErrUnavailable: the database does not answer, or no quorum of it does.
	ErrUnavailable = errors.New("metadata store unavailable")
	// ErrOverloaded is the ErrUnavailable of a database that answers and has too
	// much to do: send it fewer requests.
	ErrOverloaded = fmt.Errorf("%w: it is overloaded", ErrUnavailable)
)

// NextRev returns the revision that follows prev at the time now: its
// microseconds since 1970, or prev+2 if that is more. It adds two since rev+1 is
// the timestamp of the rows that a change writes asynchronously.
func NextRev(prev int64, now time.Time) int64 {
	return max(prev+2, now.UnixMicro())
}

// A Store is one metadata store. All methods may be called concurrently.
// Every read sees all changes that were acknowledged before it began, made
// through this Store or another one of the same database.
type Store interface {
	Buckets
	Objects
	Listings
	Uploads
	Queue
	References
	Holds
	Leases
	Walker

	// InlineMax is the size of payloads, in bytes, up to which
	// [Version.Payload] is faster than a blob.
	InlineMax() int

	// Ping reports whether the store can serve requests now.
	Ping(ctx context.Context) error

	// Flush waits for the asynchronous writes of acknowledged changes. Tests and
	// shutdown call it.
	Flush(ctx context.Context) error

	// Close flushes and releases the database.
	Close() error
}

// Buckets are rows by name.
type Buckets interface {
	// CreateBucket adds b unless a bucket of its name exists: then it
	// returns that bucket and ErrExists. Of several racing calls one wins.
	CreateBucket(ctx context.Context, b Bucket) (Bucket, error)

	// Bucket returns the bucket by its name, never from a cache; ErrNotFound.
	Bucket(ctx context.Context, name string) (Bucket, error)

	// UpdateBucket replaces the row of b.Name, whose revision must be ifRev
	// and whose ID must be b.ID, and sets its revision to b.Rev (> ifRev);
	// ErrConflict, or ErrNotFound if the bucket was removed. Name, ID, Owner,
	// Created, the region and the location never change.
	UpdateBucket(ctx context.Context, b Bucket, ifRev int64) error

	// RemoveBucket removes the row of b.Name if its revision still is b.Rev
	// and its ID b.ID; ErrConflict or ErrNotFound. Call it after UpdateBucket
	// has set the state to BucketDeleting and Empty has returned true.
	RemoveBucket(ctx context.Context, b Bucket) error

	// ListBuckets returns up to limit buckets whose names follow after, in
	// the order of names: those of owner, or of all owners if owner is "". They
	// are as [Bucket.Listed] returns them; their settings are not read.
	ListBuckets(ctx context.Context, owner, after string, limit int) ([]Bucket, error)

	// Empty reports whether the bucket, which is in the state
	// BucketDeleting, has no version and no delete marker of any key. After
	// it has returned true, every change that began before the state was set
	// fails.
	Empty(ctx context.Context, id BucketID) (bool, error)
}

// Objects are the versions of keys. A key's versions are ordered by Seq,
// newest first; the first one is current.
type Objects interface {
	// Read returns the head of a key. For a key without versions it returns no
	// error, but a Head without versions, whose Rev is 0 unless the revision is
	// still stored.
	Read(ctx context.Context, bucket BucketID, key string, o ReadOptions) (Head, error)

	// Begin announces a change of key with the revision rev, before the
	// change is known in full, so that listings read the key's head from then
	// on. history says that the key will have noncurrent versions or delete
	// markers after the change. If the process crashes between Begin and
	// Commit, listings read the key's head once more; their results stay
	// correct.
	Begin(ctx context.Context, bucket BucketID, key string, rev int64, history bool) (Pending, error)

	// Fence raises the revision of key above rev and above its present
	// revision, and changes nothing else: from then on, every change whose
	// condition is an earlier revision fails. It returns the key's head at the
	// fence.
	Fence(ctx context.Context, bucket BucketID, key string, rev int64, o ReadOptions) (Head, error)

	// Versions returns up to limit versions of key with a Seq below before
	// (any Seq if before is 0), newest first, without payloads.
	Versions(ctx context.Context, bucket BucketID, key string, before int64, limit int) ([]Version, error)

	// Pages returns n pages, from number from on, of the segments of the version
	// seq of key. ErrNotFound: there is no such version, or it has no such pages.
	Pages(ctx context.Context, bucket BucketID, key string, seq int64, from, n int) ([]Page, error)
}

// ReadOptions say what Read returns in addition to the revision.
type ReadOptions struct {
	// Limit is how many of the newest versions to return; 0 is 1.
	Limit int
	// Seq, if not 0, asks for this version too, as Head.Named.
	Seq int64
	// Null asks for the null version too, as Head.Named.
	Null bool
	// Payload asks for the inline payloads of what is returned.
	Payload bool
}

// Head is the result of one atomic read of a key.
type Head struct {
	// Rev is the revision, the condition of the next change. 0: none is known.
	Rev int64
	// NullSeq is the Seq of the null version; 0 if the key has none.
	NullSeq int64
	// Versions are the newest ones, newest first.
	Versions []Version
	// Named is the version asked for by ReadOptions; nil if there is none.
	Named *Version
}

// Current returns the newest version, delete marker or not; nil if none.
func (h *Head) Current() *Version {
	if len(h.Versions) == 0 {
		return nil
	}
	return &h.Versions[0]
}

// A Pending change was announced by Begin. It ends with one call of Commit or
// Cancel.
type Pending interface {
	// Commit makes the change c atomically if the key's revision still is
	// c.IfRev, and otherwise no part of it. When it returns nil, the change is
	// durable and every later read and listing shows it or something newer.
	// c.Rev must not be below the revision that Begin was given.
	//
	// ErrConflict: another change came first. ErrBucketGone,
	// ErrBucketDeleting: the bucket's state forbids it. ErrClaimed: an entry of
	// c.Guard was claimed or dropped. ErrUnknownOutcome: it was made or not.
	Commit(ctx context.Context, c Change) error

	// Cancel says that the change will not be made. It saves listings a read,
	// and need not be called.
	Cancel(ctx context.Context)
}

// Change is one atomic change of one key.
type Change struct {
	// IfRev is the revision that the key must have; 0: none.
	IfRev int64
	// Rev is the new revision, greater than IfRev.
	Rev int64
	// ID is a new random ID: by it a driver recognises its own change after an
	// unknown outcome.
	ID ID
	// Put are the versions to add, or to replace (those with the same Seq). One with
	// [Version.Pages] that replaces another keeps its pages, but for those that
	// Pages.Write has.
	Put []Version
	// Delete are the Seqs of the versions to remove.
	Delete []int64
	// NullSeq is the Seq of the null version after the change; 0: none.
	NullSeq int64
	// Entry is what a listing shows of the key after the change; nil if the key
	// has no current version or its current version is a delete marker.
	Entry *Entry
	// History says that the key has noncurrent versions or delete markers
	// after the change.
	History bool
	// RemovesKey says that the key has no version left after the change.
	RemovesKey bool
	// Guard are queue entries that must be neither claimed nor dropped.
	// Commit reads them, so after the caller has read IfRev.
	Guard []QueueEntry
}

// Listings are the keys of a bucket in the byte order of UTF-8.
type Listings interface {
	// Scan returns the keys that o asks for, in order. more tells whether
	// another key of the range follows them; it may be true where none does. A
	// Scan costs what it returns, not what the bucket holds.
	Scan(ctx context.Context, bucket BucketID, o ScanOptions) (entries []Entry, more bool, err error)

	// ListVersions is [Objects.Versions] with no more than what listings show.
	ListVersions(ctx context.Context, bucket BucketID, key string, before int64, limit int) ([]Entry, error)

	// DropListing removes the rows that are left of the listing of a removed
	// bucket, from a part on; the zero part is all of it. Never call it for a
	// bucket that exists. If it fails, call it again.
	DropListing(ctx context.Context, part ListingPart) error
}

// ListingPart is a part of the rows that a store keeps for the listing of a
// bucket.
type ListingPart struct {
	Bucket BucketID
	Part   ID // the store's own; zero for the whole
}

// ScanOptions say which keys Scan returns.
type ScanOptions struct {
	// From and To are the range: keys k with From <= k, and k < To unless To
	// is "".
	From, To string
	// Limit is the number of keys to return at most.
	Limit int
	// All asks for all keys that have any version or delete marker; without
	// it, Scan returns those whose current version is an object. In a scan of
	// all, an entry with HasOlderVersions has nothing else but Key: ask
	// Versions, which may also say that the key has no version at all.
	All bool
}

// Uploads are the multipart uploads and their parts.
type Uploads interface {
	// CreateUpload adds u, in the state UploadOpen. ErrBucketGone or
	// ErrBucketDeleting by the bucket's state.
	CreateUpload(ctx context.Context, u Upload) error

	// Upload returns the upload; ErrNotFound, also if it belongs to another
	// bucket or key.
	Upload(ctx context.Context, bucket BucketID, key string, id UploadID) (Upload, error)

	// SetUploadState atomically sets the state of the upload, whose revision
	// must be u.Rev, and its document to u.Doc; ErrConflict, ErrNotFound. It
	// returns the changed upload.
	SetUploadState(ctx context.Context, u Upload, state UploadState) (Upload, error)

	// PutPart adds or replaces the part p.Number. It returns nil only if the
	// upload was open after the part was stored: a change of state either sees
	// the part or makes PutPart fail with ErrUploadClosed. ErrNotFound if the
	// upload does not exist.
	PutPart(ctx context.Context, u Upload, p Part) error

	// Parts returns up to limit parts with numbers above after, ascending.
	Parts(ctx context.Context, id UploadID, after, limit int) ([]Part, error)

	// ListUploads returns, in the order of (key, id), up to limit uploads
	// that are open, with from <= key, and key < to unless to is "". Of
	// the key from itself, only those with an id above afterID are returned,
	// unless afterID is zero. Their docs are as [UploadDoc.Listed] returns them.
	// It reads only the uploads that it returns or finds closed.
	ListUploads(ctx context.Context, bucket BucketID, from, to string, afterID UploadID, limit int) ([]Upload, error)

	// ForgetUpload removes the upload's parts and removes it from listings.
	// Call it when its state is UploadDone or UploadAborted. Upload still finds
	// it for some days.
	ForgetUpload(ctx context.Context, u Upload) error
}

// Queue has the blobs that the collector is to check later: see [QueueEntry].
type Queue interface {
	// Enqueue stores entries durably.
	Enqueue(ctx context.Context, entries ...QueueEntry) error

	// Due returns up to limit entries whose Due is not after now, roughly the
	// oldest first, claimed or not.
	Due(ctx context.Context, now time.Time, limit int) ([]QueueEntry, error)

	// Claim marks an entry: from then on, a change that names it as its guard
	// cannot be committed. Claiming an entry again changes nothing.
	Claim(ctx context.Context, e QueueEntry) error

	// Drop removes entries. It returns no error for entries that do not exist.
	Drop(ctx context.Context, entries ...QueueEntry) error
}

// References are the keys that refer to a blob that several keys share. A blob
// is written for one key, its home, whose reference has the zero Ref; copies to
// other keys refer to it under Refs of their own, which are random and used
// once. A blob that only its home refers to has no rows here.
type References interface {
	// AddReferences records the references that the fresh entries, with their
	// Refs, are about, and those of the homes (Ref zero). A reference whose
	// entry was claimed or dropped before is not recorded, or not visible;
	// then AddReferences may return ErrClaimed.
	AddReferences(ctx context.Context, entries []QueueEntry, homes []QueuedBlob) error

	// References returns the references that are recorded for the blob b.Blob of
	// the region that b.Bucket is in, ordered by Ref.
	References(ctx context.Context, b QueuedBlob) ([]QueuedBlob, error)

	// RemoveReference removes the reference b.Ref to b.Blob. It returns no error
	// if there is none.
	RemoveReference(ctx context.Context, b QueuedBlob) error
}

// Holds keep blobs from being deleted: see [Hold]. Each method is atomic, and
// ListHolds sees every change that was acknowledged before it began.
type Holds interface {
	// AddHold adds a hold; ErrExists if one has its ID.
	AddHold(ctx context.Context, h Hold) error
	// UpdateHold replaces the hold of that ID, whose revision must be ifRev,
	// and sets its revision to h.Rev (> ifRev); ErrConflict, ErrNotFound.
	UpdateHold(ctx context.Context, h Hold, ifRev int64) error
	// RemoveHold removes a hold, whose revision must be ifRev; ErrConflict,
	// ErrNotFound.
	RemoveHold(ctx context.Context, id ID, ifRev int64) error
	// ListHolds returns all holds, ordered by ID.
	ListHolds(ctx context.Context) ([]Hold, error)
}

// AccessKeys are the keys that clients sign with. Their secrets are encrypted
// by the caller. They are no part of [Store]: they belong to the deployment, not to
// a bucket, so they have no region and may be in another keyspace. Drivers
// implement both interfaces.
type AccessKeys interface {
	// PutAccessKey adds or replaces a key.
	PutAccessKey(ctx context.Context, k AccessKey) error
	// AccessKey returns a key by its id; ErrNotFound.
	AccessKey(ctx context.Context, id string) (AccessKey, error)
	// ListAccessKeys returns all keys, ordered by id.
	ListAccessKeys(ctx context.Context) ([]AccessKey, error)
	// DeleteAccessKey removes a key; ErrNotFound.
	DeleteAccessKey(ctx context.Context, id string) error
}
