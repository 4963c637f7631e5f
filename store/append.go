package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// maxAppends is the limit of S3 Express: how often an object can be appended to.
const maxAppends = 10000

// append adds a body to the end of an object. in.Offset must be the object's size.
// (PutObject with x-amz-write-offset-bytes in the S3 API reference.)
//
// Errors: those of Put; InvalidWriteOffset; InvalidRequest for a versioned bucket,
// for attributes that only a new object can have, for a composite checksum, and
// after maxAppends appends.
func (s *Store) append(ctx context.Context, b *meta.Bucket, key string, in PutInput) (*PutResult, error) {
	if b.Config.Versioning != "" {
		return nil, fail(s3err.InvalidRequest, "Appending works in buckets without versioning only")
	}
	read := meta.ReadOptions{Payload: true}
	h, err := s.read(ctx, b, key, read)
	if err != nil {
		return nil, err
	}
	old := h.Current()
	if err := appendable(old, *in.Offset, &in.Conditions); err != nil {
		if old == nil {
			err = s.orRecreated(ctx, b, err)
		}
		return nil, err
	}
	if old != nil && !old.Null {
		return nil, fail(s3err.InvalidRequest, "Appending works in buckets without versioning only")
	}
	if old == nil { // offset 0 creates
		in.Offset, in.Conditions, in.Reauthorize = nil, Conditions{IfNoneMatch: []string{"*"}}, nil
		return s.Put(ctx, b, key, in)
	}
	if err := in.addsOnlyBytes(old); err != nil {
		return nil, err
	}
	if err := mayUpload(b, old); err != nil {
		return nil, err
	}
	seal, err := s.openSealer(b, key, old.Encryption, in.Encryption)
	if err != nil {
		return nil, err
	}
	r, err := s.receiveAppend(ctx, b, key, old, seal, in)
	if err != nil {
		return nil, err
	}
	var v meta.Version
	err = s.change(ctx, b, key, read, nil, func(h *meta.Head) (*mutation, error) {
		cur := h.Current()
		if err := appendable(cur, *in.Offset, &in.Conditions); err != nil {
			return nil, err
		}
		if cur == nil || !sameBlobs(cur, old) {
			return nil, fail(s3err.InvalidWriteOffset, "The object was replaced meanwhile")
		}
		if err := lockedAgainst(cur, false, s.now()); err != nil {
			return nil, err
		}
		if v, err = s.extended(ctx, b.ID, key, cur, r); err != nil {
			return nil, err
		}
		if v.Size > MaxObjectBytes {
			return nil, tooLarge(v.Size, MaxObjectBytes)
		}
		m := &mutation{put: []*meta.Version{&v}, guard: r.guard}
		if v.Seq == 0 {
			m.remove = []meta.Version{*cur}
		}
		return m, nil
	})
	if err != nil {
		s.discardAfter(err, r)
		return nil, err
	}
	s.releaseGuard(r)
	return resultOf(b, &v), nil
}

// addsOnlyBytes refuses attributes that an append would have to ignore, since they
// were set when the object was created. System headers such as Content-Type are
// accepted and ignored: clients send them without being told to.
func (in *PutInput) addsOnlyBytes(old *meta.Version) error {
	sameKey := in.Encryption.Type == "" || in.Encryption.Describes(old.Encryption)
	switch {
	case len(in.Metadata) > 0, len(in.Tags) > 0, in.Retention != nil, in.LegalHold, in.LegalHoldReleased:
		return fail(s3err.InvalidRequest, "Metadata, tags and object lock cannot be set by an append")
	case len(in.ACL.Grants) > 0, in.Headers["X-Amz-Website-Redirect-Location"] != "":
		return fail(s3err.InvalidRequest, "ACL and redirect location cannot be set by an append")
	case in.Class != "" && in.Class != old.Class:
		return fail(s3err.InvalidRequest, "The storage class of an object cannot be changed by an append")
	case !sameKey:
		return fail(s3err.InvalidRequest, "The encryption of an object cannot be changed by an append")
	}
	return nil
}

