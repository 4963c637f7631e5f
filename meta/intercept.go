package meta

import (
	"context"
	"errors"
	"time"
)

// Op names a method of [Store] or [Pending].
type Op string

// The operations of a store that [Intercept] reports. A Scan of all keys and a
// Walk of each kind of row have names of their own.
const (
	OpPing            Op = "Ping"
	OpFlush           Op = "Flush"
	OpCreateBucket    Op = "CreateBucket"
	OpBucket          Op = "Bucket"
	OpUpdateBucket    Op = "UpdateBucket"
	OpRemoveBucket    Op = "RemoveBucket"
	OpListBuckets     Op = "ListBuckets"
	OpEmpty           Op = "Empty"
	OpRead            Op = "Read"
	OpBegin           Op = "Begin"
	OpCommit          Op = "Commit"
	OpCancel          Op = "Cancel"
	OpFence           Op = "Fence"
	OpVersions        Op = "Versions"
	OpPages           Op = "Pages"
	OpScan            Op = "Scan"
	OpScanAll         Op = "ScanAll"
	OpListVersions    Op = "ListVersions"
	OpDropListing     Op = "DropListing"
	OpCreateUpload    Op = "CreateUpload"
	OpUpload          Op = "Upload"
	OpSetUploadState  Op = "SetUploadState"
	OpPutPart         Op = "PutPart"
	OpParts           Op = "Parts"
	OpListUploads     Op = "ListUploads"
	OpForgetUpload    Op = "ForgetUpload"
	OpEnqueue         Op = "Enqueue"
	OpDue             Op = "Due"
	OpClaim           Op = "Claim"
	OpDrop            Op = "Drop"
	OpAddReferences   Op = "AddReferences"
	OpReferences      Op = "References"
	OpRemoveReference Op = "RemoveReference"
	OpAddHold         Op = "AddHold"
	OpUpdateHold      Op = "UpdateHold"
	OpRemoveHold      Op = "RemoveHold"
	OpListHolds       Op = "ListHolds"
	OpPutLease        Op = "PutLease"
	OpListLeases      Op = "ListLeases"
	OpWalkVersions    Op = "WalkVersions"
	OpWalkUploads     Op = "WalkUploads"
	OpWalkQueue       Op = "WalkQueue"
	OpWalkReferences  Op = "WalkReferences"
	OpWalkListings    Op = "WalkListings"
)

// Around is called in place of an operation, which it makes by call, with a
// context of its choice. What it returns is returned by the operation; the
// operation's other results are returned too if Around returns the error that
// call returned, or wraps it. It may fail the operation, before or after call,
// but it must not return nil without calling it.
type Around func(ctx context.Context, op Op, call func(context.Context) error) error

// Intercept returns store with around in place of each operation of it and of
// its Pending changes; InlineMax and Close are passed on as they are. Decorators
// of a store are made of it, so they hold the contract of package metatest.
//
// A Store has no optional interfaces. If it gets one, pass it on here.
func Intercept(store Store, around Around) Store { return &intercepted{store, around} }

type intercepted struct {
	store  Store
	around Around
}

// result has what an operation returned.
type result[T any] struct {
	value T
	err   error
}

func (r *result[T]) set(value T, err error) error {
	r.value, r.err = value, err
	return err
}

// get returns the value of the operation, unless around has returned an error of
// its own.
func (r *result[T]) get(err error) (T, error) {
	if err != nil && !errors.Is(err, r.err) {
		var none T
		return none, err
	}
	return r.value, err
}

// InlineMax implements [Store].
func (s *intercepted) InlineMax() int { return s.store.InlineMax() }

// Close implements [Store].
func (s *intercepted) Close() error { return s.store.Close() }

// Ping implements [Store].
func (s *intercepted) Ping(ctx context.Context) error { return s.around(ctx, OpPing, s.store.Ping) }

// Flush implements [Store].
func (s *intercepted) Flush(ctx context.Context) error { return s.around(ctx, OpFlush, s.store.Flush) }

