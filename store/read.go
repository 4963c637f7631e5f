package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// Get opens an object. (GetObject in the S3 API reference.)
//
// Errors: KeyTooLongError, InvalidURI, InvalidArgument (malformed version id),
// NoSuchKey, NoSuchVersion, MethodNotAllowed (the version is a delete marker),
// PreconditionFailed, NotModified, InvalidRange, InvalidPart (no part of that
// number), InvalidRequest (missing or wrong key of the customer),
// KMS.NotFoundException, NoSuchBucket, [ErrBucketRecreated]. NoSuchKey,
// MethodNotAllowed and NotModified describe the version in their Found.
func (s *Store) Get(ctx context.Context, b *meta.Bucket, key string, in GetInput) (*Object, error) {
	return s.open(ctx, b, key, in, true)
}

// Head is Get without the body. (HeadObject in the S3 API reference.)
func (s *Store) Head(ctx context.Context, b *meta.Bucket, key string, in GetInput) (*Object, error) {
	return s.open(ctx, b, key, in, false)
}

// Found is the version that a read of its key has found.
type Found struct {
	Bucket  *meta.Bucket
	Version *meta.Version
}

// Find reads the version of key with this id, or the current one if the id is "".
// It does not open the body, so that it needs no key of the customer. Its result
// can be passed to Get, Head and Copy, which then do not read the key again.
//
// Errors: KeyTooLongError, InvalidURI, InvalidArgument, NoSuchKey, NoSuchVersion,
// MethodNotAllowed, NoSuchBucket, [ErrBucketRecreated].
func (s *Store) Find(ctx context.Context, b *meta.Bucket, key, versionID string) (*Found, error) {
	v, err := s.find(ctx, b, key, versionID, true)
	if err != nil {
		return nil, err
	}
	return &Found{b, v}, nil
}

// open repeats openOnce where the version was replaced before its segments were
// read. One that the caller has found is not looked up again: ErrSourceReplaced.
func (s *Store) open(ctx context.Context, b *meta.Bucket, key string, in GetInput, open bool) (*Object, error) {
	for try := 0; ; try++ {
		o, err := s.openOnce(ctx, b, key, in, open)
		if !errors.Is(err, errReplaced) {
			return o, err
		}
		if in.Found != nil || try == maxTries || finalDamage(err, try) != nil {
			return nil, replacedIn(err)
		}
		if err := BackOff(ctx, try); err != nil {
			return nil, err
		}
	}
}

func (s *Store) openOnce(ctx context.Context, b *meta.Bucket, key string, in GetInput, open bool) (*Object, error) {
	var v *meta.Version
	if f := in.Found; f != nil {
		b, v = f.Bucket, f.Version
	} else {
		var err error
		if v, err = s.find(ctx, b, key, in.VersionID, open); err != nil {
			if e, ok := err.(*s3err.Error); ok && e.Code == s3err.NoSuchKey && e.Found == nil {
				e.Found = &s3err.Found{} // no delete marker: answers of GET and HEAD tell
			}
			return nil, err
		}
	}
	if err := in.Conditions.read(v); err != nil {
		return nil, withValidators(err, b, v)
	}
	o := &Object{Key: key, Version: *v, VersionID: VersionID(b, v), Length: v.Size, PartsCount: v.CountParts()}
	if in.RangeIf != nil && !in.RangeIf(v) {
		in.Range = nil
	}
	if in.PartNumber != 0 {
		if err := s.narrowToPart(ctx, b, o, in.PartNumber); err != nil {
			return nil, err
		}
	} else if err := o.narrow(in); err != nil {
		return nil, err
	}
	seal, err := s.openSealer(b, key, v.Encryption, in.CustomerKey)
	if err != nil {
		return nil, err
	}
	if open {
		o.Body, err = s.body(ctx, source{b, key, v, seal}, o.Offset, o.Length)
	}
	return o, err
}

// withValidators adds to NotModified what its answer must have.
func withValidators(err error, b *meta.Bucket, v *meta.Version) error {
	if e, ok := err.(*s3err.Error); ok && e.Code == s3err.NotModified {
		e.Found = found(b, v)
		e.Found.CacheControl = v.Headers["Cache-Control"]
	}
	return err
}

// find is Find without the result for later calls. payload asks for the payload of
// inline bodies.
func (s *Store) find(ctx context.Context, b *meta.Bucket, key, versionID string, payload bool) (*meta.Version, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	v, err := s.findIn(ctx, b, key, versionID, payload)
	if err != nil && isMissing(err) {
		return nil, s.orRecreated(ctx, b, err)
	}
	return v, err
}

