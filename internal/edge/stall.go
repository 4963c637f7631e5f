package edge

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// stallGuard closes connections whose body is too slow, in either direction, see
// [pace]: a request does not hold its memory for longer than its size justifies.
//
// A deadline is set only while the gateway waits for the client. In HTTP/2 a
// deadline that passes ends the stream at once, even if only the engine works at
// that time. So it is lifted there after each read and write.
func stallGuard(stall time.Duration, maxBody int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		answer := s3api.Record(w)
		out := &answerPace{deadline: deadline{set: rc.SetWriteDeadline}, pace: streamPace(stall), streams: r.ProtoMajor != 1}
		answer.Pace = out.write
		out.deadline.lift() // that of Server.ServeHTTP
		defer func() {
			answer.Pace = nil
			out.deadline.in(stall) // for what is still buffered
		}()
		if r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(answer, r)
			return
		}
		in := &guardedBody{
			ReadCloser: r.Body, left: wireLimit(maxBody), limit: maxBody,
			deadline: deadline{set: rc.SetReadDeadline}, pace: streamPace(stall), streams: r.ProtoMajor != 1,
		}
		if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
			in.writes = rc.SetWriteDeadline // the first read writes 100 Continue
		}
		if t := ticketOf(r.Context()); t != nil {
			in.pace = strangerPace
			t.body = func(kind s3api.WorkKind) { in.admitted(kind, stall) }
			defer func() { t.unread = !in.ended && !in.tooSlow && (r.ContentLength < 0 || r.ContentLength > smallBody) }()
		}
		// The server reads what the handler leaves unread, also before it
		// writes: so the deadline of the answer must be later than the body's.
		if !in.streams {
			in.deadline.in(in.pace.credit)
		}
		out.pace.credit += stall
		out.pace.most += stall
		defer in.leave()
		if tooLarge(r, maxBody) {
			refuse(answer, r, s3err.Newf(s3err.EntityTooLarge, "Your proposed upload exceeds the maximum allowed size of a request: service.max-body."))
			return
		}
		guarded := *r // shallow: only the body is another
		guarded.Body = in
		next.ServeHTTP(answer, &guarded)
	})
}

// tooLarge checks the declared length: that of the decoded body, if the body is
// aws-chunked.
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

// pace is the minimum speed of a body. The time of waiting for the client is
// subtracted from a credit, and each byte adds to it. When the credit is used up,
// the client is too slow. The time of the engine does not count. So a client may
// pause for the whole credit, but must reach the rate on average over any longer
// time: the credit has a maximum, so early bytes cannot be saved up.
type pace struct {
	credit, most time.Duration
	// rate is the number of bytes that add a second; 0: credit is a total time.
	rate int64
}

// strangerPace is for the part of a body that is read before the caller is known.
var strangerPace = pace{credit: 30 * time.Second, most: 30 * time.Second}

// documentPace is for bodies that are read into memory as a whole.
var documentPace = pace{credit: 30 * time.Second, most: 30 * time.Second, rate: 4 << 10}

// streamPace is for the bytes of objects and for answers: clients on a bad link
// must succeed.
func streamPace(stall time.Duration) pace { return pace{credit: stall, most: stall, rate: 1 << 10} }

// spend subtracts the time of waiting for the client, and adds the n bytes that it
// sent or read.
func (p *pace) spend(waited time.Duration, n int) {
	p.credit -= waited
	if p.rate > 0 {
		p.credit += time.Duration(int64(n) * int64(time.Second) / p.rate)
	}
	p.credit = min(p.credit, p.most)
}

// deadline is the deadline of one direction of a connection.
type deadline struct {
	set func(time.Time) error
	at  time.Time // as it was set last
}

// in sets the deadline to left from now, unless it is about there. It ignores
// errors, as lift does: a connection that cannot have a deadline is closed, and
// the next read or write returns the error.
func (d *deadline) in(left time.Duration) {
	at := time.Now().Add(left)
	if later := at.Sub(d.at); later < 0 || later > left/16 {
		d.at = at
		_ = d.set(at)
	}
}

func (d *deadline) lift() {
	d.at = time.Time{}
	_ = d.set(time.Time{})
}

// smallBody is the longest body, in bytes, that the server reads after the answer
// to keep the connection. See package s3api.
const smallBody = 64 << 10

// guardedBody is a request's body with a minimum speed and a limit.
type guardedBody struct {
	io.ReadCloser
	deadline    deadline
	pace        pace
	kind        s3api.WorkKind
	left, limit int64
	streams     bool // HTTP/2: the deadline is lifted between reads
	ended       bool
	tooSlow     bool
	// writes sets the write deadline; nil: reading writes nothing.
	writes func(time.Time) error
}

// admitted changes the pace to that of the work that the request was admitted
// for.
func (b *guardedBody) admitted(kind s3api.WorkKind, stall time.Duration) {
	if kind == b.kind {
		return // a document that grows gets no new credit
	}
	b.kind = kind
	switch kind {
	case s3api.WorkDocument:
		b.pace = documentPace
	case s3api.WorkStream:
		b.pace = streamPace(stall)
	}
}

// Read implements io.Reader.
func (b *guardedBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	b.deadline.in(b.pace.credit)
	start := time.Now()
	if b.writes != nil { // errors: as in deadline.in
		_ = b.writes(start.Add(b.pace.credit))
	}
	n, err := b.ReadCloser.Read(p)
	if b.writes != nil {
		_ = b.writes(time.Time{})
		b.writes = nil
	}
	b.pace.spend(time.Since(start), n)
	b.left -= int64(n)
	if b.streams && err == nil {
		b.deadline.lift()
	}
	switch {
	case errors.Is(err, io.EOF):
		// From now on the server watches the connection, and would take a
		// deadline that passes for a client that has gone.
		b.ended = true
		b.deadline.lift()
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.tooSlow = true
		err = &s3err.Error{Code: s3err.RequestTimeout, Err: err}
	case err == nil && b.left < 0:
		err = &http.MaxBytesError{Limit: b.limit}
	}
	return n, err
}

// leave gives the server a bounded time for what the handler has not read.
func (b *guardedBody) leave() {
	switch {
	case b.tooSlow:
		b.deadline.in(0)
	case !b.ended:
		b.deadline.in(min(b.pace.most, leaveTime))
	}
}

// leaveTime is the time to read the rest of a small body.
const leaveTime = 10 * time.Second

// answerPace bounds the time of writing an answer by a minimum speed.
type answerPace struct {
	deadline deadline
	pace     pace
	streams  bool // HTTP/2: the deadline is lifted between writes
}

// write is [s3api.Response.Pace]: it writes within the deadline and accounts for
// the time.
func (p *answerPace) write(write func() (int, error)) (int, error) {
	p.deadline.in(p.pace.credit)
	start := time.Now()
	n, err := write()
	p.pace.spend(time.Since(start), n)
	if p.streams && err == nil {
		p.deadline.lift()
	}
	return n, err
}