// CreateBucket implements [Buckets].
func (s *intercepted) CreateBucket(ctx context.Context, b Bucket) (Bucket, error) {
	var r result[Bucket]
	err := s.around(ctx, OpCreateBucket, func(ctx context.Context) error { return r.set(s.store.CreateBucket(ctx, b)) })
	return r.get(err)
}

// Bucket implements [Buckets].
func (s *intercepted) Bucket(ctx context.Context, name string) (Bucket, error) {
	var r result[Bucket]
	err := s.around(ctx, OpBucket, func(ctx context.Context) error { return r.set(s.store.Bucket(ctx, name)) })
	return r.get(err)
}

// UpdateBucket implements [Buckets].
func (s *intercepted) UpdateBucket(ctx context.Context, b Bucket, ifRev int64) error {
	return s.around(ctx, OpUpdateBucket, func(ctx context.Context) error { return s.store.UpdateBucket(ctx, b, ifRev) })
}

// RemoveBucket implements [Buckets].
func (s *intercepted) RemoveBucket(ctx context.Context, b Bucket) error {
	return s.around(ctx, OpRemoveBucket, func(ctx context.Context) error { return s.store.RemoveBucket(ctx, b) })
}

// ListBuckets implements [Buckets].
func (s *intercepted) ListBuckets(ctx context.Context, owner, after string, limit int) ([]Bucket, error) {
	var r result[[]Bucket]
	err := s.around(ctx, OpListBuckets, func(ctx context.Context) error { return r.set(s.store.ListBuckets(ctx, owner, after, limit)) })
	return r.get(err)
}

// Empty implements [Buckets].
func (s *intercepted) Empty(ctx context.Context, id BucketID) (bool, error) {
	var r result[bool]
	err := s.around(ctx, OpEmpty, func(ctx context.Context) error { return r.set(s.store.Empty(ctx, id)) })
	return r.get(err)
}

// Read implements [Objects].
func (s *intercepted) Read(ctx context.Context, bucket BucketID, key string, o ReadOptions) (Head, error) {
	var r result[Head]
	err := s.around(ctx, OpRead, func(ctx context.Context) error { return r.set(s.store.Read(ctx, bucket, key, o)) })
	return r.get(err)
}

// Begin implements [Objects].
func (s *intercepted) Begin(ctx context.Context, bucket BucketID, key string, rev int64, history bool) (Pending, error) {
	var r result[Pending]
	err := s.around(ctx, OpBegin, func(ctx context.Context) error { return r.set(s.store.Begin(ctx, bucket, key, rev, history)) })
	p, err := r.get(err)
	if p == nil {
		return nil, err
	}
	return &interceptedPending{p, s.around}, err
}

type interceptedPending struct {
	pending Pending
	around  Around
}

// Commit implements [Pending].
func (p *interceptedPending) Commit(ctx context.Context, c Change) error {
	return p.around(ctx, OpCommit, func(ctx context.Context) error { return p.pending.Commit(ctx, c) })
}

// Cancel implements [Pending].
func (p *interceptedPending) Cancel(ctx context.Context) {
	_ = p.around(ctx, OpCancel, func(ctx context.Context) error { // Cancel returns no error
		p.pending.Cancel(ctx)
		return nil
	})
}

// Fence implements [Objects].
func (s *intercepted) Fence(ctx context.Context, bucket BucketID, key string, rev int64, o ReadOptions) (Head, error) {
	var r result[Head]
	err := s.around(ctx, OpFence, func(ctx context.Context) error { return r.set(s.store.Fence(ctx, bucket, key, rev, o)) })
	return r.get(err)
}

// Versions implements [Objects].
func (s *intercepted) Versions(ctx context.Context, bucket BucketID, key string, before int64, limit int) ([]Version, error) {
	var r result[[]Version]
	err := s.around(ctx, OpVersions, func(ctx context.Context) error { return r.set(s.store.Versions(ctx, bucket, key, before, limit)) })
	return r.get(err)
}