func (s *Store) findIn(ctx context.Context, b *meta.Bucket, key, versionID string, payload bool) (*meta.Version, error) {
	read := meta.ReadOptions{Payload: payload}
	if versionID != "" {
		var err error
		if read.Seq, read.Null, err = parseVersionID(versionID); err != nil {
			return nil, err
		}
	}
	h, err := s.read(ctx, b, key, read)
	if err != nil {
		return nil, err
	}
	if versionID != "" {
		return named(b, key, versionID, &h)
	}
	v := h.Current()
	if v == nil {
		return nil, noSuchKey(key)
	}
	if v.DeleteMarker {
		e := noSuchKey(key)
		e.Found = &s3err.Found{DeleteMarker: true, VersionID: VersionID(b, v)}
		return nil, e
	}
	return v, nil
}

func noSuchKey(key string) *s3err.Error {
	return s3err.New(s3err.NoSuchKey).With("Key", key)
}

func noSuchVersion(key, id string) *s3err.Error {
	return s3err.New(s3err.NoSuchVersion).With("Key", key).With("VersionId", id)
}

// named returns the version of h that was read by its id. NoSuchVersion,
// MethodNotAllowed.
func named(b *meta.Bucket, key, id string, h *meta.Head) (*meta.Version, error) {
	v := h.Named
	switch {
	case v == nil || v.Null != (id == nullVersion):
		return nil, noSuchVersion(key, id)
	case v.DeleteMarker:
		return nil, &s3err.Error{Code: s3err.MethodNotAllowed, Found: found(b, v)}
	}
	return v, nil
}

// found describes v, a version of a key of b, for the answer of an error.
func found(b *meta.Bucket, v *meta.Version) *s3err.Found {
	return &s3err.Found{VersionID: VersionID(b, v), DeleteMarker: v.DeleteMarker, Modified: time.UnixMicro(v.Modified), ETag: v.ETag}
}

// outOfRange is the error of a range that an object of this size does not have.
func outOfRange(size int64) *s3err.Error {
	return s3err.New(s3err.InvalidRange).With("ActualObjectSize", fmt.Sprint(size))
}

// narrow limits o to the requested range. InvalidRange.
func (o *Object) narrow(in GetInput) error {
	if in.Range == nil {
		return nil
	}
	size := o.Version.Size
	first, last := in.Range.First, in.Range.Last
	if first < 0 {
		if size == 0 {
			return nil // the last n bytes of an empty object: all of it
		}
		first, last = max(0, size+first), size-1
	}
	if last < 0 || last >= size {
		last = size - 1
	}
	if first > last {
		return outOfRange(size)
	}
	o.Offset, o.Length, o.Partial = first, last-first+1, true
	return nil
}

// narrowToPart limits o to the part of that number.
func (s *Store) narrowToPart(ctx context.Context, b *meta.Bucket, o *Object, number int) error {
	if o.PartsCount == 0 {
		if number != 1 {
			return fail(s3err.InvalidPart, "The requested partnumber is not satisfiable")
		}
		o.Partial = true
		return nil
	}
	p, offset, err := s.part(ctx, b.ID, o.Key, &o.Version, number)
	if err != nil {
		return err
	}
	if p == nil {
		return fail(s3err.InvalidPart, "The requested partnumber is not satisfiable")
	}
	o.Part, o.Offset, o.Length, o.Partial = p, offset, p.Size, true
	return nil
}

// body returns a reader of length bytes of src, from offset on. errReplaced if the
// version does not exist any more.
func (s *Store) body(ctx context.Context, src source, offset, length int64) (io.ReadCloser, error) {
	v := src.version
	segments, skip, release, err := s.segmentsWithin(ctx, src.bucket.ID, src.key, v, offset, length)
	if err != nil {
		return nil, err
	}
	return &segmentReader{ctx: ctx, store: s, payload: v.Payload, inline: v.Inline, segments: segments, seal: src.seal, skip: skip, left: length, release: release}, nil
}

// segmentReader reads the segments of a body one after another. It takes the
// memory of one open segment.
type segmentReader struct {
	ctx      context.Context
	store    *Store
	inline   bool
	payload  []byte
	segments []meta.Segment
	seal     *sealer
	skip     int64 // bytes to skip in the remaining segments
	left     int64 // bytes to return
	open     io.ReadCloser
	release  func() // gives back the memory of segments; nil once it did
	err      error
}

