package costtest

import (
	"context"
	"sync/atomic"

	"github.com/pithos/pithos/meta"
)

// rowCounter counts the rows that a metadata store returns and the changes that
// it makes. A call that returns no row counts as one.
type rowCounter struct {
	meta.Store
	rows *atomic.Int64
}

func (c *rowCounter) add(n int) { c.rows.Add(int64(max(n, 1))) }

// Bucket implements [meta.Buckets].
func (c *rowCounter) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	c.add(1)
	return c.Store.Bucket(ctx, name)
}

// CreateBucket implements [meta.Buckets].
func (c *rowCounter) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	c.add(1)
	return c.Store.CreateBucket(ctx, b)
}

// UpdateBucket implements [meta.Buckets].
func (c *rowCounter) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	c.add(1)
	return c.Store.UpdateBucket(ctx, b, ifRev)
}

// ListBuckets implements [meta.Buckets].
func (c *rowCounter) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	found, err := c.Store.ListBuckets(ctx, owner, after, limit)
	c.add(len(found))
	return found, err
}

// Read implements [meta.Objects].
func (c *rowCounter) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	head, err := c.Store.Read(ctx, bucket, key, o)
	c.add(len(head.Versions))
	return head, err
}

// Begin implements [meta.Objects].
func (c *rowCounter) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	c.add(1)
	return c.Store.Begin(ctx, bucket, key, rev, history)
}

// Versions implements [meta.Objects].
func (c *rowCounter) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	found, err := c.Store.Versions(ctx, bucket, key, before, limit)
	c.add(len(found))
	return found, err
}

// Pages implements [meta.Objects].
func (c *rowCounter) Pages(ctx context.Context, bucket meta.BucketID, key string, seq int64, from, n int) ([]meta.Page, error) {
	found, err := c.Store.Pages(ctx, bucket, key, seq, from, n)
	c.add(len(found))
	return found, err
}

// ListVersions implements [meta.Listings].
func (c *rowCounter) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	found, err := c.Store.ListVersions(ctx, bucket, key, before, limit)
	c.add(len(found))
	return found, err
}

// Scan implements [meta.Listings].
func (c *rowCounter) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) ([]meta.Entry, bool, error) {
	found, more, err := c.Store.Scan(ctx, bucket, o)
	c.add(len(found))
	return found, more, err
}

// Upload implements [meta.Uploads].
func (c *rowCounter) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	c.add(1)
	return c.Store.Upload(ctx, bucket, key, id)
}

// Parts implements [meta.Uploads].
func (c *rowCounter) Parts(ctx context.Context, id meta.UploadID, after, limit int) ([]meta.Part, error) {
	found, err := c.Store.Parts(ctx, id, after, limit)
	c.add(len(found))
	return found, err
}

// ListUploads implements [meta.Uploads].
func (c *rowCounter) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	found, err := c.Store.ListUploads(ctx, bucket, from, to, afterID, limit)
	c.add(len(found))
	return found, err
}

// References implements [meta.References].
func (c *rowCounter) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	found, err := c.Store.References(ctx, b)
	c.add(len(found))
	return found, err
}

// keyCounter counts the access keys that are read. A call that returns none
// counts as one.
type keyCounter struct {
	meta.AccessKeys
	rows *atomic.Int64
}

// AccessKey implements [meta.AccessKeys].
func (c *keyCounter) AccessKey(ctx context.Context, id string) (meta.AccessKey, error) {
	c.rows.Add(1)
	return c.AccessKeys.AccessKey(ctx, id)
}

// ListAccessKeys implements [meta.AccessKeys].
func (c *keyCounter) ListAccessKeys(ctx context.Context) ([]meta.AccessKey, error) {
	found, err := c.AccessKeys.ListAccessKeys(ctx)
	c.rows.Add(int64(max(len(found), 1)))
	return found, err
}