// Scan implements [Listings].
func (s *intercepted) Scan(ctx context.Context, bucket BucketID, o ScanOptions) ([]Entry, bool, error) {
	op := OpScan
	if o.All {
		op = OpScanAll
	}
	var r result[[]Entry]
	more := false
	err := s.around(ctx, op, func(ctx context.Context) error {
		entries, another, err := s.store.Scan(ctx, bucket, o)
		more = another
		return r.set(entries, err)
	})
	entries, err := r.get(err)
	return entries, more, err
}

// Pages implements [Objects].
func (s *intercepted) Pages(ctx context.Context, bucket BucketID, key string, seq int64, from, n int) ([]Page, error) {
	var r result[[]Page]
	err := s.around(ctx, OpPages, func(ctx context.Context) error { return r.set(s.store.Pages(ctx, bucket, key, seq, from, n)) })
	return r.get(err)
}

// ListVersions implements [Listings].
func (s *intercepted) ListVersions(ctx context.Context, bucket BucketID, key string, before int64, limit int) ([]Entry, error) {
	var r result[[]Entry]
	err := s.around(ctx, OpListVersions, func(ctx context.Context) error { return r.set(s.store.ListVersions(ctx, bucket, key, before, limit)) })
	return r.get(err)
}

// DropListing implements [Listings].
func (s *intercepted) DropListing(ctx context.Context, part ListingPart) error {
	return s.around(ctx, OpDropListing, func(ctx context.Context) error { return s.store.DropListing(ctx, part) })
}

// CreateUpload implements [Uploads].
func (s *intercepted) CreateUpload(ctx context.Context, u Upload) error {
	return s.around(ctx, OpCreateUpload, func(ctx context.Context) error { return s.store.CreateUpload(ctx, u) })
}

// Upload implements [Uploads].
func (s *intercepted) Upload(ctx context.Context, bucket BucketID, key string, id UploadID) (Upload, error) {
	var r result[Upload]
	err := s.around(ctx, OpUpload, func(ctx context.Context) error { return r.set(s.store.Upload(ctx, bucket, key, id)) })
	return r.get(err)
}

// SetUploadState implements [Uploads].
func (s *intercepted) SetUploadState(ctx context.Context, u Upload, state UploadState) (Upload, error) {
	var r result[Upload]
	err := s.around(ctx, OpSetUploadState, func(ctx context.Context) error { return r.set(s.store.SetUploadState(ctx, u, state)) })
	return r.get(err)
}

// PutPart implements [Uploads].
func (s *intercepted) PutPart(ctx context.Context, u Upload, p Part) error {
	return s.around(ctx, OpPutPart, func(ctx context.Context) error { return s.store.PutPart(ctx, u, p) })
}

// Parts implements [Uploads].
func (s *intercepted) Parts(ctx context.Context, id UploadID, after, limit int) ([]Part, error) {
	var r result[[]Part]
	err := s.around(ctx, OpParts, func(ctx context.Context) error { return r.set(s.store.Parts(ctx, id, after, limit)) })
	return r.get(err)
}

// ListUploads implements [Uploads].
func (s *intercepted) ListUploads(ctx context.Context, bucket BucketID, from, to string, afterID UploadID, limit int) ([]Upload, error) {
	var r result[[]Upload]
	err := s.around(ctx, OpListUploads, func(ctx context.Context) error {
		return r.set(s.store.ListUploads(ctx, bucket, from, to, afterID, limit))
	})
	return r.get(err)
}

// ForgetUpload implements [Uploads].
func (s *intercepted) ForgetUpload(ctx context.Context, u Upload) error {
	return s.around(ctx, OpForgetUpload, func(ctx context.Context) error { return s.store.ForgetUpload(ctx, u) })
}

// Enqueue implements [Queue].
func (s *intercepted) Enqueue(ctx context.Context, entries ...QueueEntry) error {
	return s.around(ctx, OpEnqueue, func(ctx context.Context) error { return s.store.Enqueue(ctx, entries...) })
}

// Due implements [Queue].
func (s *intercepted) Due(ctx context.Context, now time.Time, limit int) ([]QueueEntry, error) {
	var r result[[]QueueEntry]
	err := s.around(ctx, OpDue, func(ctx context.Context) error { return r.set(s.store.Due(ctx, now, limit)) })
	return r.get(err)
}

