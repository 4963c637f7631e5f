package store

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/pithos/pithos/meta"
)

// This file has what package check needs of S3's semantics.

// Grace is the time for which a blob without references is kept.
func (s *Store) Grace() time.Duration { return s.grace }

// MendListing writes the listing entries of a key again, from the key's head, at a
// revision above the given one. It is an ordinary change of the key that changes
// no version. So the listing is correct afterwards, even if the key is changed at
// the same time. It returns no errors except the driver's.
func (s *Store) MendListing(ctx context.Context, bucket meta.BucketID, key string, above int64) error {
	for try := 0; ; try++ {
		h, err := s.meta.Read(ctx, bucket, key, meta.ReadOptions{Limit: headVersions})
		if err != nil {
			return err
		}
		err = s.commit(ctx, bucket, key, &preparedWrite{rev: above + 2, head: &h}, &mutation{})
		if !errors.Is(err, meta.ErrConflict) || try == maxTries {
			return err
		}
		if err := BackOff(ctx, try); err != nil {
			return err
		}
	}
}

// ErrDigest is the error of a body that does not match its version.
var ErrDigest = errors.New("the body does not match its digest")

// errUnreadable is the error of a body that cannot be verified because this server
// does not have the key: only the customer has it, or another server.
type errUnreadable struct{ err error }

func (e errUnreadable) Error() string { return e.err.Error() }

// Unreadable reports whether a body could not be verified because its key is
// missing.
func Unreadable(err error) bool { return errors.As(err, &errUnreadable{}) }

// VerifyBody reads the body of a version to its end, as a GET does, and compares
// it with the version's size, its ETag if that is made of MD5s, and its checksum.
// v must have its payload. Errors: [ErrDigest], those of the blob stores, and those
// that [Unreadable] reports.
func (s *Store) VerifyBody(ctx context.Context, bucket meta.BucketID, key string, v *meta.Version) error {
	if v.DeleteMarker {
		return nil
	}
	if v.Encryption != nil && v.Encryption.Type == SSEC {
		return errUnreadable{errors.New("it is encrypted with a key that the customer has")}
	}
	seal, err := s.openSealer(&meta.Bucket{ID: bucket}, key, v.Encryption, EncryptionRequest{})
	if err != nil {
		return errUnreadable{err}
	}
	if n := int64(len(v.Payload)); v.Inline && (len(v.Segments) != 1 || n != v.Segments[0].Bytes) {
		return fmt.Errorf("%w: %d bytes of it are kept in its row", ErrDigest, n)
	}
	v, release, err := s.whole(ctx, bucket, key, v)
	if err != nil {
		return err
	}
	defer release()
	d, err := newDigests(v)
	if err != nil {
		return err
	}
	body, err := s.body(ctx, source{&meta.Bucket{ID: bucket}, key, v, seal}, 0, v.Size)
	if err != nil {
		return err
	}
	err = d.read(body)
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return d.compare(v)
}

// digests computes all hashes of a body that can be compared with its version.
type digests struct {
	sizes    []int64 // of the pieces: the parts of a multipart upload, or the whole
	md5s     []byte  // of each piece, one after another
	whole    hash.Hash
	each     func() (hash.Hash, error) // makes the hash of each piece; nil: none
	pieces   []meta.Part
	checksum *meta.Checksum
}

func newDigests(v *meta.Version) (*digests, error) {
	d := &digests{sizes: []int64{v.Size}, checksum: v.Checksum}
	if len(v.Parts) > 0 {
		d.sizes = nil
		for _, p := range v.Parts {
			d.sizes = append(d.sizes, p.Size)
		}
	}
	if v.Checksum == nil {
		return d, nil
	}
	if v.Checksum.Type == Composite {
		d.each = func() (hash.Hash, error) { return newChecksum(v.Checksum.Algorithm) }
		return d, nil
	}
	var err error
	d.whole, err = newChecksum(v.Checksum.Algorithm)
	return d, err
}

// read reads the pieces from body, which must end with the last one.
func (d *digests) read(body io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for i, size := range d.sizes {
		sum := md5.New()
		to := []io.Writer{sum}
		if d.whole != nil {
			to = append(to, d.whole)
		}
		var own hash.Hash
		if d.each != nil {
			var err error
			if own, err = d.each(); err != nil {
				return err
			}
			to = append(to, own)
		}
		n, err := io.CopyBuffer(io.MultiWriter(to...), io.LimitReader(body, size), *buf)
		if err != nil {
			return err
		}
		if n != size {
			return fmt.Errorf("%w: it ends after %d of %d bytes", ErrDigest, n, size)
		}
		d.md5s = sum.Sum(d.md5s)
		if own != nil {
			d.pieces = append(d.pieces, meta.Part{Number: i + 1, Size: size, Checksum: &meta.Checksum{
				Algorithm: d.checksum.Algorithm, Value: base64.StdEncoding.EncodeToString(own.Sum(nil))}})
		}
	}
	if n, err := io.CopyBuffer(io.Discard, body, *buf); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%w: %d bytes follow its end", ErrDigest, n))
	}
	return nil
}

func (d *digests) compare(v *meta.Version) error {
	if want := d.etag(v); want != "" && want != v.ETag {
		return fmt.Errorf("%w: the ETag is %s, the body's MD5 makes %s", ErrDigest, v.ETag, want)
	}
	if d.checksum == nil {
		return nil
	}
	got := ""
	if d.whole != nil {
		got = base64.StdEncoding.EncodeToString(d.whole.Sum(nil))
	} else {
		sum, err := joinChecksums(d.checksum.Algorithm, Composite, d.pieces)
		if err != nil {
			return err
		}
		got = sum.Value
	}
	if got != d.checksum.Value {
		return fmt.Errorf("%w: its %s is %s, and was %s", ErrDigest, d.checksum.Algorithm, got, d.checksum.Value)
	}
	return nil
}

// etag returns the ETag that the MD5s of the pieces make; "" if the version's ETag
// is not made of MD5s.
func (d *digests) etag(v *meta.Version) string {
	if v.Appends > 0 || v.Encryption != nil && v.Encryption.Type != SSES3 {
		return ""
	}
	if !strings.Contains(v.ETag, "-") {
		if len(d.sizes) > 1 {
			return ""
		}
		return hex.EncodeToString(d.md5s)
	}
	if !strings.HasSuffix(v.ETag, fmt.Sprintf("-%d", len(d.sizes))) {
		return "" // its parts are not known
	}
	sum := md5.Sum(d.md5s)
	return fmt.Sprintf("%x-%d", sum, len(d.sizes))
}
