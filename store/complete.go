package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// CompleteUpload makes an object of an upload's parts. The object refers to the
// parts' blobs; no byte is copied. A repeated Complete gets the same answer.
// (CompleteMultipartUpload in the S3 API reference.)
//
//  1. Check the request and the parts (completeOnce).
//  2. Close the upload: its state becomes UploadCompleting, and it takes no more
//     parts.
//  3. Read the parts again, which cannot change any more, and make the object's
//     version of them (assemble).
//  4. Commit the version, if the upload is still closed by this Complete
//     (commitUpload).
//  5. Set the state UploadDone. A Complete that is repeated later finds that, and
//     does not put its object on top of later writes (repeatedComplete).
//
// If step 3 or 4 fails the upload is opened again. If the gateway dies in between,
// the collector does that.
//
// Errors: NoSuchUpload, InvalidRequest, InvalidArgument, InvalidPart,
// InvalidPartOrder, EntityTooSmall, EntityTooLarge, BadDigest, AccessDenied
// (encryption type blocked, or the replaced object is locked),
// PreconditionFailed, NoSuchKey (If-Match without an object), NoSuchBucket,
// [ErrBucketRecreated], OperationAborted.
func (s *Store) CompleteUpload(ctx context.Context, b *meta.Bucket, key string, in CompleteInput) (*PutResult, error) {
	for {
		u, err := s.Upload(ctx, b, key, in.UploadID)
		if err != nil {
			return nil, err
		}
		switch u.State {
		case meta.UploadAborted:
			return nil, noSuchUpload(in.UploadID)
		case meta.UploadDone:
			return s.repeatedComplete(ctx, b, key, u, in)
		}
		result, err := s.completeOnce(ctx, b, key, u, in)
		if err == nil || !s.uploadChanged(ctx, b, key, in.UploadID, err) {
			return result, err
		}
		if err := BackOff(ctx, 5); err != nil {
			return nil, err
		}
	}
}

// errUploadChanged says that the upload was changed while it was being completed:
// by another Complete, by an Abort, or by the collector, which opens an upload
// again if its Complete seems to have died. (The Complete may only have been
// paused, or the clocks differ.)
var errUploadChanged = errors.New("the upload was changed while it was being completed")

// uploadChanged reports whether err, with which a Complete ended, may be the effect
// of another change of the upload. Then the Complete starts again.
func (s *Store) uploadChanged(ctx context.Context, b *meta.Bucket, key, id string, err error) bool {
	if errors.Is(err, errUploadChanged) {
		return true
	}
	if s3err.CodeOf(err) != s3err.InvalidPart {
		return false
	}
	// A Complete or Abort that ended the upload has removed its parts.
	u, err := s.Upload(ctx, b, key, id)
	if err != nil {
		return s3err.CodeOf(err) == s3err.NoSuchUpload
	}
	return u.State == meta.UploadAborted || u.State == meta.UploadDone
}

// completeOnce completes an upload that was read as u: steps 1 to 5 of
// CompleteUpload.
func (s *Store) completeOnce(ctx context.Context, b *meta.Bucket, key string, u *meta.Upload, in CompleteInput) (*PutResult, error) {
	if err := checkOrder(in.Parts); err != nil {
		return nil, err
	}
	if err := mayUpload(b, &u.Doc.Version); err != nil {
		return nil, err
	}
	if err := s.checkCustomerKey(b, key, u, in.CustomerKey); err != nil {
		return nil, err
	}
	release, err := s.reserve(ctx, wholeBytes*int64(len(in.Parts)))
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := s.assemble(ctx, b, u, in); err != nil {
		return nil, err
	}
	if err := s.precheck(ctx, b, key, &in.Conditions); err != nil {
		return nil, err
	}
	closed, err := s.meta.SetUploadState(ctx, *u, meta.UploadCompleting)
	switch {
	case errors.Is(err, meta.ErrConflict):
		return nil, errUploadChanged
	case errors.Is(err, meta.ErrNotFound):
		return nil, noSuchUpload(in.UploadID)
	case err != nil:
		return nil, err
	}
	return s.complete(ctx, b, key, &closed, in)
}

// checkCustomerKey checks the customer's key of a Complete against that of its
// upload. InvalidRequest.
func (s *Store) checkCustomerKey(b *meta.Bucket, key string, u *meta.Upload, given EncryptionRequest) error {
	e := u.Doc.Version.Encryption
	if e == nil || e.Type != SSEC {
		if given.CustomerKey == nil {
			return nil
		}
		e = nil
	}
	_, err := s.openSealer(b, key, e, given)
	return err
}