// Claim implements [Queue].
func (s *intercepted) Claim(ctx context.Context, e QueueEntry) error {
	return s.around(ctx, OpClaim, func(ctx context.Context) error { return s.store.Claim(ctx, e) })
}

// Drop implements [Queue].
func (s *intercepted) Drop(ctx context.Context, entries ...QueueEntry) error {
	return s.around(ctx, OpDrop, func(ctx context.Context) error { return s.store.Drop(ctx, entries...) })
}

// AddReferences implements [References].
func (s *intercepted) AddReferences(ctx context.Context, entries []QueueEntry, homes []QueuedBlob) error {
	return s.around(ctx, OpAddReferences, func(ctx context.Context) error { return s.store.AddReferences(ctx, entries, homes) })
}

// References implements [References].
func (s *intercepted) References(ctx context.Context, b QueuedBlob) ([]QueuedBlob, error) {
	var r result[[]QueuedBlob]
	err := s.around(ctx, OpReferences, func(ctx context.Context) error { return r.set(s.store.References(ctx, b)) })
	return r.get(err)
}

// RemoveReference implements [References].
func (s *intercepted) RemoveReference(ctx context.Context, b QueuedBlob) error {
	return s.around(ctx, OpRemoveReference, func(ctx context.Context) error { return s.store.RemoveReference(ctx, b) })
}

// AddHold implements [Holds].
func (s *intercepted) AddHold(ctx context.Context, h Hold) error {
	return s.around(ctx, OpAddHold, func(ctx context.Context) error { return s.store.AddHold(ctx, h) })
}

// UpdateHold implements [Holds].
func (s *intercepted) UpdateHold(ctx context.Context, h Hold, ifRev int64) error {
	return s.around(ctx, OpUpdateHold, func(ctx context.Context) error { return s.store.UpdateHold(ctx, h, ifRev) })
}

// RemoveHold implements [Holds].
func (s *intercepted) RemoveHold(ctx context.Context, id ID, ifRev int64) error {
	return s.around(ctx, OpRemoveHold, func(ctx context.Context) error { return s.store.RemoveHold(ctx, id, ifRev) })
}

// ListHolds implements [Holds].
func (s *intercepted) ListHolds(ctx context.Context) ([]Hold, error) {
	var r result[[]Hold]
	err := s.around(ctx, OpListHolds, func(ctx context.Context) error { return r.set(s.store.ListHolds(ctx)) })
	return r.get(err)
}

// PutLease implements [Leases].
func (s *intercepted) PutLease(ctx context.Context, l Lease, ifRev int64) error {
	return s.around(ctx, OpPutLease, func(ctx context.Context) error { return s.store.PutLease(ctx, l, ifRev) })
}

// ListLeases implements [Leases].
func (s *intercepted) ListLeases(ctx context.Context, job string) ([]Lease, error) {
	var r result[[]Lease]
	err := s.around(ctx, OpListLeases, func(ctx context.Context) error { return r.set(s.store.ListLeases(ctx, job)) })
	return r.get(err)
}

// Walk implements [Walker]. Each kind of row is an operation of its own.
func (s *intercepted) Walk(ctx context.Context, share Share, v Visitor) error {
	for _, kind := range []struct {
		op      Op
		wanted  bool
		visitor Visitor
	}{
		{OpWalkVersions, v.Version != nil, Visitor{Version: v.Version, Payload: v.Payload}},
		{OpWalkUploads, v.Upload != nil, Visitor{Upload: v.Upload}},
		{OpWalkQueue, v.QueueEntry != nil, Visitor{QueueEntry: v.QueueEntry}},
		{OpWalkReferences, v.Reference != nil, Visitor{Reference: v.Reference}},
		{OpWalkListings, v.ListingPart != nil, Visitor{ListingPart: v.ListingPart}},
	} {
		if !kind.wanted {
			continue
		}
		if err := s.around(ctx, kind.op, func(ctx context.Context) error { return s.store.Walk(ctx, share, kind.visitor) }); err != nil {
			return err
		}
	}
	return nil
}