func (r *segmentReader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.left == 0 {
			r.err = io.EOF
			break
		}
		if r.open == nil {
			r.err = r.next()
			continue
		}
		n, err := r.open.Read(p[:min(int64(len(p)), r.left)])
		r.left -= int64(n)
		if err == io.EOF {
			err = r.open.Close()
			r.open = nil
		}
		r.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// WriteTo implements [io.WriterTo]: segments that can write from their own memory
// do so.
func (r *segmentReader) WriteTo(w io.Writer) (written int64, err error) {
	for r.err == nil && r.left > 0 {
		if r.open == nil {
			if r.err = r.next(); r.err != nil {
				break
			}
		}
		n, err := r.writeOpen(w)
		written, r.left = written+n, r.left-n
		if r.err = err; err == nil {
			r.err = r.open.Close()
			r.open = nil
		}
	}
	if r.err == io.EOF {
		return written, nil
	}
	return written, r.err
}

// writeOpen writes the rest of the open segment.
func (r *segmentReader) writeOpen(w io.Writer) (int64, error) {
	if direct, ok := r.open.(io.WriterTo); ok {
		return direct.WriteTo(w)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var total int64
	for {
		n, err := r.open.Read(*buf)
		if n > 0 {
			m, werr := w.Write((*buf)[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// next opens the segment that holds the next byte.
func (r *segmentReader) next() error {
	for len(r.segments) > 0 && r.skip >= r.segments[0].Size {
		r.skip -= r.segments[0].Size
		r.segments = r.segments[1:]
	}
	if len(r.segments) == 0 {
		return io.ErrUnexpectedEOF
	}
	seg := r.segments[0]
	r.segments = r.segments[1:]
	n := min(seg.Size-r.skip, r.left)
	var err error
	r.open, err = r.openSegment(seg, r.skip, n)
	r.skip = 0
	return err
}

func (r *segmentReader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	if r.release != nil {
		r.release()
		r.release = nil
	}
	if r.open == nil {
		return nil
	}
	return r.open.Close()
}

// openSegment opens length decrypted bytes of a segment, from offset on.
func (r *segmentReader) openSegment(seg meta.Segment, offset, length int64) (io.ReadCloser, error) {
	open := func(off, n int64) (io.ReadCloser, error) {
		if r.inline && off+n > int64(len(r.payload)) {
			return nil, fmt.Errorf("%w: %d bytes of a body are kept in its row, of %d", blob.ErrCorrupt, len(r.payload), off+n)
		}
		if r.inline {
			return io.NopCloser(bytes.NewReader(r.payload[off : off+n])), nil
		}
		store := r.store.blobs[seg.Store]
		if store == nil {
			return nil, errors.New("blob store " + seg.Store + " is not configured, and an object is stored there")
		}
		ref := blob.Ref{ID: seg.Blob, Size: seg.Bytes, Chunk: seg.Chunk, Block: seg.Block}
		return store.Open(r.ctx, ref, off, n)
	}
	if r.seal == nil {
		return open(offset, length)
	}
	return crypt.NewRangeReader(open, r.seal.key, seg.Nonce, int(r.seal.info.FrameBytes), seg.Size, offset, length)
}

// UpdateVersion changes properties of a version (tags, ACL, object lock) but not
// its body, atomically, and returns the version and its id. edit is called again
// after a conflict with another change.
//
// Errors: KeyTooLongError, InvalidURI, InvalidArgument, NoSuchKey, NoSuchVersion,
// MethodNotAllowed, NoSuchBucket, [ErrBucketRecreated], OperationAborted, and the
// errors of edit.
func (s *Store) UpdateVersion(ctx context.Context, b *meta.Bucket, key, versionID string, edit func(*meta.Version) error) (*meta.Version, string, error) {
	if err := checkKey(key); err != nil {
		return nil, "", err
	}
	read := meta.ReadOptions{Payload: true} // a row is written whole
	if versionID != "" {
		var err error
		if read.Seq, read.Null, err = parseVersionID(versionID); err != nil {
			return nil, "", err
		}
	}
	var result *meta.Version
	err := s.change(ctx, b, key, read, nil, func(h *meta.Head) (*mutation, error) {
		v, err := pick(b, key, versionID, h)
		if err != nil {
			return nil, err
		}
		changed := *v
		changed.ACL.Grants, changed.Tags = slices.Clone(v.ACL.Grants), slices.Clone(v.Tags)
		if err := edit(&changed); err != nil {
			return nil, err
		}
		result = &changed
		return &mutation{put: []*meta.Version{result}}, nil
	})
	if isMissing(err) {
		err = s.orRecreated(ctx, b, err)
	}
	if err != nil {
		return nil, "", err
	}
	return result, VersionID(b, result), nil
}

// pick returns the version with this id, or the current one if id is "". A delete
// marker has no properties to change. NoSuchKey, NoSuchVersion, MethodNotAllowed.
func pick(b *meta.Bucket, key, id string, h *meta.Head) (*meta.Version, error) {
	if id != "" {
		return named(b, key, id, h)
	}
	v := h.Current()
	if v == nil {
		return nil, noSuchKey(key)
	}
	if v.DeleteMarker {
		e := noSuchKey(key)
		e.Found = &s3err.Found{DeleteMarker: true, VersionID: VersionID(b, v)}
		return nil, e
	}
	return v, nil
}
