package store

import (
	"context"
	"io"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// A request is authorized for a bucket from the cache. Since then another gateway
// may have deleted the bucket and created one with the same name, for another
// tenant even. Both have the same name and different ids. The rule:
//
//  1. No change is made in a bucket of another id than the request was
//     authorized for. Commits, changes of settings and the removal of the bucket
//     are conditional on the id.
//  2. If the id is outdated, the operation returns ErrBucketRecreated and has
//     changed nothing. The API layer reads the bucket again, authorizes the
//     request for it and repeats the operation.
//  3. An outdated id is no evidence that something is missing. The bucket's row
//     is read before NoSuchBucket, NoSuchKey, NoSuchUpload, an empty listing or
//     DeleteResult.Nothing is returned.
//  4. Nothing is read from the new bucket either, no matter who owns it: its
//     policy decides, and tokens of listings are for its id.

// errRecreated is the error of a bucket whose name belongs to another one now.
func errRecreated(b *meta.Bucket) error {
	e := fail(s3err.SlowDown, "The bucket was deleted and created again; please try again").With("BucketName", b.Name)
	e.Err = ErrBucketRecreated
	return e
}

// bucketGone is the error of a change whose commit found no bucket with b's id.
func (s *Store) bucketGone(ctx context.Context, b *meta.Bucket) error {
	s.buckets.drop(b.Name)
	return s.orRecreated(ctx, b, noSuchBucket(b.Name))
}

// orRecreated returns err if the bucket b is current. Otherwise it returns
// ErrBucketRecreated, NoSuchBucket, or the error of reading the bucket.
func (s *Store) orRecreated(ctx context.Context, b *meta.Bucket, err error) error {
	switch fresh, readErr := s.freshBucket(ctx, b.Name); {
	case readErr != nil:
		return readErr
	case fresh.ID != b.ID:
		return errRecreated(b)
	}
	return err
}

// ConfirmBucket returns nil if b is current, and otherwise [ErrBucketRecreated]
// or NoSuchBucket. Callers confirm the bucket of an empty listing, and of a
// deletion that found nothing to delete.
func (s *Store) ConfirmBucket(ctx context.Context, b *meta.Bucket) error {
	return s.orRecreated(ctx, b, nil)
}

// isMissing reports whether err is NoSuchKey or NoSuchVersion.
func isMissing(err error) bool {
	code := s3err.CodeOf(err)
	return code == s3err.NoSuchKey || code == s3err.NoSuchVersion
}

// putInRecreated repeats a PUT in the bucket that has the name now, which
// reauthorize returns. The body is stored for the old bucket, as w.version. The
// client cannot send it again, so it is read from there: encryption, storage
// class and queue entries are made for the new bucket.
func (s *Store) putInRecreated(ctx context.Context, w write, seal *sealer, reauthorize func(context.Context) (*meta.Bucket, PutInput, error)) (*PutResult, error) {
	b, in, err := reauthorize(ctx)
	if err != nil {
		return nil, err
	}
	body, err := s.body(ctx, source{w.bucket, w.key, w.version, seal}, 0, w.body.size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	in.Body, in.Size = io.Reader(body), w.body.size
	return s.Put(ctx, b, w.key, in)
}
