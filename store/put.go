package store

import (
	"context"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// checkKey refuses keys that S3 does not allow: a key is 1 to 1,024 bytes of
// UTF-8. KeyTooLongError, InvalidURI.
func checkKey(key string) error {
	switch {
	case len(key) > MaxKeyBytes:
		return s3err.New(s3err.KeyTooLongError)
	case key == "" || !utf8.ValidString(key):
		return fail(s3err.InvalidURI, "The specified key is not valid: a key is 1 to 1024 bytes of UTF-8")
	}
	return nil
}

// newVersion returns the version that the attributes describe, without a body,
// and how its body is to be encrypted. InvalidStorageClass, MetadataTooLarge,
// InvalidArgument, InvalidRequest, AccessDenied, KMS.NotFoundException.
func (s *Store) newVersion(b *meta.Bucket, key string, a Attributes) (*meta.Version, *sealer, error) {
	if a.Class == "" {
		a.Class = ClassStandard
	}
	if _, _, err := s.blobStore(b, a.Class); err != nil {
		return nil, nil, err
	}
	if err := checkAttributes(a); err != nil {
		return nil, nil, err
	}
	seal, err := s.newSealer(b, key, a.Encryption)
	if err != nil {
		return nil, nil, err
	}
	v := &meta.Version{
		Null: b.Config.Versioning != VersioningEnabled, Owner: a.Owner, Class: a.Class,
		Headers: a.Headers, Metadata: a.Metadata, Tags: a.Tags, ACL: a.ACL,
		Retention: a.Retention, LegalHold: a.LegalHold, LegalHoldReleased: a.LegalHoldReleased, Encryption: seal.encryption(),
	}
	return v, seal, s.applyLock(b, v)
}

// checkAttributes enforces S3's limits of headers and metadata. Each request for
// an object reads its version whole, so all fields of a version have a limit.
// The limits of tags, grants and encryption keys are enforced where those are
// parsed.
func checkAttributes(a Attributes) error {
	user, system := 0, 0
	for k, v := range a.Metadata {
		user += len(k) + len(v)
	}
	for k, v := range a.Headers {
		if k == redirectHeader {
			if len(v) > MaxMetadataBytes {
				return fail(s3err.MetadataTooLarge, "The website redirect location exceeds the maximum allowed size")
			}
			continue
		}
		system += len(k) + len(v)
	}
	switch {
	case user > MaxMetadataBytes:
		return fail(s3err.MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size")
	case system > MaxMetadataBytes:
		return fail(s3err.MetadataTooLarge, "The system-defined metadata (Content-Type and the like) exceeds the maximum allowed size")
	case len(a.Encryption.Context) > MaxMetadataBytes:
		return fail(s3err.InvalidArgument, "The encryption context exceeds %d bytes", MaxMetadataBytes)
	}
	return nil
}

// redirectHeader is the one system header that has a limit of its own.
const redirectHeader = "X-Amz-Website-Redirect-Location"

// Put stores an object. (PutObject in the S3 API reference.)
//
//  1. Check the request, and make the version without its body (newVersion).
//  2. Without conditions: begin the write while the body arrives (prepareWrite).
//     With conditions: evaluate them now, so that the client is spared sending a
//     body in vain (precheck).
//  3. Receive the body: hash, encrypt, store it in the row or as a blob (receive).
//  4. Make the version current (commitVersion), where the conditions count.
//
// Errors: KeyTooLongError, InvalidURI, InvalidStorageClass, MetadataTooLarge,
// InvalidArgument, InvalidRequest, AccessDenied (encryption type blocked, or the
// object is locked), KMS.NotFoundException, PreconditionFailed, NoSuchKey
// (If-Match without an object), EntityTooLarge, IncompleteBody, BadDigest,
// InvalidWriteOffset (append), NoSuchBucket, OperationAborted, SlowDown
// ([ErrBucketRecreated], or the upload took longer than Options.GCGrace); and
// the errors of in.Body.
func (s *Store) Put(ctx context.Context, b *meta.Bucket, key string, in PutInput) (*PutResult, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if in.Offset != nil {
		return s.append(ctx, b, key, in)
	}
	if in.Checksum.Algorithm == "" {
		in.Checksum.Algorithm = defaultChecksum
	}
	v, seal, err := s.newVersion(b, key, in.Attributes)
	if err != nil {
		return nil, err
	}
	if err := needDigest("Put Object", b, v, in.ContentMD5, in.Checksum); err != nil {
		return nil, err
	}
	w := write{bucket: b, key: key, version: v, conditions: &in.Conditions}
	if in.Conditions.empty() && b.Config.Versioning == "" {
		w.prepared = s.prepareWrite(ctx, b, key, in.Size)
	} else if err := s.precheck(ctx, b, key, &in.Conditions); err != nil {
		return nil, err
	}
	w.body, err = s.receive(ctx,
		target{bucket: b, key: key, class: v.Class, seal: seal, inline: true, maxBytes: MaxPutBytes},
		incoming{body: in.Body, size: in.Size, md5: in.ContentMD5, checksum: in.Checksum})
	if err != nil {
		w.prepared.cancel(ctx)
		return nil, err
	}
	w.body.applyTo(v, seal)
	result, err := s.commitVersion(ctx, w)
	if errors.Is(err, ErrBucketRecreated) && in.Reauthorize != nil {
		result, err = s.putInRecreated(ctx, w, seal, in.Reauthorize)
		s.discard(w.body)
		return result, err
	}
	s.discardAfter(err, w.body)
	return result, err
}

// applyTo makes v a version with this body.
func (r *received) applyTo(v *meta.Version, seal *sealer) {
	v.Size, v.ETag, v.Checksum = r.size, seal.etag(r.md5), r.checksum
	v.Inline, v.Payload, v.Segments = r.inline, r.payload, []meta.Segment{r.segment}
}

// write is a new version of a key whose body is stored.
type write struct {
	bucket     *meta.Bucket
	key        string
	version    *meta.Version
	body       *received
	conditions *Conditions
	prepared   *preparedWrite // nil if nothing was prepared
}

// commitVersion makes w.version the current version of its key. After an error
// the caller discards the body (discardAfter).
func (s *Store) commitVersion(ctx context.Context, w write) (*PutResult, error) {
	b, err := s.reloadBucket(ctx, w.bucket)
	if err != nil {
		w.prepared.cancel(ctx)
		return nil, err
	}
	v := w.version
	v.Null = b.Config.Versioning != VersioningEnabled
	err = s.change(ctx, b, w.key, readForPut(b), w.prepared, func(h *meta.Head) (*mutation, error) {
		if err := w.conditions.write(h.Current()); err != nil {
			return nil, err
		}
		s.newKeys.observe(b.ID, h.Rev == 0)
		v.Seq, v.Modified = 0, 0
		m := &mutation{put: []*meta.Version{v}, guard: w.body.guard}
		return m, replaceNull(h, v, m)
	})
	if err != nil {
		return nil, err
	}
	s.releaseGuard(w.body)
	return resultOf(b, v), nil
}

// reloadBucket returns the bucket b with its current settings, which may be as
// old as Options.BucketCache. A body may take hours to arrive, and the settings
// at its end decide what the new version replaces. NoSuchBucket,
// [ErrBucketRecreated].
func (s *Store) reloadBucket(ctx context.Context, b *meta.Bucket) (*meta.Bucket, error) {
	now, err := s.Bucket(ctx, b.Name)
	if err == nil && now.ID != b.ID {
		return nil, errRecreated(b)
	}
	return now, err
}

// readForPut reads the null version too where a write replaces it: in a bucket
// with suspended versioning.
func readForPut(b *meta.Bucket) meta.ReadOptions {
	return meta.ReadOptions{Limit: headVersions, Null: b.Config.Versioning == VersioningSuspended}
}

// replaceNull adds to m the removal of the null version, if v is a null version.
// AccessDenied if that is locked.
func replaceNull(h *meta.Head, v *meta.Version, m *mutation) error {
	if !v.Null || h.NullSeq == 0 {
		return nil
	}
	old := h.Named
	if old == nil || old.Seq != h.NullSeq {
		i := slices.IndexFunc(h.Versions, func(o meta.Version) bool { return o.Seq == h.NullSeq })
		if i < 0 {
			return nil
		}
		old = &h.Versions[i]
	}
	if err := lockedAgainst(old, false, time.Time{}); err != nil {
		return err
	}
	m.remove = append(m.remove, *old)
	return nil
}

func resultOf(b *meta.Bucket, v *meta.Version) *PutResult {
	return &PutResult{ETag: v.ETag, VersionID: VersionID(b, v), Size: v.Size, Modified: time.UnixMicro(v.Modified).UTC(),
		Checksum: v.Checksum, Encryption: v.Encryption}
}

// precheck evaluates a write's conditions before its body is read. The commit
// evaluates them again; only that counts. PreconditionFailed, NoSuchKey.
func (s *Store) precheck(ctx context.Context, b *meta.Bucket, key string, c *Conditions) error {
	if c.empty() {
		return nil
	}
	h, err := s.read(ctx, b, key, meta.ReadOptions{})
	if err != nil {
		return err
	}
	err = c.write(h.Current())
	if isMissing(err) {
		err = s.orRecreated(ctx, b, err)
	}
	return err
}
