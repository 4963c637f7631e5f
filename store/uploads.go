package store

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

func noSuchUpload(id string) error {
	return s3err.New(s3err.NoSuchUpload).With("UploadId", id)
}

// CreateUpload creates a multipart upload. (CreateMultipartUpload in the S3 API
// reference.)
//
// Errors: KeyTooLongError, InvalidURI, InvalidStorageClass, MetadataTooLarge,
// InvalidArgument, InvalidRequest, AccessDenied (encryption type blocked),
// KMS.NotFoundException, NoSuchBucket, [ErrBucketRecreated].
func (s *Store) CreateUpload(ctx context.Context, b *meta.Bucket, key string, in CreateUploadInput) (*meta.Upload, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	kind, err := multipartType(in.Checksum.Algorithm, in.Checksum.Type)
	if err != nil {
		return nil, err
	}
	v, _, err := s.newVersion(b, key, in.Attributes)
	if err != nil {
		return nil, err
	}
	now := s.now()
	u := meta.Upload{ID: meta.NewID(), Bucket: b.ID, Key: key, Rev: meta.NextRev(0, now), State: meta.UploadOpen, Doc: meta.UploadDoc{
		Initiated: now.UnixMicro(), Initiator: in.Owner, Version: *v, ChecksumAlgorithm: in.Checksum.Algorithm, ChecksumType: kind,
	}}
	for try := 0; ; try++ {
		err := s.meta.CreateUpload(ctx, u)
		switch {
		case err == nil:
			return &u, nil
		case errors.Is(err, meta.ErrBucketGone):
			return nil, s.bucketGone(ctx, b)
		case !errors.Is(err, meta.ErrBucketDeleting):
			return nil, err
		}
		if err := s.awaitDeletion(ctx, b, try); err != nil {
			return nil, err
		}
		u.ID = meta.NewID()
	}
}

// Upload returns a multipart upload in any state. NoSuchUpload, NoSuchBucket,
// [ErrBucketRecreated].
func (s *Store) Upload(ctx context.Context, b *meta.Bucket, key, id string) (*meta.Upload, error) {
	uid, err := meta.ParseID(id)
	if err != nil {
		return nil, noSuchUpload(id)
	}
	u, err := s.meta.Upload(ctx, b.ID, key, uid)
	if errors.Is(err, meta.ErrNotFound) {
		return nil, s.orRecreated(ctx, b, noSuchUpload(id))
	}
	if err != nil {
		return nil, err
	}
	return &u, nil
}

// openUpload is Upload for open uploads. NoSuchUpload for others.
func (s *Store) openUpload(ctx context.Context, b *meta.Bucket, key, id string) (*meta.Upload, error) {
	u, err := s.Upload(ctx, b, key, id)
	if err == nil && u.State != meta.UploadOpen {
		return nil, noSuchUpload(id)
	}
	return u, err
}