// appendable evaluates the conditions of an append to v, nil if there is no object.
func appendable(v *meta.Version, offset int64, c *Conditions) error {
	if err := c.write(v); err != nil {
		return err
	}
	size := int64(0)
	if v != nil {
		size = v.Size
		if v.CountParts() > 0 && v.Checksum != nil && v.Checksum.Type == Composite {
			return fail(s3err.InvalidRequest, "An object with a composite checksum cannot be appended to")
		}
		if v.Appends >= maxAppends {
			return fail(s3err.InvalidRequest, "The object has reached the limit of %d appends", maxAppends)
		}
	}
	if offset != size {
		return fail(s3err.InvalidWriteOffset, "The write offset value that you specified does not match the current object size.").With("ObjectSize", fmt.Sprint(size))
	}
	return nil
}

// receiveAppend stores the body to append. The bytes of an inline object are
// stored again, together with the new ones.
func (s *Store) receiveAppend(ctx context.Context, b *meta.Bucket, key string, old *meta.Version, seal *sealer, in PutInput) (*received, error) {
	body, size := in.Body, in.Size
	t := target{bucket: b, key: key, class: old.Class, seal: seal, maxBytes: MaxPutBytes, inline: old.Inline}
	request := in.Checksum
	if !old.Inline {
		return s.receive(ctx, t, incoming{body: body, size: size, md5: in.ContentMD5, checksum: request})
	}
	// The client's digests are of the bytes that it sends, not of those that are
	// stored: a summingReader checks them.
	src, err := s.body(ctx, source{b, key, old, seal}, 0, old.Size)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	head, err := io.ReadAll(src)
	if err != nil {
		return nil, err
	}
	sums, err := newSums(request.Algorithm)
	if err != nil {
		return nil, err
	}
	checked := &summingReader{body: body, sums: sums, declared: incoming{size: size, md5: in.ContentMD5, checksum: request}}
	if size >= 0 {
		size += int64(len(head))
	}
	return s.receive(ctx, t, incoming{body: io.MultiReader(bytes.NewReader(head), checked), size: size})
}

// summingReader verifies a body against its declared size and digests. It returns
// an error in place of io.EOF.
type summingReader struct {
	body     io.Reader
	sums     *sums
	declared incoming
	size     int64
}

func (r *summingReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.sums.Write(p[:n])
	r.size += int64(n)
	if err == io.EOF {
		got := &received{segment: meta.Segment{Size: r.size}}
		if bad := got.verify(r.sums, r.declared); bad != nil {
			return n, bad
		}
	}
	return n, err
}

// extended returns the version cur with r at its end. A version with pages keeps
// its Seq, and with it the pages: an append costs what it adds, no matter how often
// the object was appended to. Any other version gets a new Seq.
func (s *Store) extended(ctx context.Context, bucket meta.BucketID, key string, cur *meta.Version, r *received) (meta.Version, error) {
	v := *cur
	switch {
	case v.Inline:
		v.Size, v.Inline, v.Payload, v.Segments = r.size, r.inline, r.payload, []meta.Segment{r.segment}
	case v.Pages == nil:
		v.Size += r.size
		v.Segments = append(slices.Clone(v.Segments), r.segment)
	default:
		at := len(v.Pages.Index) - 1
		last, err := s.meta.Pages(ctx, bucket, key, v.Seq, at, 1)
		if err == nil {
			err = v.Pages.Fits(at, &last[0]) // the page is written again: nothing of it may be missing
		}
		if errors.Is(err, meta.ErrNotFound) { // its key has changed since it was read, or is damaged
			return v, fmt.Errorf("%w: %w", meta.ErrConflict, s.goneVersion(ctx, bucket, key, cur, err))
		}
		if err != nil {
			return v, err
		}
		v.Size += r.size
		v.Pages = v.Pages.Appended(last[0], r.segment)
	}
	v.Modified = s.now().UnixMicro()
	if v.Pages == nil {
		v.Seq, v.Modified = 0, 0
	}
	v.Checksum, v.Parts = nil, nil
	v.Appends++
	id := meta.NewID() // the ETag of an appended object is not an MD5
	v.ETag = hex.EncodeToString(id[:])
	return v, nil
}
