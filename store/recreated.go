package store

import (
	"context"
	"errors"
	"io"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// A bucket that a request was authorized for comes from the cache: it may have
// been deleted and created again through another gateway since, even by another
// tenant. Both lives have the same name and different ids. The rule:
//
//  1. No change is made in a bucket of another id than the request was
//     authorized for. Commits hold that by the id, and so do changes of settings
//     and the removal of the bucket.
//  2. Where the id is outdated, the operation returns ErrBucketRecreated and has
//     changed nothing. The API layer reads the bucket again, authorizes the
//     request for it and repeats the operation.
//  3. "It is not there" is no answer of an outdated id: the bucket's row is read
//     before NoSuchBucket, NoSuchKey, NoSuchUpload, an empty listing or "there
//     was nothing to delete" is said.
//  4. Nothing is read from the other bucket either, whoever owns it: its policy
//     decides, and tokens of listings are for its id.

// errRecreated says that there is a bucket of b's name, and that it is another one.
func errRecreated(b *meta.Bucket) error {
	e := fail(s3err.SlowDown, "The bucket was deleted and created again; please try again").With("BucketName", b.Name)
	e.Err = ErrBucketRecreated
	return e
}

// bucketGone is the error of a change whose commit has found no bucket of b's id.
func (s *Store) bucketGone(ctx context.Context, b *meta.Bucket) error {
	s.buckets.drop(b.Name)
	return s.orRecreated(ctx, b, noSuchBucket(b.Name))
}

// orRecreated returns err, unless the bucket b is outdated: then ErrBucketRecreated, or
// NoSuchBucket.
func (s *Store) orRecreated(ctx context.Context, b *meta.Bucket, err error) error {
	switch fresh, readErr := s.freshBucket(ctx, b.Name); {
	case readErr != nil:
		return readErr
	case fresh.ID != b.ID:
		return errRecreated(b)
	}
	return err
}

// ConfirmBucket returns nil if b still is the bucket of its name, and else
// ErrBucketRecreated or NoSuchBucket. A DELETE that found nothing to delete asks, and a
// listing that is empty.
func (s *Store) ConfirmBucket(ctx context.Context, b *meta.Bucket) error {
	return s.orRecreated(ctx, b, nil)
}

func isMissing(err error) bool {
	code := s3err.CodeOf(err)
	return code == s3err.NoSuchKey || code == s3err.NoSuchVersion
}

func isRecreated(err error) bool { return errors.Is(err, ErrBucketRecreated) }

// putInRecreated makes the change that in asks for in the bucket that has taken the
// place of b, after the body was stored for b: r, as v, by seal. The client
// cannot send the body again, so it is read from where it was stored: what is
// encrypted, placed and queued for collection by bucket is so for the new one.
func (s *Store) putInRecreated(ctx context.Context, key string, in PutInput, v *meta.Version, r *received, seal *sealer) (*PutResult, error) {
	b, again, err := in.Reauthorize(ctx)
	if err != nil {
		return nil, err
	}
	body, err := s.body(ctx, b.ID, key, v, seal, 0, r.size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	again.Body, again.Size = io.Reader(body), r.size
	return s.Put(ctx, b, key, again)
}
