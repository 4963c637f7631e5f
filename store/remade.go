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
//  2. Where the id is outdated, the operation returns ErrBucketRemade and has
//     changed nothing. The API layer reads the bucket again, authorizes the
//     request for it and repeats the operation.
//  3. "It is not there" is no answer of an outdated id: the bucket's row is read
//     before NoSuchBucket, NoSuchKey, NoSuchUpload, an empty listing or "there
//     was nothing to delete" is said.
//  4. Nothing is read from the other bucket either, whoever owns it: its policy
//     decides, and tokens of listings are for its id.

// errRemade says that there is a bucket of b's name, and that it is another one.
func errRemade(b *meta.Bucket) error {
	e := fail(s3err.SlowDown, "The bucket was deleted and created again; please try again").With("BucketName", b.Name)
	e.Err = ErrBucketRemade
	return e
}

// gone is the error of a change whose commit has found no bucket of b's id.
func (s *Store) gone(ctx context.Context, b *meta.Bucket) error {
	s.buckets.drop(b.Name)
	return s.orRemade(ctx, b, noSuchBucket(b.Name))
}

// orRemade returns err, unless the bucket b is outdated: then ErrBucketRemade, or
// NoSuchBucket.
func (s *Store) orRemade(ctx context.Context, b *meta.Bucket, err error) error {
	switch fresh, readErr := s.freshBucket(ctx, b.Name); {
	case readErr != nil:
		return readErr
	case fresh.ID != b.ID:
		return errRemade(b)
	}
	return err
}

// ConfirmBucket returns nil if b still is the bucket of its name, and else
// ErrBucketRemade or NoSuchBucket. A DELETE that found nothing to delete asks, and a
// listing that is empty.
func (s *Store) ConfirmBucket(ctx context.Context, b *meta.Bucket) error {
	return s.orRemade(ctx, b, nil)
}

func absent(err error) bool {
	code := s3err.CodeOf(err)
	return code == s3err.NoSuchKey || code == s3err.NoSuchVersion
}

func isRemade(err error) bool { return errors.Is(err, ErrBucketRemade) }

// putAgain makes the change that in asks for in the bucket that has taken the
// place of b, after the body was stored for b: r, as v, by seal. The client
// cannot send the body again, so it is read from where it was stored: what is
// encrypted, placed and queued for collection by bucket is so for the new one.
func (s *Store) putAgain(ctx context.Context, key string, in PutInput, v *meta.Version, r *received, seal *sealer) (*PutResult, error) {
	b, again, err := in.Remade(ctx)
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
