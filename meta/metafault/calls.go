package metafault

import (
	"context"
	"time"

	"github.com/pithos/pithos/meta"
)

// InlineMax implements [meta.Store].
func (s *Store) InlineMax() int { return s.store.InlineMax() }

// Close implements [meta.Store]; it never fails by a rule.
func (s *Store) Close() error { return s.store.Close() }

// Ping implements [meta.Store].
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, Ping, func() error { return s.store.Ping(ctx) })
}

// Flush implements [meta.Store].
func (s *Store) Flush(ctx context.Context) error {
	return s.call(ctx, Flush, func() error { return s.store.Flush(ctx) })
}

// CreateBucket implements [meta.Buckets].
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	return result(ctx, s, CreateBucket, func() (meta.Bucket, error) { return s.store.CreateBucket(ctx, b) })
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	return result(ctx, s, Bucket, func() (meta.Bucket, error) { return s.store.Bucket(ctx, name) })
}

// UpdateBucket implements [meta.Buckets].
func (s *Store) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	return s.call(ctx, UpdateBucket, func() error { return s.store.UpdateBucket(ctx, b, ifRev) })
}

// RemoveBucket implements [meta.Buckets].
func (s *Store) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	return s.call(ctx, RemoveBucket, func() error { return s.store.RemoveBucket(ctx, b) })
}

// ListBuckets implements [meta.Buckets].
func (s *Store) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	return result(ctx, s, ListBuckets, func() ([]meta.Bucket, error) { return s.store.ListBuckets(ctx, owner, after, limit) })
}

// Empty implements [meta.Buckets].
func (s *Store) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	return result(ctx, s, Empty, func() (bool, error) { return s.store.Empty(ctx, id) })
}

// Read implements [meta.Objects].
func (s *Store) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	return result(ctx, s, Read, func() (meta.Head, error) { return s.store.Read(ctx, bucket, key, o) })
}

// Begin implements [meta.Objects]. After a fault that applies it, the change
// stays begun.
func (s *Store) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	return result(ctx, s, Begin, func() (meta.Pending, error) {
		p, err := s.store.Begin(ctx, bucket, key, rev, history)
		if err != nil {
			return nil, err
		}
		return &pending{s, p}, nil
	})
}

type pending struct {
	s *Store
	p meta.Pending
}

// Commit implements [meta.Pending].
func (p *pending) Commit(ctx context.Context, c meta.Change) error {
	return p.s.call(ctx, Commit, func() error { return p.p.Commit(ctx, c) })
}

// Cancel implements [meta.Pending]. A fault makes it do nothing.
func (p *pending) Cancel(ctx context.Context) {
	_ = p.s.call(ctx, Cancel, func() error { // it has no way to tell an error
		p.p.Cancel(ctx)
		return nil
	})
}

// Fence implements [meta.Objects].
func (s *Store) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	return result(ctx, s, Fence, func() (meta.Head, error) { return s.store.Fence(ctx, bucket, key, rev, o) })
}

// Versions implements [meta.Objects].
func (s *Store) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	return result(ctx, s, Versions, func() ([]meta.Version, error) { return s.store.Versions(ctx, bucket, key, before, limit) })
}

// page is what a listing returns.
type page struct {
	rows []meta.Entry
	more bool
}

// Scan implements [meta.Listings].
func (s *Store) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	op := Scan
	if o.All {
		op = ScanAll
	}
	p, err := result(ctx, s, op, func() (p page, err error) {
		p.rows, p.more, err = s.store.Scan(ctx, bucket, o)
		return p, err
	})
	return p.rows, p.more, err
}

// ListVersions implements [meta.Listings].
func (s *Store) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	return result(ctx, s, ListVersions, func() ([]meta.Entry, error) { return s.store.ListVersions(ctx, bucket, key, before, limit) })
}

// DropListing implements [meta.Listings].
func (s *Store) DropListing(ctx context.Context, part meta.ListingPart) error {
	return s.call(ctx, DropListing, func() error { return s.store.DropListing(ctx, part) })
}

