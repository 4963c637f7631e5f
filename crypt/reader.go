package crypt

import (
	"errors"
	"fmt"
	"io"
)

// NewRangeReader returns a reader of length bytes of a segment's plaintext, starting
// at offset.
//
// open opens a range of the segment's ciphertext. It is called once, before
// NewRangeReader returns, for exactly the frames that contain the range. If length
// is 0 it is not called, unless the segment is empty: then its only tag is verified.
// key, salt and frame are those of [NewWriter]; plainSize is the length of the
// segment's plaintext in bytes.
//
// The reader returns exactly length bytes and io.EOF, or an error, which it repeats:
// [ErrAuthentication], or an error of open or of the opened source. Every byte it
// returns has been authenticated. It must be used, and closed, by one goroutine.
func NewRangeReader(
	open func(offset, length int64) (io.ReadCloser, error),
	key DataKey, salt []byte, frame int,
	plainSize, offset, length int64,
) (io.ReadCloser, error) {
	frames, err := newFrames(key, salt, frame)
	if err != nil {
		return nil, err
	}
	size := CipherSize(plainSize, frame)
	if size < 0 || offset < 0 || length < 0 || offset > plainSize || length > plainSize-offset {
		return nil, fmt.Errorf("crypt: bytes %d+%d of a segment of %d", offset, length, plainSize)
	}
	r := &rangeReader{frames: frames, plainSize: plainSize, left: length}
	if length == 0 && plainSize > 0 {
		r.err = io.EOF
		return r, nil
	}
	r.next = offset / int64(frame)
	r.skip = int(offset % int64(frame))
	r.stop = (offset + max(length, 1) - 1) / int64(frame)
	stored := int64(frame) + TagBytes
	from, to := r.next*stored, size
	if r.stop < frameCount(plainSize, frame)-1 {
		to = (r.stop + 1) * stored
	}
	if r.src, err = open(from, to-from); err != nil {
		return nil, err
	}
	r.buf = getBuffer(frame)
	return r, nil
}

type rangeReader struct {
	frames     *frames
	src        io.ReadCloser
	plainSize  int64
	next, stop int64  // the frame to read next, and the last one to read
	skip       int    // bytes of the first frame before the range
	left       int64  // bytes of the range not yet in plain
	buf        []byte // one frame
	plain      []byte // the part of buf that is authenticated and not yet returned
	probe      [1]byte
	err        error // what every further Read returns
}

func (r *rangeReader) Read(p []byte) (int, error) {
	if r.err == nil && len(r.plain) == 0 {
		r.fill()
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// fill sets plain from the next frame, or err.
func (r *rangeReader) fill() {
	if r.next > r.stop {
		r.err = io.EOF
		return
	}
	plain, err := r.frame()
	if err != nil {
		r.err = err
		return
	}
	plain = plain[r.skip:]
	r.skip = 0
	r.plain = plain[:min(int64(len(plain)), r.left)]
	r.left -= int64(len(r.plain))
	if len(r.plain) == 0 { // the one frame of an empty segment
		r.err = io.EOF
	}
}

// frame reads and authenticates the next frame.
func (r *rangeReader) frame() ([]byte, error) {
	start := r.next * int64(r.frames.size)
	size := min(int64(r.frames.size), r.plainSize-start)
	buf := r.buf[:size+TagBytes]
	if _, err := io.ReadFull(r.src, buf); err != nil {
		return nil, cut(r.next, err)
	}
	plain, err := r.frames.open(buf, uint64(r.next), start+size == r.plainSize)
	if err != nil {
		return nil, err
	}
	r.next++
	if r.next > r.stop {
		err = r.atEnd()
	}
	return plain, err
}

// atEnd checks that the source ends here, without an error: a source may report its
// error only at the end.
func (r *rangeReader) atEnd() error {
	n, err := io.ReadFull(r.src, r.probe[:])
	if n > 0 {
		return fmt.Errorf("bytes after frame %d: %w", r.stop, ErrAuthentication)
	}
	if err != io.EOF {
		return err
	}
	return nil
}

// cut returns the error for a source that did not return a whole frame.
func cut(frame int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("frame %d is cut short: %w", frame, ErrAuthentication)
	}
	return err
}

// Close closes the opened source. Reads fail afterwards.
func (r *rangeReader) Close() error {
	r.err = errClosed
	r.plain = nil
	putBuffer(r.buf)
	r.buf = nil
	src := r.src
	r.src = nil
	if src == nil {
		return nil
	}
	return src.Close()
}
