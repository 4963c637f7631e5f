package s3api

import (
	"errors"
	"net/http"
	"time"
)

// Response is the http.ResponseWriter of a request. It records status and size of
// the answer, and lets the edge of the gateway limit it. All layers of the gateway
// share one Response: see [Record].
//
// It has no ReadFrom on purpose. The server's own (sendfile) needs a file, but
// blobs are verified in memory before any byte is sent, and slow clients are
// detected between two calls of Write. Any other ReadFrom would only prevent
// io.CopyBuffer from using its caller's buffer.
type Response struct {
	http.ResponseWriter
	// BeforeHeader, if not nil, is called once, before the header of the answer
	// is written. It may write another answer and return true; then all writes of
	// the handler fail with [ErrReplaced].
	BeforeHeader func(status int) (replaced bool)
	// Pace, if not nil, calls write, which waits for the client, and limits its
	// duration. It is called for each maxPacedWrite bytes and for each flush.
	Pace func(write func() (int, error)) (int, error)

	start     time.Time
	firstByte time.Duration
	status    int // 0 until the header is written
	bytes     int64
	replaced  bool
}

// response is the short name of the handlers.
type response = Response

// maxPacedWrite is the largest write for which Response.Pace is called, in bytes.
const maxPacedWrite = 32 << 10

// ErrReplaced is the error of a write to an answer that was replaced by another.
var ErrReplaced = errors.New("the answer was replaced by another one")

// Record returns w if it is a Response, else a Response that writes to w.
func Record(w http.ResponseWriter) *Response {
	if r, ok := w.(*Response); ok {
		return r
	}
	return &Response{ResponseWriter: w, start: time.Now()}
}

// Status returns the status of the answer; 0 until its header is written.
func (w *Response) Status() int { return w.status }

// Bytes returns the number of bytes of the answer's body that were written.
func (w *Response) Bytes() int64 { return w.bytes }

// FirstByte returns the time until the header was written; 0 until then.
func (w *Response) FirstByte() time.Duration { return w.firstByte }

// WriteHeader implements http.ResponseWriter.
func (w *Response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // 100 Continue is not the answer
		if before := w.BeforeHeader; before != nil {
			w.BeforeHeader = nil
			if before(status) {
				w.replaced = true
				return
			}
		}
		w.status, w.firstByte = status, time.Since(w.start)
	}
	if !w.replaced {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements io.Writer.
func (w *Response) Write(p []byte) (written int, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.replaced {
		return 0, ErrReplaced
	}
	if w.Pace == nil {
		written, err = w.ResponseWriter.Write(p)
		w.bytes += int64(written)
		return written, err
	}
	for {
		n, err := w.Pace(func() (int, error) { return w.ResponseWriter.Write(p[:min(len(p), maxPacedWrite)]) })
		written += n
		w.bytes += int64(n)
		p = p[n:]
		if err != nil || len(p) == 0 {
			return written, err
		}
	}
}

// Flush implements http.Flusher.
func (w *Response) Flush() { _ = w.FlushError() } // a Flusher cannot fail

// FlushError is for http.ResponseController. Like a write, a flush waits for the
// client.
func (w *Response) FlushError() error {
	flush := func() (int, error) { return 0, http.NewResponseController(w.ResponseWriter).Flush() }
	if w.Pace == nil {
		_, err := flush()
		return err
	}
	_, err := w.Pace(flush)
	return err
}

// Unwrap is for http.ResponseController.
func (w *Response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