// CreateUpload implements [meta.Uploads].
func (s *Store) CreateUpload(ctx context.Context, u meta.Upload) error {
	return s.call(ctx, CreateUpload, func() error { return s.store.CreateUpload(ctx, u) })
}

// Upload implements [meta.Uploads].
func (s *Store) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	return result(ctx, s, Upload, func() (meta.Upload, error) { return s.store.Upload(ctx, bucket, key, id) })
}

// SetUploadState implements [meta.Uploads].
func (s *Store) SetUploadState(ctx context.Context, u meta.Upload, state meta.UploadState) (meta.Upload, error) {
	return result(ctx, s, SetUploadState, func() (meta.Upload, error) { return s.store.SetUploadState(ctx, u, state) })
}

// PutPart implements [meta.Uploads].
func (s *Store) PutPart(ctx context.Context, u meta.Upload, p meta.Part) error {
	return s.call(ctx, PutPart, func() error { return s.store.PutPart(ctx, u, p) })
}

// Parts implements [meta.Uploads].
func (s *Store) Parts(ctx context.Context, id meta.UploadID, after, limit int) ([]meta.Part, error) {
	return result(ctx, s, Parts, func() ([]meta.Part, error) { return s.store.Parts(ctx, id, after, limit) })
}

// ListUploads implements [meta.Uploads].
func (s *Store) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	return result(ctx, s, ListUploads, func() ([]meta.Upload, error) {
		return s.store.ListUploads(ctx, bucket, from, to, afterID, limit)
	})
}

// ForgetUpload implements [meta.Uploads].
func (s *Store) ForgetUpload(ctx context.Context, u meta.Upload) error {
	return s.call(ctx, ForgetUpload, func() error { return s.store.ForgetUpload(ctx, u) })
}

// Enqueue implements [meta.Queue].
func (s *Store) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.call(ctx, Enqueue, func() error { return s.store.Enqueue(ctx, entries...) })
}

// Due implements [meta.Queue].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	return result(ctx, s, Due, func() ([]meta.QueueEntry, error) { return s.store.Due(ctx, now, limit) })
}

// Claim implements [meta.Queue].
func (s *Store) Claim(ctx context.Context, e meta.QueueEntry) error {
	return s.call(ctx, Claim, func() error { return s.store.Claim(ctx, e) })
}

// Drop implements [meta.Queue].
func (s *Store) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.call(ctx, Drop, func() error { return s.store.Drop(ctx, entries...) })
}

// AddReferences implements [meta.References].
func (s *Store) AddReferences(ctx context.Context, entries []meta.QueueEntry, homes []meta.QueuedBlob) error {
	return s.call(ctx, AddReferences, func() error { return s.store.AddReferences(ctx, entries, homes) })
}

// References implements [meta.References].
func (s *Store) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	return result(ctx, s, References, func() ([]meta.QueuedBlob, error) { return s.store.References(ctx, b) })
}

// RemoveReference implements [meta.References].
func (s *Store) RemoveReference(ctx context.Context, b meta.QueuedBlob) error {
	return s.call(ctx, RemoveReference, func() error { return s.store.RemoveReference(ctx, b) })
}

// AddHold implements [meta.Holds].
func (s *Store) AddHold(ctx context.Context, h meta.Hold) error {
	return s.call(ctx, AddHold, func() error { return s.store.AddHold(ctx, h) })
}

// UpdateHold implements [meta.Holds].
func (s *Store) UpdateHold(ctx context.Context, h meta.Hold, ifRev int64) error {
	return s.call(ctx, UpdateHold, func() error { return s.store.UpdateHold(ctx, h, ifRev) })
}

// RemoveHold implements [meta.Holds].
func (s *Store) RemoveHold(ctx context.Context, id meta.ID, ifRev int64) error {
	return s.call(ctx, RemoveHold, func() error { return s.store.RemoveHold(ctx, id, ifRev) })
}

// ListHolds implements [meta.Holds].
func (s *Store) ListHolds(ctx context.Context) ([]meta.Hold, error) {
	return result(ctx, s, ListHolds, func() ([]meta.Hold, error) { return s.store.ListHolds(ctx) })
}