// complete is steps 3 to 5 of CompleteUpload: u takes no more parts.
func (s *Store) complete(ctx context.Context, b *meta.Bucket, key string, u *meta.Upload, in CompleteInput) (*PutResult, error) {
	v, err := s.assemble(ctx, b, u, in)
	if err == nil {
		err = s.commitUpload(ctx, b, key, u, v, &in.Conditions)
	}
	if err != nil {
		s.reopen(context.WithoutCancel(ctx), u, err)
		return nil, err
	}
	u.Doc.Completed, u.Doc.CompletedSeq = v.ETag, v.Seq
	// Before the answer, so that a Complete which is repeated after the answer
	// finds the upload done.
	done, err := s.meta.SetUploadState(context.WithoutCancel(ctx), *u, meta.UploadDone)
	s.async(func(ctx context.Context) {
		if err == nil {
			err = s.meta.ForgetUpload(ctx, done)
		}
		if err != nil && !errors.Is(err, meta.ErrConflict) {
			s.log.Sugar().Warnf("completed upload %s could not be removed from listings; the collector tries again: %v", u.ID, err)
		}
	})
	return resultOf(b, v), nil
}

// reopen ends a Complete that failed with err. It opens the upload again if
// nothing was committed, and aborts it if its bucket is gone.
func (s *Store) reopen(ctx context.Context, u *meta.Upload, err error) {
	code := s3err.CodeOf(err)
	if code == "" || code == s3err.NoSuchUpload {
		return
	}
	if code != s3err.NoSuchBucket && !errors.Is(err, ErrBucketRecreated) {
		_, _ = s.meta.SetUploadState(ctx, *u, meta.UploadOpen)
		return
	}
	if aborted, err := s.meta.SetUploadState(ctx, *u, meta.UploadAborted); err == nil {
		s.removeUpload(ctx, aborted, false)
	}
}

// commitUpload makes v current, unless the same upload has done so already.
func (s *Store) commitUpload(ctx context.Context, b *meta.Bucket, key string, u *meta.Upload, v *meta.Version, conditions *Conditions) error {
	return s.change(ctx, b, key, readForPut(b), nil, func(h *meta.Head) (*mutation, error) {
		// The upload is read after the head. If an Abort came before, the collector
		// may delete the parts, so nothing is committed. An Abort that comes later
		// is too late: before the collector deletes a part it fences the head, and
		// then this commit fails or its object is found.
		now, err := s.meta.Upload(ctx, b.ID, key, u.ID)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return nil, err
		}
		if cur := h.Current(); cur != nil && cur.Upload == u.ID {
			*v = *cur
			return nil, nil
		}
		switch {
		case err == nil && now.State == meta.UploadOpen:
			return nil, errUploadChanged // it was opened again
		case err != nil || now.State != meta.UploadCompleting:
			return nil, noSuchUpload(u.ID.String())
		}
		if now.Rev != u.Rev {
			// Another Complete has begun since, and only the one that began last
			// may commit. Until that has ended, the parts are kept.
			return nil, meta.ErrConflict
		}
		if err := conditions.write(h.Current()); err != nil {
			return nil, err
		}
		v.Seq, v.Modified = 0, 0
		m := &mutation{put: []*meta.Version{v}}
		return m, replaceNull(h, v, m)
	})
}

// endUpload prepares a change m that replaces the current version: it sets the
// state UploadDone of the upload that made that version, if its Complete died
// before it did. Otherwise a Complete that is repeated later would put the object
// on top of what m puts there.
func (s *Store) endUpload(ctx context.Context, bucket meta.BucketID, key string, h *meta.Head, m *mutation) error {
	cur := h.Current()
	if cur == nil || cur.Upload == (meta.UploadID{}) || !m.replaces(cur) {
		return nil
	}
	for {
		u, err := s.meta.Upload(ctx, bucket, key, cur.Upload)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return nil
		case err != nil:
			return err
		case u.State == meta.UploadDone, u.State == meta.UploadAborted:
			return nil
		}
		u.Doc.Completed, u.Doc.CompletedSeq = cur.ETag, cur.Seq
		done, err := s.meta.SetUploadState(ctx, u, meta.UploadDone)
		if err == nil {
			s.async(func(ctx context.Context) { _ = s.meta.ForgetUpload(ctx, done) }) // after an error the collector does it
			return nil
		}
		if !errors.Is(err, meta.ErrConflict) {
			return err
		}
	}
}

