package observe

import (
	"context"
	"time"

	"github.com/pithos/pithos/meta"
)

const metaStore = "meta"

// Meta observes the calls of a metadata store that requests and the collector
// make. Others, such as walks over everything, go through as they are.
func (o *Observer) Meta(s meta.Store) meta.Store { return &metaCalls{s, o} }

type metaCalls struct {
	meta.Store
	o *Observer
}

// Ping implements [meta.Store].
func (s *metaCalls) Ping(ctx context.Context) error {
	return s.o.call(ctx, metaStore, "Ping", func(ctx context.Context) error { return s.Store.Ping(ctx) })
}

// CreateBucket implements [meta.Buckets].
func (s *metaCalls) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	return result(ctx, s.o, metaStore, "CreateBucket", func(ctx context.Context) (meta.Bucket, error) { return s.Store.CreateBucket(ctx, b) })
}

// Bucket implements [meta.Buckets].
func (s *metaCalls) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	return result(ctx, s.o, metaStore, "Bucket", func(ctx context.Context) (meta.Bucket, error) { return s.Store.Bucket(ctx, name) })
}

// UpdateBucket implements [meta.Buckets].
func (s *metaCalls) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	return s.o.call(ctx, metaStore, "UpdateBucket", func(ctx context.Context) error { return s.Store.UpdateBucket(ctx, b, ifRev) })
}

// RemoveBucket implements [meta.Buckets].
func (s *metaCalls) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	return s.o.call(ctx, metaStore, "RemoveBucket", func(ctx context.Context) error { return s.Store.RemoveBucket(ctx, b) })
}

// ListBuckets implements [meta.Buckets].
func (s *metaCalls) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	return result(ctx, s.o, metaStore, "ListBuckets", func(ctx context.Context) ([]meta.Bucket, error) { return s.Store.ListBuckets(ctx, owner, after, limit) })
}

// Empty implements [meta.Buckets].
func (s *metaCalls) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	return result(ctx, s.o, metaStore, "Empty", func(ctx context.Context) (bool, error) { return s.Store.Empty(ctx, id) })
}

// Read implements [meta.Objects].
func (s *metaCalls) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	return result(ctx, s.o, metaStore, "Read", func(ctx context.Context) (meta.Head, error) { return s.Store.Read(ctx, bucket, key, o) })
}

// Begin implements [meta.Objects].
func (s *metaCalls) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	return result(ctx, s.o, metaStore, "Begin", func(ctx context.Context) (meta.Pending, error) {
		p, err := s.Store.Begin(ctx, bucket, key, rev, history)
		if err != nil {
			return nil, err
		}
		return &pending{s.o, p}, nil
	})
}

type pending struct {
	o *Observer
	p meta.Pending
}

// Commit implements [meta.Pending].
func (p *pending) Commit(ctx context.Context, c meta.Change) error {
	return p.o.call(ctx, metaStore, "Commit", func(ctx context.Context) error { return p.p.Commit(ctx, c) })
}

// Cancel implements [meta.Pending].
func (p *pending) Cancel(ctx context.Context) {
	_ = p.o.call(ctx, metaStore, "Cancel", func(ctx context.Context) error {
		p.p.Cancel(ctx)
		return nil
	})
}

// Fence implements [meta.Objects].
func (s *metaCalls) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	return result(ctx, s.o, metaStore, "Fence", func(ctx context.Context) (meta.Head, error) { return s.Store.Fence(ctx, bucket, key, rev, o) })
}

// Versions implements [meta.Objects].
func (s *metaCalls) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	return result(ctx, s.o, metaStore, "Versions", func(ctx context.Context) ([]meta.Version, error) {
		return s.Store.Versions(ctx, bucket, key, before, limit)
	})
}

// ListVersions implements [meta.Listings].
func (s *metaCalls) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	return result(ctx, s.o, metaStore, "ListVersions", func(ctx context.Context) ([]meta.Entry, error) {
		return s.Store.ListVersions(ctx, bucket, key, before, limit)
	})
}

// Scan implements [meta.Listings].
func (s *metaCalls) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) (entries []meta.Entry, more bool, err error) {
	name := "Scan"
	if o.All {
		name = "ScanAll"
	}
	err = s.o.call(ctx, metaStore, name, func(ctx context.Context) (err error) {
		entries, more, err = s.Store.Scan(ctx, bucket, o)
		return err
	})
	return entries, more, err
}

// CreateUpload implements [meta.Uploads].
func (s *metaCalls) CreateUpload(ctx context.Context, u meta.Upload) error {
	return s.o.call(ctx, metaStore, "CreateUpload", func(ctx context.Context) error { return s.Store.CreateUpload(ctx, u) })
}

