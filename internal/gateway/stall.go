package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/pithos/pithos/s3api"
)

// stallGuard closes connections whose body stands still, in either direction.
// The time counts from one piece to the next: a slow but steady transfer of
// any length lives.
func stallGuard(stall time.Duration, maxBody int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		out := &guardedWriter{ResponseWriter: w, deadline: deadline{set: rc.SetWriteDeadline, stall: stall}}
		// What is still buffered is written after the handler has returned.
		defer out.deadline.extend()
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(out, r)
			return
		}
		in := &guardedBody{
			ReadCloser: r.Body, left: wireLimit(maxBody), limit: maxBody,
			deadline: deadline{set: rc.SetReadDeadline, stall: stall},
		}
		// The server reads on in what the handler leaves unread, also before
		// it writes: so the answer's deadline must be behind the body's.
		in.deadline.extend()
		out.deadline.stall = 2 * stall
		defer in.leave()
		if tooLarge(r, maxBody) {
			refuse(out, r, http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size of a request: service.max-body.", 0)
			return
		}
		guarded := *r // shallow: only the body is another
		guarded.Body = in
		next.ServeHTTP(out, &guarded)
	})
}

// tooLarge looks at the declared length: that of the decoded body, where the
// body is aws-chunked.
func tooLarge(r *http.Request, maxBody int64) bool {
	n := r.ContentLength
	if decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
		n = decoded
	}
	return n > maxBody || r.ContentLength > wireLimit(maxBody)
}

// wireLimit is the largest that a body may be on the wire: aws-chunked adds
// about 90 bytes to each chunk, of 8 KiB at least, and a trailer.
func wireLimit(maxBody int64) int64 { return maxBody + maxBody/16 + 64<<10 }

// deadline moves a connection's deadline along with the progress of a body.
type deadline struct {
	set   func(time.Time) error
	stall time.Duration
	last  time.Time
}

// touch extends the deadline, unless that was done a moment ago.
func (d *deadline) touch() {
	if now := time.Now(); now.Sub(d.last) > d.stall/16 {
		d.extend()
	}
}

// extend and lift ignore errors: a connection that cannot have a deadline is
// closed already, and the next read or write says so.
func (d *deadline) extend() {
	d.last = time.Now()
	_ = d.set(d.last.Add(d.stall))
}

func (d *deadline) lift() { _ = d.set(time.Time{}) }

// guardedBody is a request's body with a deadline for each piece and a limit.
type guardedBody struct {
	io.ReadCloser
	deadline    deadline
	left, limit int64
	ended       bool
}

// Read implements io.Reader.
func (b *guardedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	b.deadline.touch()
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF):
		// From now on the server watches the connection in the background,
		// and would take a passed deadline for a client that has gone.
		b.ended = true
		b.deadline.lift()
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = &s3api.Error{Code: "RequestTimeout", Err: err}
	case err == nil && b.left < 0:
		err = &http.MaxBytesError{Limit: b.limit}
	}
	return n, err
}

// leave gives the server a bounded time for what the handler has not read.
func (b *guardedBody) leave() {
	if !b.ended {
		b.deadline.extend()
	}
}

// pieceBytes is the largest write that one deadline covers.
const pieceBytes = 32 << 10

// guardedWriter is a response with a deadline for each piece.
type guardedWriter struct {
	http.ResponseWriter
	deadline deadline
}

// Write implements io.Writer.
func (w *guardedWriter) Write(p []byte) (int, error) {
	written := 0
	for {
		w.deadline.touch()
		n, err := w.ResponseWriter.Write(p[:min(len(p), pieceBytes)])
		written += n
		p = p[n:]
		if err != nil || len(p) == 0 {
			return written, err
		}
	}
}

// Unwrap is for http.ResponseController.
func (w *guardedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
