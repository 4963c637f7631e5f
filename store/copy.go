package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// Copy makes an object of a version of another key, or of the same key. It moves
// no bytes if the result can have the same blobs. (CopyObject in the S3 API
// reference.)
//
// It copies the version that the caller has found and was authorized for
// (in.SourceFound). If that version is replaced or deleted before the copy refers
// to its blobs, Copy returns [ErrSourceReplaced] and has changed nothing: the
// caller authorizes the request for the version that is there now, and repeats
// it. A source that the caller has not found is found again here instead.
//
// Errors: those of [Store.Put] except the ones of a body, and those of [Store.Get]
// for the source; InvalidRequest if nothing would change, if the source is larger
// than 5 GiB, or is a delete marker; PreconditionFailed for both keys'
// conditions; SlowDown with ErrSourceReplaced.
func (s *Store) Copy(ctx context.Context, b *meta.Bucket, key string, in CopyInput) (*CopyResult, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		result, err := s.copyOnce(ctx, b, key, in)
		damaged := damage(err)
		if !errors.Is(err, errReplaced) || in.SourceVersion != "" && damaged == nil {
			return result, err
		}
		if damaged != nil && (in.SourceFound != nil || try >= damageTries) {
			return nil, damaged
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

// source is a version that is copied.
type source struct {
	bucket  *meta.Bucket
	key     string
	version *meta.Version
	seal    *sealer // of its body
}

// replaced is the error of a source whose blobs may be gone.
func (src *source) replaced() error {
	e := noSuchKey(src.key)
	e.Err = errReplaced
	return e
}

func (s *Store) copyOnce(ctx context.Context, b *meta.Bucket, key string, in CopyInput) (*CopyResult, error) {
	src, err := s.findSource(ctx, &in)
	if err != nil {
		return nil, err
	}
	itself := src.bucket.ID == b.ID && in.SourceKey == key
	if itself && in.changesNothing(src.version) {
		return nil, fail(s3err.InvalidRequest, "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	if src.version.Size > MaxPutBytes {
		return nil, fail(s3err.InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(MaxPutBytes))
	}
	in.inherit(src.version)
	whole, release, err := s.whole(ctx, src.bucket.ID, src.key, src.version)
	if err != nil {
		return nil, err
	}
	defer release()
	src.version = whole
	v, seal, err := s.newVersion(b, key, in.Attributes)
	if err != nil {
		return nil, err
	}
	w := write{bucket: b, key: key, version: v, conditions: &in.Conditions}
	var result *PutResult
	same := s.sameBytes(b, src.version, v, in.Checksum.Algorithm)
	switch {
	// A null version made of another version than the null version that it
	// replaces would need two old versions. One read returns one by its id.
	case itself && same && (src.version.Null || !v.Null):
		result, err = s.copyToItself(ctx, src, w)
	case !itself && same && shareable(src, b):
		result, err = s.copyByReference(ctx, src, w)
	default:
		result, err = s.copyBytes(ctx, src, w, seal, in.Checksum)
	}
	if err != nil {
		return nil, err
	}
	return &CopyResult{PutResult: *result, SourceVersionID: VersionID(src.bucket, src.version)}, nil
}

// findSource finds the version to be copied, evaluates the conditions on it, and
// opens its data key.
func (s *Store) findSource(ctx context.Context, in *CopyInput) (*source, error) {
	found := in.SourceFound
	if found == nil {
		var err error
		if found, err = s.Find(ctx, in.Source, in.SourceKey, in.SourceVersion); err != nil {
			if s3err.CodeOf(err) == s3err.MethodNotAllowed { // a delete marker, by its id
				err = fail(s3err.InvalidRequest, "The source of a copy request may not specifically refer to a delete marker by version id.")
			}
			return nil, err
		}
	}
	if err := in.SourceConditions.source(found.Version); err != nil {
		return nil, err
	}
	seal, err := s.openSealer(found.Bucket, in.SourceKey, found.Version.Encryption, in.SourceKeySSEC)
	if err != nil {
		return nil, err
	}
	return &source{found.Bucket, in.SourceKey, found.Version, seal}, nil
}

// changesNothing reports whether a copy of an object onto itself would leave
// everything as it was.
func (in *CopyInput) changesNothing(src *meta.Version) bool {
	// A class that is named counts as a change, even if it is the object's.
	return in.SourceVersion == "" && !in.ReplaceMetadata && in.Class == "" && src.Class == ClassStandard && in.Headers[redirectHeader] == "" &&
		in.Encryption.Type == "" && in.Encryption.CustomerKey == nil && in.Checksum.Algorithm == ""
}

// inherit takes from the source what the request does not replace.
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

// copyToItself makes w.version current with the body of src, an earlier version
// of the same key, without copying a byte.
func (s *Store) copyToItself(ctx context.Context, src *source, w write) (*PutResult, error) {
	old, v := src.version, w.version
	v.Size, v.ETag, v.Checksum, v.Encryption = old.Size, old.ETag, old.Checksum, old.Encryption
	v.Inline, v.Payload, v.Segments, v.Parts, v.Upload = old.Inline, old.Payload, old.Segments, old.Parts, old.Upload
	if err := wholeChecksum(v); err != nil {
		return nil, err
	}
	read := meta.ReadOptions{Seq: old.Seq}
	err := s.change(ctx, w.bucket, w.key, read, nil, func(h *meta.Head) (*mutation, error) {
		if h.Named == nil || !sameBlobs(h.Named, old) { // deleted, overwritten or appended to meanwhile
			return nil, src.replaced()
		}
		if err := w.conditions.write(h.Current()); err != nil {
			return nil, err
		}
		v.Seq, v.Modified = 0, 0
		m := &mutation{put: []*meta.Version{v}}
		if v.Null && h.NullSeq != 0 && h.NullSeq != old.Seq {
			return nil, meta.ErrConflict // another null version than the one read
		}
		return m, replaceNull(h, v, m)
	})
	if err != nil {
		return nil, err
	}
	return resultOf(w.bucket, v), nil
}

// minShared is the size, in bytes, from which on a copy to another key refers to
// its source's blobs. Below it the references cost more than copying.
const minShared = 1 << 20

// shareable reports whether an object in b may refer to the blobs of src, if it
// has the same bytes (sameBytes). The references are in one region's metadata.
func shareable(src *source, b *meta.Bucket) bool {
	return !src.version.Inline && src.version.Size >= minShared && src.bucket.Config.Region == b.Config.Region
}

// copyByReference makes w.version refer to the blobs of src, without copying a
// byte.
func (s *Store) copyByReference(ctx context.Context, src *source, w write) (*PutResult, error) {
	if err := s.precheck(ctx, w.bucket, w.key, w.conditions); err != nil {
		return nil, err
	}
	if err := s.takeBody(*src, w.bucket, w.key, w.version); err != nil {
		return nil, err
	}
	body, err := s.shareBlobs(ctx, *src, w.bucket, w.key)
	if err != nil {
		return nil, err
	}
	h, err := s.read(ctx, src.bucket, src.key, meta.ReadOptions{Seq: src.version.Seq})
	if err != nil {
		return nil, err
	}
	if h.Named == nil || !sameBlobs(h.Named, src.version) {
		return nil, src.replaced()
	}
	if err := wholeChecksum(w.version); err != nil {
		return nil, err
	}
	w.version.Segments = body.segments
	w.body = &received{guard: body.guard, shared: true}
	return s.commitVersion(ctx, w)
}

// takeBody gives v, which is written to key of b, the body of src and all that
// belongs to it, except the segments. The data key stays the same, and is wrapped
// for the other key.
func (s *Store) takeBody(src source, b *meta.Bucket, key string, v *meta.Version) error {
	old := src.version
	v.Size, v.ETag, v.Checksum, v.Encryption = old.Size, old.ETag, old.Checksum, old.Encryption
	v.Inline, v.Payload, v.Parts, v.Appends = old.Inline, old.Payload, old.Parts, old.Appends
	if e := old.Encryption; e != nil && e.Type != SSEC {
		bound := *e
		var err error
		bound.DataKey, bound.KeyID, err = s.ring.Rebind(e.KeyID, e.DataKey, keyContext(src.bucket, src.key), keyContext(b, key))
		if err != nil {
			return keyError(err, e.KeyID)
		}
		v.Encryption = &bound
	}
	return nil
}

// wholeIsKnown reports whether the checksum of the whole object can be
// computed without reading it: from the CRCs of its parts, if it has those.
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

// copyBytes reads the body of src and stores it as that of w.version, encrypted
// by seal.
func (s *Store) copyBytes(ctx context.Context, src *source, w write, seal *sealer, checksum ChecksumRequest) (*PutResult, error) {
	if err := s.precheck(ctx, w.bucket, w.key, w.conditions); err != nil {
		return nil, err
	}
	body, err := s.body(ctx, *src, 0, src.version.Size)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	w.body, err = s.receive(ctx,
		target{bucket: w.bucket, key: w.key, class: w.version.Class, seal: seal, inline: true, maxBytes: MaxPutBytes},
		incoming{body: body, size: src.version.Size, checksum: checksum})
	if err != nil {
		return nil, err
	}
	w.body.applyTo(w.version, seal)
	result, err := s.commitVersion(ctx, w)
	s.discardAfter(err, w.body)
	return result, err
}

// UploadPartCopy makes a part of an object, or of a range of one.
// (UploadPartCopy in the S3 API reference.)
//
// Errors: those of [Store.UploadPart] except the ones of a body, and those of
// [Store.Get] for the source; InvalidRange; InvalidRequest if the range is larger
// than 5 GiB or the source is a delete marker.
func (s *Store) UploadPartCopy(ctx context.Context, b *meta.Bucket, key string, in PartCopyInput) (*PartResult, error) {
	src, err := s.findSource(ctx, &CopyInput{Source: in.Source, SourceKey: in.SourceKey, SourceVersion: in.SourceVersion,
		SourceConditions: in.SourceConditions, SourceKeySSEC: in.SourceKeySSEC, SourceFound: in.SourceFound})
	if err != nil {
		return nil, err
	}
	size := src.version.Size
	offset, length := int64(0), size
	if r := in.Range; r != nil {
		if r.First < 0 || r.Last < r.First || r.Last >= size {
			return nil, outOfRange(size)
		}
		offset, length = r.First, r.Last-r.First+1
	}
	if length > MaxPartBytes {
		return nil, fail(s3err.InvalidRequest, "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(MaxPartBytes))
	}
	body, err := s.body(ctx, *src, offset, length)
	if err != nil {
		return nil, replacedIn(err)
	}
	defer body.Close()
	result, err := s.UploadPart(ctx, b, key, PartInput{UploadID: in.UploadID, Number: in.Number, Body: body, Size: length, CustomerKey: in.CustomerKey})
	if err != nil {
		return nil, err
	}
	result.SourceVersionID = VersionID(src.bucket, src.version)
	return result, nil
}
