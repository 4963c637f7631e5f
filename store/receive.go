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

// received is a body that was stored and verified, and that nothing refers to
// yet.
type received struct {
	size     int64
	md5      []byte
	checksum *meta.Checksum
	payload  []byte // where the body is inline
	segment  meta.Segment
	inline   bool
	// guard is the queue entry that keeps the collector's eye on the blob.
	guard []meta.QueueEntry
	// shared says that the blobs are those of another key.
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

// receive reads a body to its end, in one pass: hashes, encryption, chunks.
// Nothing stays stored when it returns an error. Memory is one buffer and the
// blob writer's window.
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
	first := (*buf)[:limit+1]
	if in.size > int64(limit) {
		first = *buf // it will not be inline: begin with a full buffer
	}
	n, ended, err := readFull(in.body, first)
	if err != nil {
		return nil, err
	}
	r := &received{}
	if ended && t.inline && n <= limit {
		err = s.keepInline(r, t, sums, first[:n])
	} else {
		err = s.keepBlob(ctx, r, t, sums, in.body, *buf, n, ended)
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

// readFull reads until buf is full or the body ends. Unlike io.ReadFull it tells
// the end of a body from a connection that was cut.
func readFull(body io.Reader, buf []byte) (n int, ended bool, err error) {
	for n < len(buf) {
		m, err := body.Read(buf[n:])
		n += m
		switch {
		case err == nil:
		case s3err.CodeOf(err) != "":
			return n, false, err // the reader says already what is wrong with the body
		case errors.Is(err, io.ErrUnexpectedEOF):
			return n, false, &s3err.Error{Code: s3err.IncompleteBody, Err: err}
		case err == io.EOF: // exactly: readers that verify return their error in its place
			return n, true, nil
		default:
			return n, false, err
		}
	}
	return n, false, nil
}

// keepInline encrypts a small body into the row's payload.
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

// keepBlob stores a body as a blob: the n bytes in buf, and then the rest.
func (s *Store) keepBlob(ctx context.Context, r *received, t target, sums *sums, body io.Reader, buf []byte, n int, ended bool) error {
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
	total, err := copyHashed(enc, sums, body, buf, n, ended, t.maxBytes)
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

// errUploadExpired is the error of a body that took longer than the collector waits.
func errUploadExpired(err error) error {
	return &s3err.Error{Code: s3err.SlowDown, Message: "The upload took longer than unfinished data is kept; please try again", Err: err}
}

// copyHashed copies the n bytes of buf, and then the rest of body, through sums to w.
func copyHashed(w io.Writer, sums *sums, body io.Reader, buf []byte, n int, ended bool, limit int64) (int64, error) {
	var total int64
	for {
		total += int64(n)
		if total > limit {
			return total, tooLarge(total, limit)
		}
		sums.Write(buf[:n])
		if _, err := w.Write(buf[:n]); err != nil {
			return total, err
		}
		if ended {
			return total, nil
		}
		var err error
		if n, ended, err = readFull(body, buf); err != nil {
			return total, err
		}
	}
}

// verify compares what came with what was declared.
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

// discard removes the blob of a body that nothing will refer to. What does
// not come off, the collector finds, and ends what was borrowed.
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

// releaseGuard says that the body is referred to now: the collector need not look.
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

// blobStore returns the blob store for a storage class of a bucket's region.
func (s *Store) blobStore(b *meta.Bucket, class string) (string, blob.Store, error) {
	name, ok := s.classesOf(b)[class]
	if !ok {
		return "", nil, s3err.New(s3err.InvalidStorageClass).With("StorageClassRequested", class)
	}
	return name, s.blobs[name], nil
}

func (s *Store) newQueueEntry(kind meta.QueueKind, bucket meta.BucketID, key string, upload meta.UploadID, seg meta.Segment) meta.QueueEntry {
	return meta.QueueEntry{
		Due: s.now().Add(s.grace).UTC().Truncate(time.Microsecond), Entry: meta.NewID(), Kind: kind,
		Blob: meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: bucket, Key: key, Upload: upload, Ref: seg.Ref},
	}
}