// Upload implements [meta.Uploads].
func (s *metaCalls) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	return result(ctx, s.o, metaStore, "Upload", func(ctx context.Context) (meta.Upload, error) { return s.Store.Upload(ctx, bucket, key, id) })
}

// SetUploadState implements [meta.Uploads].
func (s *metaCalls) SetUploadState(ctx context.Context, u meta.Upload, state meta.UploadState) (meta.Upload, error) {
	return result(ctx, s.o, metaStore, "SetUploadState", func(ctx context.Context) (meta.Upload, error) { return s.Store.SetUploadState(ctx, u, state) })
}

// PutPart implements [meta.Uploads].
func (s *metaCalls) PutPart(ctx context.Context, u meta.Upload, p meta.Part) error {
	return s.o.call(ctx, metaStore, "PutPart", func(ctx context.Context) error { return s.Store.PutPart(ctx, u, p) })
}

// Parts implements [meta.Uploads].
func (s *metaCalls) Parts(ctx context.Context, id meta.UploadID, after, limit int) ([]meta.Part, error) {
	return result(ctx, s.o, metaStore, "Parts", func(ctx context.Context) ([]meta.Part, error) { return s.Store.Parts(ctx, id, after, limit) })
}

// ListUploads implements [meta.Uploads].
func (s *metaCalls) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	return result(ctx, s.o, metaStore, "ListUploads", func(ctx context.Context) ([]meta.Upload, error) {
		return s.Store.ListUploads(ctx, bucket, from, to, afterID, limit)
	})
}

// ForgetUpload implements [meta.Uploads].
func (s *metaCalls) ForgetUpload(ctx context.Context, u meta.Upload) error {
	return s.o.call(ctx, metaStore, "ForgetUpload", func(ctx context.Context) error { return s.Store.ForgetUpload(ctx, u) })
}

// Enqueue implements [meta.Queue].
func (s *metaCalls) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.o.call(ctx, metaStore, "Enqueue", func(ctx context.Context) error { return s.Store.Enqueue(ctx, entries...) })
}

// Due implements [meta.Queue].
func (s *metaCalls) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	return result(ctx, s.o, metaStore, "Due", func(ctx context.Context) ([]meta.QueueEntry, error) { return s.Store.Due(ctx, now, limit) })
}

// Claim implements [meta.Queue].
func (s *metaCalls) Claim(ctx context.Context, e meta.QueueEntry) error {
	return s.o.call(ctx, metaStore, "Claim", func(ctx context.Context) error { return s.Store.Claim(ctx, e) })
}

// Drop implements [meta.Queue].
func (s *metaCalls) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	return s.o.call(ctx, metaStore, "Drop", func(ctx context.Context) error { return s.Store.Drop(ctx, entries...) })
}

// AddReferences implements [meta.References].
func (s *metaCalls) AddReferences(ctx context.Context, entries []meta.QueueEntry, homes []meta.QueuedBlob) error {
	return s.o.call(ctx, metaStore, "AddReferences", func(ctx context.Context) error { return s.Store.AddReferences(ctx, entries, homes) })
}

// References implements [meta.References].
func (s *metaCalls) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	return result(ctx, s.o, metaStore, "References", func(ctx context.Context) ([]meta.QueuedBlob, error) { return s.Store.References(ctx, b) })
}

// RemoveReference implements [meta.References].
func (s *metaCalls) RemoveReference(ctx context.Context, b meta.QueuedBlob) error {
	return s.o.call(ctx, metaStore, "RemoveReference", func(ctx context.Context) error { return s.Store.RemoveReference(ctx, b) })
}

// AddHold implements [meta.Holds].
func (s *metaCalls) AddHold(ctx context.Context, h meta.Hold) error {
	return s.o.call(ctx, metaStore, "AddHold", func(ctx context.Context) error { return s.Store.AddHold(ctx, h) })
}

// UpdateHold implements [meta.Holds].
func (s *metaCalls) UpdateHold(ctx context.Context, h meta.Hold, ifRev int64) error {
	return s.o.call(ctx, metaStore, "UpdateHold", func(ctx context.Context) error { return s.Store.UpdateHold(ctx, h, ifRev) })
}

// RemoveHold implements [meta.Holds].
func (s *metaCalls) RemoveHold(ctx context.Context, id meta.ID, ifRev int64) error {
	return s.o.call(ctx, metaStore, "RemoveHold", func(ctx context.Context) error { return s.Store.RemoveHold(ctx, id, ifRev) })
}

// ListHolds implements [meta.Holds].
func (s *metaCalls) ListHolds(ctx context.Context) ([]meta.Hold, error) {
	return result(ctx, s.o, metaStore, "ListHolds", func(ctx context.Context) ([]meta.Hold, error) { return s.Store.ListHolds(ctx) })
}
