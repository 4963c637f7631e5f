package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// received is a body that is stored and verified. No version refers to it yet.
type received struct {
	size     int64
	md5      []byte
	checksum *meta.Checksum
	payload  []byte // where the body is inline
	segment  meta.Segment
	inline   bool
	// guard is the queue entry that makes the collector check the blob, should no
	// version refer to it in the end.
	guard []meta.QueueEntry
	// shared: the blobs are those of another version.
	shared bool
}

// target says where a body goes and what it may be.
type target struct {
	bucket *meta.Bucket
	key    string
	upload meta.UploadID
	class  string
	seal   *sealer
	// inline allows the body to be kept in the row.
	inline   bool
	maxBytes int64
}

// incoming is a body and what the client declared of it.
type incoming struct {
	body     io.Reader
	size     int64 // less than 0: not known
	md5      []byte
	checksum ChecksumRequest
}

const copyBuffer = 512 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// receive reads a body to its end in one pass: it hashes, encrypts and stores it,
// in the row if it is small (keepInline) and as a blob otherwise (keepBlob).
// After an error nothing stays stored. It takes the memory of one buffer and of
// the blob writer's window.
//
// EntityTooLarge, IncompleteBody, BadDigest, InvalidRequest (unknown checksum
// algorithm), SlowDown (the body took longer than Options.GCGrace), and the
// errors of the body.
func (s *Store) receive(ctx context.Context, t target, in incoming) (*received, error) {
	if in.size > t.maxBytes {
		return nil, tooLarge(in.size, t.maxBytes)
	}
	sums, err := newSums(in.checksum.Algorithm)
	if err != nil {
		return nil, err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	limit := 0
	if t.inline {
		limit = min(s.meta.InlineMax(), copyBuffer-1)
	}
	body := &bodyReader{body: in.body, buf: (*buf)[:limit+1]}
	if in.size > int64(limit) {
		body.buf = *buf // it will not be inline: begin with a full buffer
	}
	if err := body.fill(); err != nil {
		return nil, err
	}
	r := &received{}
	if body.ended && t.inline && body.n <= limit {
		err = s.keepInline(r, t, sums, body.buf[:body.n])
	} else {
		body.buf = *buf
		err = s.keepBlob(ctx, r, t, sums, body)
	}
	if err == nil {
		err = r.verify(sums, in)
	}
	if err != nil {
		s.discard(r)
		return nil, err
	}
	return r, nil
}

func tooLarge(size, limit int64) error {
	return fail(s3err.EntityTooLarge, "Your proposed upload exceeds the maximum allowed size").
		With("MaxSizeAllowed", fmt.Sprint(limit)).With("ProposedSize", fmt.Sprint(size))
}

// bodyReader reads a body by buffers: buf[:n] are the bytes read last.
type bodyReader struct {
	body  io.Reader
	buf   []byte
	n     int
	ended bool // nothing follows buf[:n]
}

// fill reads until the buffer is full or the body ends. Unlike io.ReadFull it
// distinguishes the end of a body from a connection that was cut.
func (r *bodyReader) fill() error {
	for r.n = 0; r.n < len(r.buf); {
		m, err := r.body.Read(r.buf[r.n:])
		r.n += m
		switch {
		case err == nil:
		case err == io.EOF: // exactly: readers that verify return their error in its place
			r.ended = true
			return nil
		case s3err.CodeOf(err) != "":
			return err // the reader says already what is wrong with the body
		case errors.Is(err, io.ErrUnexpectedEOF):
			return &s3err.Error{Code: s3err.IncompleteBody, Err: err}
		default:
			return err
		}
	}
	return nil
}

// keepInline encrypts a small body into the payload of the version's row.
func (s *Store) keepInline(r *received, t target, sums *sums, body []byte) error {
	sums.Write(body)
	var out bytes.Buffer
	out.Grow(int(t.seal.storedSize(int64(len(body)))))
	w, salt := t.seal.writer(&out)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	r.inline, r.payload = true, out.Bytes()
	r.segment = meta.Segment{Bytes: int64(out.Len()), Size: int64(len(body)), Nonce: salt}
	return nil
}

// keepBlob stores a body as a blob. Some bytes of it are in body.buf already.
func (s *Store) keepBlob(ctx context.Context, r *received, t target, sums *sums, body *bodyReader) error {
	name, store, err := s.blobStore(t.bucket, t.class)
	if err != nil {
		return err
	}
	id := blob.NewID()
	r.segment = meta.Segment{Store: name, Blob: id}
	r.guard = []meta.QueueEntry{s.newQueueEntry(meta.QueueFresh, t.bucket.ID, t.key, t.upload, r.segment)}
	if err := s.meta.Enqueue(ctx, r.guard...); err != nil {
		r.guard = nil
		return err
	}
	w, err := store.Create(ctx, id)
	if err != nil {
		return err
	}
	enc, salt := t.seal.writer(w)
	r.segment.Nonce = salt
	total, err := copyHashed(enc, sums, body, t.maxBytes)
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		w.Abort()
		return err
	}
	ref, err := w.Commit()
	if errors.Is(err, blob.ErrNotFound) {
		return errUploadExpired(err)
	}
	if err != nil {
		return err
	}
	r.segment.Size, r.segment.Bytes, r.segment.Chunk, r.segment.Block = total, ref.Size, ref.Chunk, ref.Block
	return nil
}