// checkPartNumber returns InvalidArgument for numbers that no part can have.
func checkPartNumber(n int) error {
	if n < 1 || n > MaxPartNumber {
		return fail(s3err.InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive")
	}
	return nil
}

// UploadPart stores one part. (UploadPart in the S3 API reference.)
//
// Errors: InvalidArgument, NoSuchUpload, InvalidRequest, AccessDenied (encryption
// type blocked), KMS.NotFoundException, InvalidStorageClass, EntityTooLarge,
// IncompleteBody, BadDigest, NoSuchBucket, SlowDown ([ErrBucketRecreated], or the
// part took longer than Options.GCGrace); and the errors of in.Body.
func (s *Store) UploadPart(ctx context.Context, b *meta.Bucket, key string, in PartInput) (*PartResult, error) {
	if err := checkPartNumber(in.Number); err != nil {
		return nil, err
	}
	u, err := s.openUpload(ctx, b, key, in.UploadID)
	if err != nil {
		return nil, err
	}
	if err := mayUpload(b, &u.Doc.Version); err != nil {
		return nil, err
	}
	if in.Sent {
		if err := needDigest("Put Part", b, &u.Doc.Version, in.ContentMD5, in.Checksum); err != nil {
			return nil, err
		}
	}
	seal, err := s.openSealer(b, key, u.Doc.Version.Encryption, in.CustomerKey)
	if err != nil {
		return nil, err
	}
	if in.Checksum, err = partChecksum(u, in.Checksum, in.Sent); err != nil {
		return nil, err
	}
	sum := newDefaultSum(u, in.Body)
	r, err := s.receive(ctx,
		target{bucket: b, key: key, upload: u.ID, class: u.Doc.Version.Class, seal: seal, maxBytes: MaxPartBytes},
		incoming{body: sum.over(in.Body), size: in.Size, md5: in.ContentMD5, checksum: in.Checksum})
	if err != nil {
		return nil, err
	}
	r.segment.Part = in.Number
	p := meta.Part{Number: in.Number, Size: r.size, ETag: seal.etag(r.md5), Modified: s.now().UnixMicro(), Checksum: r.checksum, Segments: []meta.Segment{r.segment}, CRC64: sum.value()}
	if err := s.meta.PutPart(ctx, *u, p); err != nil {
		// The part's row may have been written, in an upload that is closed: the
		// collector decides about the blob.
		if errors.Is(err, meta.ErrUploadClosed) || errors.Is(err, meta.ErrNotFound) {
			return nil, noSuchUpload(in.UploadID)
		}
		return nil, err
	}
	return &PartResult{ETag: p.ETag, Modified: time.UnixMicro(p.Modified).UTC(), Checksum: p.Checksum, Encryption: seal.encryption()}, nil
}

// partChecksum returns which checksum a part gets: that of its upload. A client
// that sends a part must declare it if the object's checksum is computed from the
// parts' checksums. InvalidRequest.
func partChecksum(u *meta.Upload, c ChecksumRequest, sent bool) (ChecksumRequest, error) {
	want := u.Doc.ChecksumAlgorithm
	if want == "" || c.Algorithm == want {
		return c, nil
	}
	if c.Algorithm != "" || sent && u.Doc.ChecksumType == Composite {
		return c, fail(s3err.InvalidRequest, "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", lower(want), lower(cmp.Or(c.Algorithm, "null")))
	}
	return ChecksumRequest{Algorithm: want}, nil
}

// ListParts returns one page of an upload's parts. (ListParts in the S3 API
// reference.) NoSuchUpload, NoSuchBucket, [ErrBucketRecreated].
func (s *Store) ListParts(ctx context.Context, b *meta.Bucket, key, uploadID string, after, limit int) (*ListPartsResult, error) {
	u, err := s.openUpload(ctx, b, key, uploadID)
	if err != nil {
		return nil, err
	}
	result := &ListPartsResult{Upload: *u}
	parts, err := s.meta.Parts(ctx, u.ID, after, limit+1)
	if err != nil {
		return nil, err
	}
	if len(parts) > limit {
		parts, result.Truncated = parts[:limit], true
	}
	result.Parts = parts
	if len(parts) > 0 {
		result.Next = parts[len(parts)-1].Number
	}
	return result, nil
}

// ListUploads returns one page of the open uploads, sorted by key and then id.
// (ListMultipartUploads in the S3 API reference.) InvalidArgument (malformed
// upload id marker), NoSuchBucket, [ErrBucketRecreated].
func (s *Store) ListUploads(ctx context.Context, b *meta.Bucket, in ListUploadsInput) (*ListUploadsResult, error) {
	r, err := s.listUploadsIn(ctx, b, in)
	if err == nil && in.Limit > 0 && len(r.Uploads)+len(r.Prefixes) == 0 {
		err = s.ConfirmBucket(ctx, b)
	}
	return r, err
}

func (s *Store) listUploadsIn(ctx context.Context, b *meta.Bucket, in ListUploadsInput) (*ListUploadsResult, error) {
	result := &ListUploadsResult{}
	if in.Limit <= 0 {
		return result, nil
	}
	c := newCursor(in.Prefix, in.Delimiter, in.KeyMarker, in.Limit)
	var afterID meta.UploadID
	if in.UploadIDMarker != "" && in.KeyMarker != "" {
		id, err := meta.ParseID(in.UploadIDMarker)
		if err != nil {
			return nil, fail(s3err.InvalidArgument, "Invalid uploadId marker")
		}
		if in.KeyMarker >= c.prefix && c.common(in.KeyMarker) == "" && !c.done && len(in.KeyMarker) <= MaxKeyBytes {
			c.from, afterID = in.KeyMarker, id
		}
	}
	count := 0
	var lastKey, lastID string
	full := func(key, id string) bool {
		if count == in.Limit {
			result.Truncated, result.NextKey, result.NextUploadID = true, lastKey, lastID
			return true
		}
		count, lastKey, lastID = count+1, key, id
		return false
	}
	for !c.done {
		want := min(c.step, maxScan)
		page, err := s.meta.ListUploads(ctx, b.ID, c.from, c.to, afterID, want)
		if err != nil {
			return nil, err
		}
		keys := make([]string, len(page))
		for i := range page {
			keys[i] = page[i].Key
		}
		jumped := c.from
		ok := c.page(keys, len(page) == want, func(i int) bool {
			if full(keys[i], page[i].ID.String()) {
				return false
			}
			result.Uploads = append(result.Uploads, page[i])
			return true
		}, func(common string) bool {
			if full(common, "") {
				return false
			}
			result.Prefixes = append(result.Prefixes, common)
			return true
		})
		if !ok {
			break
		}
		afterID = meta.UploadID{}
		if n := len(page); n == want && c.from == page[n-1].Key+"\x00" && jumped != c.from {
			c.from, afterID = page[n-1].Key, page[n-1].ID // the key may have more uploads
		}
	}
	return result, nil
}

// AbortUpload aborts an upload and deletes its parts. (AbortMultipartUpload in the
// S3 API reference.) NoSuchUpload, NoSuchBucket, [ErrBucketRecreated].
func (s *Store) AbortUpload(ctx context.Context, b *meta.Bucket, key, uploadID string) error {
	for try := 0; ; try++ {
		u, err := s.Upload(ctx, b, key, uploadID)
		if err != nil {
			return err
		}
		if u.State == meta.UploadDone || u.State == meta.UploadAborted {
			return noSuchUpload(uploadID)
		}
		aborted, err := s.meta.SetUploadState(ctx, *u, meta.UploadAborted)
		switch {
		case err == nil:
			s.async(func(ctx context.Context) { s.removeUpload(ctx, aborted, neverCompleted(u)) })
			return nil
		case errors.Is(err, meta.ErrNotFound):
			return noSuchUpload(uploadID)
		case !errors.Is(err, meta.ErrConflict) || try == maxTries:
			return err
		}
		if err := BackOff(ctx, try); err != nil {
			return err
		}
	}
}

// neverCompleted reports whether no Complete of u has ever begun: its state is the
// one that it was created with. An upload may be open again after a Complete that
// failed, while another Complete still commits.
func neverCompleted(u *meta.Upload) bool {
	return u.State == meta.UploadOpen && u.Rev == meta.NextRev(0, time.UnixMicro(u.Doc.Initiated))
}

// abortUploads aborts all uploads of a bucket that is being deleted.
func (s *Store) abortUploads(ctx context.Context, b *meta.Bucket) error {
	var after meta.UploadID
	for from := ""; ; {
		page, err := s.meta.ListUploads(ctx, b.ID, from, "", after, maxScan)
		if err != nil {
			return err
		}
		for i := range page {
			from, after = page[i].Key, page[i].ID
			u, err := s.meta.Upload(ctx, b.ID, page[i].Key, page[i].ID) // whole: the change of state writes its doc
			if errors.Is(err, meta.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			aborted, err := s.meta.SetUploadState(ctx, u, meta.UploadAborted)
			switch {
			case errors.Is(err, meta.ErrConflict), errors.Is(err, meta.ErrNotFound):
				continue // another request ends it
			case err != nil:
				return err
			}
			s.removeUpload(ctx, aborted, neverCompleted(&u))
		}
		if len(page) < maxScan {
			return nil
		}
	}
}

// removeUpload deletes the rows of an aborted upload. If no Complete has ever begun,
// no object can refer to the parts: their blobs are deleted immediately, unless a
// backup holds them. Otherwise, and for parts that still arrive, the collector
// decides.
func (s *Store) removeUpload(ctx context.Context, u meta.Upload, neverCompleted bool) {
	for after := 0; neverCompleted; {
		parts, err := s.meta.Parts(ctx, u.ID, after, maxScan)
		if err != nil {
			s.log.Sugar().Warnf("abort of upload %s: its parts could not be read; the collector deletes them: %v", u.ID, err)
			return
		}
		var segments []meta.Segment
		for _, p := range parts {
			after = p.Number
			segments = append(segments, p.Segments...)
		}
		deleted, err := s.deleteUnlessHeld(ctx, segments)
		if err != nil {
			s.log.Sugar().Warnf("abort of upload %s: parts could not be deleted; the collector does it: %v", u.ID, err)
		}
		if !deleted && err == nil || len(parts) < maxScan {
			break
		}
	}
	if err := s.meta.ForgetUpload(ctx, u); err != nil {
		s.log.Sugar().Warnf("ended upload %s could not be removed from listings; the collector tries again: %v", u.ID, err)
	}
}

// trimETag removes the quotes of an ETag.
func trimETag(etag string) string { return strings.Trim(etag, `"`) }