// replaces reports whether v, the current version, is not current after m.
func (m *mutation) replaces(v *meta.Version) bool {
	return slices.ContainsFunc(m.remove, func(o meta.Version) bool { return o.Seq == v.Seq }) ||
		slices.ContainsFunc(m.put, func(p *meta.Version) bool { return p.Seq == 0 || p.Seq > v.Seq })
}

// repeatedComplete answers a Complete of an upload that is done.
func (s *Store) repeatedComplete(ctx context.Context, b *meta.Bucket, key string, u *meta.Upload, in CompleteInput) (*PutResult, error) {
	h, err := s.read(ctx, b, key, meta.ReadOptions{Seq: u.Doc.CompletedSeq})
	if err != nil {
		return nil, err
	}
	if h.Named != nil && h.Named.Upload == u.ID {
		return resultOf(b, h.Named), nil
	}
	return nil, noSuchUpload(in.UploadID)
}

// checkOrder requires parts in ascending order. A client that sent a part twice may
// list it twice: the last one counts. InvalidRequest, InvalidArgument,
// InvalidPartOrder.
func checkOrder(parts []CompletedPart) error {
	if len(parts) == 0 {
		return fail(s3err.InvalidRequest, "You must specify at least one part")
	}
	for i, p := range parts {
		if err := checkPartNumber(p.Number); err != nil {
			return err
		}
		if i > 0 && p.Number < parts[i-1].Number {
			return fail(s3err.InvalidPartOrder, "The list of parts was not in ascending order. The parts list must be specified in order by part number.")
		}
	}
	return nil
}

// assemble reads the upload's parts and makes the version of those that the client
// has listed. InvalidPart, EntityTooSmall, EntityTooLarge, BadDigest,
// InvalidRequest.
func (s *Store) assemble(ctx context.Context, b *meta.Bucket, u *meta.Upload, in CompleteInput) (*meta.Version, error) {
	stored, err := s.namedParts(ctx, u.ID, in.Parts)
	if err != nil {
		return nil, err
	}
	if err := checkPartSums(u, in.Parts); err != nil {
		return nil, err
	}
	parts := make([]meta.Part, 0, len(in.Parts))
	for i, want := range in.Parts {
		if i < len(in.Parts)-1 && in.Parts[i+1].Number == want.Number {
			continue
		}
		p, err := matchPart(stored, want, u)
		if err != nil {
			return nil, err
		}
		if i < len(in.Parts)-1 && p.Size < MinPartBytes {
			return nil, s3err.New(s3err.EntityTooSmall).With("ETag", p.ETag).With("MinSizeAllowed", fmt.Sprint(MinPartBytes)).
				With("PartNumber", fmt.Sprint(p.Number)).With("ProposedSize", fmt.Sprint(p.Size))
		}
		parts = append(parts, p)
	}
	v := u.Doc.Version
	v.Upload = u.ID
	// The bucket may have been versioned since the upload began.
	v.Null = b.Config.Versioning != VersioningEnabled
	if err := s.applyLock(b, &v); err != nil { // and its default retention set
		return nil, err
	}
	if err := s.manifest(&v, parts); err != nil {
		return nil, err
	}
	if in.ObjectSize != nil && *in.ObjectSize != v.Size {
		return nil, fail(s3err.InvalidRequest, "The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", *in.ObjectSize, v.Size)
	}
	return &v, s.sumParts(&v, u, parts, in.Checksum)
}

// namedParts reads the parts that a Complete names, and no more than twice as many
// rows: an upload may have 10,000 that it does not name.
func (s *Store) namedParts(ctx context.Context, id meta.UploadID, named []CompletedPart) (map[int]meta.Part, error) {
	stored := make(map[int]meta.Part, len(named))
	for i := 0; i < len(named); {
		first, j := named[i].Number, i+1
		for j < len(named) && named[j].Number-first < min(2*(j-i+1), maxScan) {
			j++
		}
		// Those from i on and before j lie close together.
		for after, last := first-1, named[j-1].Number; after < last; {
			want := last - after
			page, err := s.meta.Parts(ctx, id, after, want)
			if err != nil {
				return nil, err
			}
			for _, p := range page {
				if p.Number <= last {
					stored[p.Number] = p
				}
				after = p.Number
			}
			if len(page) < want {
				break // there are no more
			}
		}
		i = j
	}
	return stored, nil
}