// errUploadExpired is the error of a body that took longer than Options.GCGrace:
// the collector has deleted its blob.
func errUploadExpired(cause error) error {
	return &s3err.Error{Code: s3err.SlowDown, Message: "The upload took longer than unfinished data is kept; please try again", Err: cause}
}

// copyHashed copies body to w and to sums. EntityTooLarge beyond limit bytes.
func copyHashed(w io.Writer, sums *sums, body *bodyReader, limit int64) (int64, error) {
	var total int64
	for {
		total += int64(body.n)
		if total > limit {
			return total, tooLarge(total, limit)
		}
		sums.Write(body.buf[:body.n])
		if _, err := w.Write(body.buf[:body.n]); err != nil {
			return total, err
		}
		if body.ended {
			return total, nil
		}
		if err := body.fill(); err != nil {
			return total, err
		}
	}
}

// verify compares the body with its declared size, MD5 and checksum.
// IncompleteBody, BadDigest.
func (r *received) verify(sums *sums, in incoming) error {
	r.size, r.md5 = r.segment.Size, sums.md5.Sum(nil)
	if in.size >= 0 && r.size != in.size {
		return &s3err.Error{Code: s3err.IncompleteBody, Err: fmt.Errorf("%d bytes declared, %d came", in.size, r.size)}
	}
	if in.md5 != nil && !bytes.Equal(in.md5, r.md5) {
		return fail(s3err.BadDigest, "The Content-MD5 you specified did not match what we received.").
			With("CalculatedDigest", base64.StdEncoding.EncodeToString(r.md5)).With("ExpectedDigest", hex.EncodeToString(in.md5))
	}
	if sums.checksum == nil {
		return nil
	}
	r.checksum = &meta.Checksum{Algorithm: in.checksum.Algorithm, Type: FullObject,
		Value: base64.StdEncoding.EncodeToString(sums.checksum.Sum(nil))}
	if in.checksum.Expected == nil {
		return nil
	}
	want, err := in.checksum.Expected()
	if err != nil {
		return err
	}
	if want != "" && want != r.checksum.Value {
		return fail(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", in.checksum.Algorithm)
	}
	return nil
}

// discard deletes the blob of a body that no version will refer to. What cannot
// be deleted now is left to the collector, and so are shared blobs.
func (s *Store) discard(r *received) {
	if r == nil || r.guard == nil || r.shared {
		return
	}
	s.async(func(ctx context.Context) {
		if deleted, _ := s.deleteUnlessHeld(ctx, []meta.Segment{r.segment}); deleted {
			s.dropEntries(ctx, r.guard...)
		}
	})
}

// discardAfter discards r after a change that failed with err. If it is not known
// whether the change was made, a version may refer to r: the collector decides.
func (s *Store) discardAfter(err error, r *received) {
	if err != nil && !unknown(err) {
		s.discard(r)
	}
}

// releaseGuard drops the queue entry of a body that a version refers to.
func (s *Store) releaseGuard(r *received) {
	if r.guard != nil {
		s.async(func(ctx context.Context) { s.dropEntries(ctx, r.guard...) })
	}
}

// sums computes all hashes of a body in one pass.
type sums struct {
	md5      hash.Hash
	checksum hash.Hash // nil if none is asked for
}

func newSums(algorithm string) (*sums, error) {
	s := &sums{md5: md5.New()}
	if algorithm == "" {
		return s, nil
	}
	var err error
	s.checksum, err = newChecksum(algorithm)
	return s, err
}

func (s *sums) Write(p []byte) {
	s.md5.Write(p)
	if s.checksum != nil {
		s.checksum.Write(p)
	}
}

// blobStore returns the blob store for a storage class in a bucket's region.
// InvalidStorageClass.
func (s *Store) blobStore(b *meta.Bucket, class string) (string, blob.Store, error) {
	name, ok := s.classesOf(b)[class]
	if !ok {
		return "", nil, s3err.New(s3err.InvalidStorageClass).With("StorageClassRequested", class)
	}
	return name, s.blobs[name], nil
}

// newQueueEntry returns the entry of a blob that is due when the grace time has
// passed.
func (s *Store) newQueueEntry(kind meta.QueueKind, bucket meta.BucketID, key string, upload meta.UploadID, seg meta.Segment) meta.QueueEntry {
	return meta.QueueEntry{
		Due: s.now().Add(s.grace).UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: kind,
		Blob: meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: bucket, Key: key, Upload: upload, Ref: seg.Ref},
	}
}
