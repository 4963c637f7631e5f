package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// Copy makes an object of another one, or anew of itself. (CopyObject in the
// S3 API reference.)
//
// What is copied is the version that the caller has found, and was authorized
// for. Where that was replaced or deleted before the copy could refer to its
// blobs, Copy returns ErrSourceReplaced and has changed nothing: the caller
// authorizes the request for the version that is there now, and repeats it.
// Only a source that the caller has not looked at is looked up again here.
func (s *Store) Copy(ctx context.Context, b *meta.Bucket, key string, in CopyInput) (*CopyResult, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		result, err := s.copyOnce(ctx, b, key, in)
		if !errors.Is(err, errReplaced) || in.SourceVersion != "" {
			return result, err
		}
		if in.SourceFound != nil || try == maxTries {
			return nil, &s3err.Error{Code: s3err.SlowDown, Message: "The source was changed while it was copied; please try again", Err: ErrSourceReplaced}
		}
		if err := BackOff(ctx, try); err != nil {
			return nil, err
		}
	}
}

// errReplaced says that the source of a copy was deleted or overwritten before
// the copy referred to its blobs.
var errReplaced = errors.New("the source was replaced meanwhile")

func (s *Store) copyOnce(ctx context.Context, b *meta.Bucket, key string, in CopyInput) (*CopyResult, error) {
	sb, src, seal, err := s.source(ctx, in.SourceFound, in.Source, in.SourceKey, in.SourceVersion, &in.SourceConditions, in.SourceKeySSEC)
	if err != nil {
		return nil, err
	}
	itself := sb.ID == b.ID && in.SourceKey == key
	if itself && in.changesNothing(src) {
		return nil, fail(s3err.InvalidRequest, "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if src.Size > MaxPutBytes {
		return nil, fail(s3err.InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(MaxPutBytes))
	}
	in.inherit(src)
	src, release, err := s.whole(ctx, sb.ID, in.SourceKey, src)
	if err != nil {
		return nil, err
	}
	defer release()
	v, to, err := s.newVersion(b, key, in.Attributes)
	if err != nil {
		return nil, err
	}
	var result *PutResult
	same := s.sameBytes(b, src, v, in.Checksum.Algorithm)
	switch {
	// A null version made of another one than the null version that it
	// replaces would concern two old versions: one read names one.
	case itself && same && (src.Null || !v.Null):
		result, err = s.recopy(ctx, b, key, src, v, &in.Conditions)
	case !itself && same && shareable(sb, src, b):
		result, err = s.copyByReference(ctx, sb, src, b, key, v, &in)
	default:
		result, err = s.copyBytes(ctx, sb.ID, b, key, src, seal, v, to, in)
	}
	if err != nil {
		return nil, err
	}
	return &CopyResult{PutResult: *result, SourceVersionID: VersionID(sb, src)}, nil
}

// source finds what is to be copied.
func (s *Store) source(ctx context.Context, found *Found, b *meta.Bucket, key, version string, c *Conditions, customer EncryptionRequest) (*meta.Bucket, *meta.Version, *sealer, error) {
	var err error
	if found == nil {
		found, err = s.Find(ctx, b, key, version)
	}
	if err != nil {
		if e, ok := err.(*s3err.Error); ok && e.Code == s3err.MethodNotAllowed { // a delete marker, by its id
			err = fail(s3err.InvalidRequest, "The source of a copy request may not specifically refer to a delete marker by version id.")
		}
		return nil, nil, nil, err
	}
	b, v := found.Bucket, found.Version
	if err := c.source(v); err != nil {
		return nil, nil, nil, err
	}
	seal, err := s.openSealer(b, key, v.Encryption, customer)
	return b, v, seal, err
}

// changesNothing reports a copy of an object onto itself that would leave
// everything as it was.
func (in *CopyInput) changesNothing(src *meta.Version) bool {
	// A class that is named counts as a change, even if it is the object's.
	return in.SourceVersion == "" && !in.ReplaceMetadata && in.Class == "" && src.Class == ClassStandard && in.Headers[redirectHeader] == "" &&
		in.Encryption.Type == "" && in.Encryption.CustomerKey == nil && in.Checksum.Algorithm == ""
}

// inherit takes over from the source what the request does not replace.
func (in *CopyInput) inherit(src *meta.Version) {
	if !in.ReplaceMetadata {
		redirect := in.Headers[redirectHeader]
		in.Headers, in.Metadata = map[string]string{}, src.Metadata
		for k, v := range src.Headers {
			if k != redirectHeader {
				in.Headers[k] = v
			}
		}
		if redirect != "" {
			in.Headers[redirectHeader] = redirect
		}
	}
	if !in.ReplaceTags {
		in.Tags = src.Tags
	}
	if in.Checksum.Algorithm == "" && src.Checksum != nil {
		in.Checksum.Algorithm = src.Checksum.Algorithm
	}
}

// sameBytes reports whether v, of the same key of b as src, can refer to src's
// blobs: they are in the right store and encrypted in the way that v asks for.
func (s *Store) sameBytes(b *meta.Bucket, src, v *meta.Version, checksum string) bool {
	if checksum != "" && (src.Checksum == nil || src.Checksum.Algorithm != checksum) || !wholeIsKnown(src) {
		return false
	}
	if (src.Encryption == nil) != (v.Encryption == nil) || s.classesOf(b)[src.Class] != s.classesOf(b)[v.Class] {
		return false
	}
	// SSE-C has a key of its own for each version.
	return v.Encryption == nil || v.Encryption.Type != SSEC && v.Encryption.Type == src.Encryption.Type &&
		v.Encryption.KMSKeyID == src.Encryption.KMSKeyID && v.Encryption.Context == src.Encryption.Context
}

// recopy makes v current with the body of src, an earlier version of the same
// key, without copying a byte.
func (s *Store) recopy(ctx context.Context, b *meta.Bucket, key string, src, v *meta.Version, conditions *Conditions) (*PutResult, error) {
	v.Size, v.ETag, v.Checksum, v.Encryption = src.Size, src.ETag, src.Checksum, src.Encryption
	v.Inline, v.Payload, v.Segments, v.Parts, v.Upload = src.Inline, src.Payload, src.Segments, src.Parts, src.Upload
	if err := wholeChecksum(v); err != nil {
		return nil, err
	}
	read := meta.ReadOptions{Seq: src.Seq}
	err := s.change(ctx, b, key, read, nil, func(h *meta.Head) (*mutation, error) {
		if h.Named == nil || !sameBlobs(h.Named, src) { // deleted, overwritten or appended to meanwhile
			e := noSuchKey(key)
			e.Err = errReplaced
			return nil, e
		}
		if err := conditions.write(h.Current()); err != nil {
			return nil, err
		}
		v.Seq, v.Modified = 0, 0
		m := &mutation{put: []*meta.Version{v}}
		if v.Null && h.NullSeq != 0 && h.NullSeq != src.Seq {
			return nil, meta.ErrConflict // another null version than the one read
		}
		return m, replaceNull(h, v, m)
	})
	if err != nil {
		return nil, err
	}
	return resultOf(b, v), nil
}

// minShared is the size from which on a copy to another key refers to its
// source's blobs: below, keeping account of the references costs more than
// the bytes do.
const minShared = 1 << 20

// shareable reports whether an object in b may refer to the blobs of src, a
// version of a key of sb, where it is the same bytes (sameBytes). The
// references lie in one region's metadata.
func shareable(sb *meta.Bucket, src *meta.Version, b *meta.Bucket) bool {
	return !src.Inline && src.Size >= minShared && sb.Config.Region == b.Config.Region
}

// copyByReference makes v, at key of b, of the blobs of src, without copying a byte.
func (s *Store) copyByReference(ctx context.Context, sb *meta.Bucket, src *meta.Version, b *meta.Bucket, key string, v *meta.Version, in *CopyInput) (*PutResult, error) {
	if err := s.precheck(ctx, b, key, &in.Conditions); err != nil {
		return nil, err
	}
	if err := s.takeBody(sb, in.SourceKey, src, b, key, v); err != nil {
		return nil, err
	}
	l, err := s.shareBlobs(ctx, sb, in.SourceKey, src, b, key)
	if err != nil {
		return nil, err
	}
	h, err := s.read(ctx, sb, in.SourceKey, meta.ReadOptions{Seq: src.Seq})
	if err != nil {
		return nil, err
	}
	if h.Named == nil || !sameBlobs(h.Named, src) {
		e := noSuchKey(in.SourceKey)
		e.Err = errReplaced
		return nil, e
	}
	if err := wholeChecksum(v); err != nil {
		return nil, err
	}
	v.Segments = l.segments
	return s.commitVersion(ctx, b, key, v, &received{guard: l.guard, shared: true}, &in.Conditions)
}

// takeBody makes v the version, at key of b, that has the body of src and all
// that goes with that, but for the references to its blobs. The data key is
// the same; it is wrapped for the other key.
func (s *Store) takeBody(sb *meta.Bucket, srcKey string, src *meta.Version, b *meta.Bucket, key string, v *meta.Version) error {
	v.Size, v.ETag, v.Checksum, v.Encryption = src.Size, src.ETag, src.Checksum, src.Encryption
	v.Inline, v.Payload, v.Parts, v.Appends = src.Inline, src.Payload, src.Parts, src.Appends
	if e := src.Encryption; e != nil && e.Type != SSEC {
		bound := *e
		var err error
		bound.DataKey, bound.KeyID, err = s.ring.Rebind(e.KeyID, e.DataKey, keyContext(sb, srcKey), keyContext(b, key))
		if err != nil {
			return keyError(err, e.KeyID)
		}
		v.Encryption = &bound
	}
	return nil
}

// wholeIsKnown reports whether the checksum of the whole object can be had
// without reading it: a composite one tells it if it is a CRC.
func wholeIsKnown(v *meta.Version) bool {
	if v.Checksum == nil || v.Checksum.Type != Composite {
		return true
	}
	_, bits := crcPolynomial(v.Checksum.Algorithm)
	return bits != 0 && len(v.Parts) > 0 && !slices.ContainsFunc(v.Parts, func(p meta.PartInfo) bool { return p.Checksum == nil })
}

// wholeChecksum gives the copy of an object with a composite checksum that of
// the whole object.
func wholeChecksum(v *meta.Version) error {
	if v.Checksum == nil || v.Checksum.Type != Composite {
		return nil
	}
	parts := make([]meta.Part, len(v.Parts))
	for i, p := range v.Parts {
		parts[i] = meta.Part{Number: p.Number, Size: p.Size, Checksum: p.Checksum}
	}
	whole, err := joinCRCs(v.Checksum.Algorithm, parts)
	v.Checksum = whole
	return err
}

// copyBytes reads src and stores it as v.
func (s *Store) copyBytes(ctx context.Context, sb meta.BucketID, b *meta.Bucket, key string, src *meta.Version, from *sealer, v *meta.Version, to *sealer, in CopyInput) (*PutResult, error) {
	if err := s.precheck(ctx, b, key, &in.Conditions); err != nil {
		return nil, err
	}
	body, err := s.body(ctx, sb, in.SourceKey, src, from, 0, src.Size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	r, err := s.receive(ctx,
		target{bucket: b, key: key, class: v.Class, seal: to, inline: true, maxBytes: MaxPutBytes},
		incoming{body: body, size: src.Size, checksum: in.Checksum})
	if err != nil {
		return nil, err
	}
	r.applyTo(v, to)
	return s.commitVersion(ctx, b, key, v, r, &in.Conditions)
}

// UploadPartCopy makes a part of an object, or of a range of one.
// (UploadPartCopy in the S3 API reference.)
func (s *Store) UploadPartCopy(ctx context.Context, b *meta.Bucket, key string, in PartCopyInput) (*PartResult, error) {
	sb, src, seal, err := s.source(ctx, in.SourceFound, in.Source, in.SourceKey, in.SourceVersion, &in.SourceConditions, in.SourceKeySSEC)
	if err != nil {
		return nil, err
	}
	offset, length := int64(0), src.Size
	if r := in.Range; r != nil {
		if r.First < 0 || r.Last < r.First || r.Last >= src.Size {
			return nil, outOfRange(src.Size)
		}
		offset, length = r.First, r.Last-r.First+1
	}
	if length > MaxPartBytes {
		return nil, fail(s3err.InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(MaxPartBytes))
	}
	body, err := s.body(ctx, sb.ID, in.SourceKey, src, seal, offset, length)
	if errors.Is(err, errReplaced) {
		return nil, replacedSource()
	}
	if err != nil {
		return nil, err
	}
	defer body.Close()
	result, err := s.UploadPart(ctx, b, key, PartInput{UploadID: in.UploadID, Number: in.Number, Body: body, Size: length, CustomerKey: in.CustomerKey})
	if err != nil {
		return nil, err
	}
	result.SourceVersionID = VersionID(sb, src)
	return result, nil
}