func matchPart(stored map[int]meta.Part, want CompletedPart, u *meta.Upload) (meta.Part, error) {
	p, ok := stored[want.Number]
	bad := s3err.New(s3err.InvalidPart).With("ETag", want.ETag).With("PartNumber", fmt.Sprint(want.Number)).With("UploadId", u.ID.String())
	if !ok || trimETag(want.ETag) != p.ETag {
		return p, bad
	}
	return p, checkPartSum(&p, want.Checksum, u, bad)
}

// checkPartSums refuses a Complete that declares the checksums of some parts and
// not of others, if the object's checksum is COMPOSITE. S3 requires all of them.
// Pithos also accepts none: every UploadPart has verified its checksum.
func checkPartSums(u *meta.Upload, parts []CompletedPart) error {
	has := func(p CompletedPart) bool { return p.Checksum != nil }
	if u.Doc.ChecksumType != Composite || !slices.ContainsFunc(parts, has) {
		return nil
	}
	for _, p := range parts {
		if !has(p) {
			return fail(s3err.InvalidRequest, "The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
				lower(u.Doc.ChecksumAlgorithm), p.Number)
		}
	}
	return nil
}

// checkPartSum compares the checksum that a Complete declares of a part with that
// of the part. bad is the error if the value differs.
func checkPartSum(p *meta.Part, c *meta.Checksum, u *meta.Upload, bad error) error {
	switch {
	case c == nil:
		return nil
	case p.Checksum != nil && c.Algorithm == p.Checksum.Algorithm:
		if c.Value != p.Checksum.Value {
			return bad
		}
		return nil
	case u.Doc.ChecksumAlgorithm == "" && c.Algorithm == defaultChecksum && c.Value == base64.StdEncoding.EncodeToString(p.CRC64):
		return nil
	}
	return fail(s3err.BadDigest, "The %s you specified for part %d did not match what we received.", lower(c.Algorithm), p.Number)
}

// manifest adds the parts to v, and sets its size and ETag.
func (s *Store) manifest(v *meta.Version, parts []meta.Part) error {
	h := md5.New()
	for _, p := range parts {
		sum, err := hex.DecodeString(p.ETag)
		if err != nil {
			return fmt.Errorf("part %d: %w", p.Number, err)
		}
		h.Write(sum)
		v.Size += p.Size
		v.Segments = append(v.Segments, p.Segments...)
		v.Parts = append(v.Parts, meta.PartInfo{Number: p.Number, Size: p.Size, Checksum: p.Checksum})
	}
	if v.Size > MaxObjectBytes {
		return tooLarge(v.Size, MaxObjectBytes)
	}
	v.ETag = fmt.Sprintf("%s-%d", hex.EncodeToString(h.Sum(nil)), len(parts))
	return nil
}

// sumParts sets the checksum of v, and compares it with the declared one.
func (s *Store) sumParts(v *meta.Version, u *meta.Upload, parts []meta.Part, declared *meta.Checksum) error {
	sum, err := joinDefaults(parts)
	if u.Doc.ChecksumAlgorithm != "" {
		sum, err = joinChecksums(u.Doc.ChecksumAlgorithm, u.Doc.ChecksumType, parts)
	}
	if err != nil {
		return err
	}
	v.Checksum = sum
	switch {
	case declared == nil:
		return nil
	case sum == nil:
		return fail(s3err.InvalidRequest, "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: %s", lower(cmp.Or(declared.Algorithm, declared.Type)))
	}
	if declared.Algorithm != "" && declared.Algorithm != sum.Algorithm {
		return fail(s3err.InvalidRequest, "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: %s", lower(sum.Algorithm), lower(declared.Algorithm))
	}
	if declared.Type != "" && declared.Type != sum.Type {
		return fail(s3err.InvalidRequest, "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", sum.Type)
	}
	if declared.Value != "" && !sameSum(declared.Value, sum.Value) {
		return fail(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", sum.Algorithm)
	}
	return nil
}

// sameSum compares checksums. A composite one may be declared without its count.
func sameSum(declared, computed string) bool {
	base, _, _ := bytes.Cut([]byte(computed), []byte("-"))
	return declared == computed || declared == string(base)
}
