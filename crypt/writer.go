package crypt

import "io"

// NewWriter returns a writer that encrypts a segment into frames of frame bytes
// (normally [FrameBytes]) and writes them to w. Each segment needs its own salt from
// [NewSalt]: the same key must never be used twice with the same salt.
//
// Close writes the last frame, which marks the segment as complete: if the input
// failed, the writer must be dropped, not closed. Close does not close w. Invalid
// arguments and errors of w are returned by every later call. The writer must be
// used by one goroutine.
func NewWriter(w io.Writer, key DataKey, salt []byte, frame int) io.WriteCloser {
	frames, err := newFrames(key, salt, frame)
	if err != nil {
		return &writer{err: err}
	}
	return &writer{frames: frames, w: w, buf: getBuffer(frame)}
}

type writer struct {
	frames *frames
	w      io.Writer
	buf    []byte // the current frame, with room for its tag
	filled int    // plaintext bytes in buf
	next   uint64 // index of that frame
	err    error  // the error of every further call
}

// Write encrypts p. A full frame is kept until more data follows, because only then
// is it known that it is not the last.
func (w *writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	total := len(p)
	for len(p) > 0 {
		if w.filled == w.frames.size {
			if w.err = w.flush(false); w.err != nil {
				return total - len(p), w.err
			}
		}
		n := copy(w.buf[w.filled:w.frames.size], p)
		w.filled += n
		p = p[n:]
	}
	return total, nil
}

func (w *writer) flush(last bool) error {
	sealed := w.frames.seal(w.buf[:w.filled], w.next, last)
	w.next++
	w.filled = 0
	n, err := w.w.Write(sealed)
	if err == nil && n < len(sealed) {
		err = io.ErrShortWrite
	}
	return err
}

// Close writes the last frame.
func (w *writer) Close() error {
	if w.err != nil {
		return w.err
	}
	err := w.flush(true)
	w.err = errClosed
	if err != nil {
		w.err = err
	}
	putBuffer(w.buf)
	w.buf = nil
	return err
}
