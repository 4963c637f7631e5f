package store

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// checkKey holds keys to what S3 allows: 1 to 1,024 bytes of UTF-8.
func checkKey(key string) error {
	switch {
	case len(key) > MaxKeyBytes:
		return s3err.New(s3err.KeyTooLongError)
	case key == "" || !utf8.ValidString(key):
		return fail(s3err.InvalidURI, "The specified key is not valid: a key is 1 to 1024 bytes of UTF-8")
	}
	return nil
}

// newVersion makes the version that attributes describe, without a body.
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

// checkAttributes holds what a version stores beside its body to S3's limits: a
// version is read whole by every request for its object, so all of its fields
// have a limit. Those of tags, grants and keys of encryption are held where they
// are read.
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
	var prepared *preparedWrite
	if in.Conditions.empty() && b.Config.Versioning == "" {
		prepared = s.prepareWrite(ctx, b, key, in.Size)
	} else if err := s.precheck(ctx, b, key, &in.Conditions); err != nil {
		return nil, err
	}
	r, err := s.receive(ctx,
		target{bucket: b, key: key, class: v.Class, seal: seal, inline: true, maxBytes: MaxPutBytes},
		incoming{body: in.Body, size: in.Size, md5: in.ContentMD5, checksum: in.Checksum})
	if err != nil {
		prepared.cancel(ctx)
		return nil, err
	}
	r.applyTo(v, seal)
	result, err := s.commitKeepingBody(ctx, b, key, v, r, &in.Conditions, prepared)
	if isRecreated(err) && in.Reauthorize != nil {
		result, err = s.putInRecreated(ctx, key, in, v, r, seal)
		s.discard(r)
		return result, err
	}
	if err != nil && !unknown(err) {
		s.discard(r)
	}
	return result, err
}

// applyTo makes v a version with this body.
func (r *received) applyTo(v *meta.Version, seal *sealer) {
	v.Size, v.ETag, v.Checksum = r.size, seal.etag(r.md5), r.checksum
	v.Inline, v.Payload, v.Segments = r.inline, r.payload, []meta.Segment{r.segment}
}

// commitVersion makes v, whose body is stored, the current version of key. The body goes
// where that fails.
func (s *Store) commitVersion(ctx context.Context, b *meta.Bucket, key string, v *meta.Version, r *received, conditions *Conditions) (*PutResult, error) {
	result, err := s.commitKeepingBody(ctx, b, key, v, r, conditions, nil)
	if err != nil && !unknown(err) {
		s.discard(r)
	}
	return result, err
}

// commitKeepingBody is place, which leaves the body of a change that failed.
func (s *Store) commitKeepingBody(ctx context.Context, b *meta.Bucket, key string, v *meta.Version, r *received, conditions *Conditions, prepared *preparedWrite) (*PutResult, error) {
	b, err := s.reloadBucket(ctx, b)
	if err != nil {
		prepared.cancel(ctx)
		return nil, err
	}
	v.Null = b.Config.Versioning != VersioningEnabled
	err = s.change(ctx, b, key, readForPut(b), prepared.wait(), func(h *meta.Head) (*mutation, error) {
		if err := conditions.write(h.Current()); err != nil {
			return nil, err
		}
		s.newKeys.observe(b.ID, h.Rev == 0)
		v.Seq, v.Modified = 0, 0
		m := &mutation{put: []*meta.Version{v}, guard: r.guard}
		return m, replaceNull(h, v, m)
	})
	if err != nil {
		return nil, err
	}
	s.releaseGuard(r)
	return resultOf(b, v), nil
}

// reloadBucket is the bucket b as it is set now, or was a moment ago: a body may
// take hours, and what it replaces is decided by the settings at its end.
func (s *Store) reloadBucket(ctx context.Context, b *meta.Bucket) (*meta.Bucket, error) {
	now, err := s.Bucket(ctx, b.Name)
	if err == nil && now.ID != b.ID {
		return nil, errRecreated(b)
	}
	return now, err
}

// readForPut asks for the null version where the bucket's writes replace it.
func readForPut(b *meta.Bucket) meta.ReadOptions {
	return meta.ReadOptions{Limit: 2, Null: b.Config.Versioning == VersioningSuspended}
}

// replaceNull removes the null version that v, a null version too, replaces.
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

// precheck evaluates a write's conditions before its body is read, so that
// the client is spared sending it. What counts is the commit's own evaluation.
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
