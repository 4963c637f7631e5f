package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/internal/buffer"
)

var errClosed = errors.New("reader is closed")

// image is the stored form of a blob.
type image interface {
	io.ReaderAt
	io.Closer
}

// piece is a part of an image in a pooled buffer.
type piece struct {
	data []byte
	base int64 // where data begins in the image
}

func (p *piece) ReadAt(b []byte, offset int64) (int, error) {
	n := copy(b, p.data[min(max(0, offset-p.base), int64(len(p.data))):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (p *piece) Close() error {
	buffer.Put(p.data)
	p.data = nil
	return nil
}

// reader reads a range of a blob, chunk by chunk.
type reader struct {
	ctx   context.Context
	ref   blob.Ref
	image image

	next int64 // offset in the blob of the next byte to verify
	end  int64 // where the range ends
	buf  []byte
	rest []byte // of buf: verified, not yet returned
	err  error  // sticks
}

// Open implements [blob.Store]. The reader is also an [io.WriterTo].
func (s *Store) Open(ctx context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	if err := checkRange(ref, offset, length); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", ref.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &reader{ctx: ctx, ref: ref, next: offset, end: offset + length}
	if length == 0 {
		return r, nil
	}
	var err error
	if r.image, err = s.openImage(ref, offset, length); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", ref.ID, err)
	}
	return r, nil
}

func checkRange(ref blob.Ref, offset, length int64) error {
	if offset < 0 || length < 0 || offset > ref.Size || length > ref.Size-offset {
		return fmt.Errorf("range of %d bytes from %d on is outside of its %d bytes", length, offset, ref.Size)
	}
	if ref.Chunk <= 0 && ref.Size > 0 {
		return fmt.Errorf("invalid chunk size %d in the reference: the blob is not of this store", ref.Chunk)
	}
	return nil
}

// openImage reads from the database or a file, first from the one that the present
// settings choose.
func (s *Store) openImage(ref blob.Ref, offset, length int64) (image, error) {
	open := []func() (image, error){
		func() (image, error) { return s.openSmallImage(ref, offset, length) },
		func() (image, error) { return s.openLargeImage(ref) },
	}
	if ref.Size > s.opts.SmallBytes {
		open[0], open[1] = open[1], open[0]
	}
	img, err := open[0]()
	if errors.Is(err, blob.ErrNotFound) {
		return open[1]()
	}
	return img, err
}

func (s *Store) openLargeImage(ref blob.Ref) (image, error) {
	f, err := s.opts.FS.Open(s.largePath(ref.ID))
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, blob.ErrNotFound
	}
	if err != nil {
		return nil, diskError(err)
	}
	return f, nil
}

// openSmallImage copies the chunks of the range: a value that is kept would retain a
// memtable or a block while a slow client reads.
func (s *Store) openSmallImage(ref blob.Ref, offset, length int64) (image, error) {
	var p *piece
	found, err := s.getSmall(ref.ID, func(whole []byte) error {
		if want := imageLen(ref.Size, int64(ref.Chunk)); int64(len(whole)) != want {
			return fmt.Errorf("%w: %d bytes are stored, and %d were written", blob.ErrCorrupt, len(whole), want)
		}
		from, _ := frame(ref, offset/int64(ref.Chunk))
		last, n := frame(ref, (offset+length-1)/int64(ref.Chunk))
		part := whole[from : last+int64(n)]
		p = &piece{data: append(buffer.Get(len(part)), part...), base: from}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, blob.ErrNotFound
	}
	return p, nil
}

// fill verifies the next chunk and sets rest to its part of the range.
func (r *reader) fill() error {
	if r.err != nil {
		return r.err
	}
	if r.next == r.end {
		return io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	chunk := int64(r.ref.Chunk)
	n := r.next / chunk
	offset, length := frame(r.ref, n)
	if r.buf == nil {
		r.buf = buffer.Get(min(int(chunk), int(r.ref.Size)) + sumBytes)
	}
	data := r.buf[:length]
	if err := r.load(data, n, offset); err != nil {
		return fmt.Errorf("read chunk %d of blob %s: %w", n, r.ref.ID, err)
	}
	from, to := r.next-n*chunk, min(r.end-n*chunk, int64(length-sumBytes))
	r.rest = data[from:to]
	r.next += to - from
	return nil
}

func (r *reader) load(frame []byte, chunk, offset int64) error {
	n, err := r.image.ReadAt(frame, offset)
	switch {
	case n == len(frame):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it is truncated", blob.ErrCorrupt)
	default:
		return diskError(err)
	}
	if !intact(frame, r.ref.ID, chunk) {
		return fmt.Errorf("%w: wrong checksum", blob.ErrCorrupt)
	}
	return nil
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.rest) == 0 {
		if r.err = r.fill(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo implements [io.WriterTo]: it writes from the reader's own buffer.
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(r.rest) == 0 {
			if r.err = r.fill(); r.err == io.EOF {
				return written, nil
			} else if r.err != nil {
				return written, r.err
			}
		}
		n, err := w.Write(r.rest)
		written, r.rest = written+int64(n), r.rest[n:]
		if err != nil {
			return written, err
		}
	}
}

// Close implements [io.Closer].
func (r *reader) Close() error {
	if errors.Is(r.err, errClosed) {
		return nil
	}
	r.err, r.rest = errClosed, nil
	buffer.Put(r.buf)
	r.buf = nil
	if r.image == nil {
		return nil
	}
	return r.image.Close()
}
