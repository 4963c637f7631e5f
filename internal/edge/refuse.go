package edge

import (
	"io"
	"net/http"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// refuse answers a request that does not reach package s3api with e.
func refuse(w http.ResponseWriter, r *http.Request, e *s3err.Error) {
	info := requestInfo(r.Context())
	info.Code, info.Refused = string(e.Code), true
	h := w.Header()
	h.Set("Server", "Pithos")
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		// The body is not read. In HTTP/2 the header would end all streams of
		// the connection; there only this stream is reset.
		h.Set("Connection", "close")
	}
	s3api.WriteError(w, r, e, s3err.Detail{Name: "Resource", Value: r.URL.Path})
	if r.Method != http.MethodHead && ticketOf(r.Context()) == nil {
		drainBody(w, r) // with a ticket, admission does so when the request holds nothing
	}
}

// headerTooLarge refuses a request with more than maxHeaderLines.
func headerTooLarge(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, s3err.Newf(s3err.RequestHeaderSectionTooLarge, "Your request header section exceeds the maximum allowed request header section size."))
}

const (
	drainTime  = 2 * time.Second
	drainBytes = 16 << 20
)

// drainBody reads and drops the body that a client goes on sending, for a limited
// time. Many clients read no answer before they have sent the whole body, and lose
// the answer if the connection is closed before that (RFC 9112, section 9.6). So
// may a client that sent Expect: 100-continue and did not wait long enough. HTTP/2
// resets the stream and keeps the answer, so nothing is to be done there.
func drainBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.Body == nil || r.ProtoMajor != 1 {
		return
	}
	c := http.NewResponseController(w)
	if c.Flush() != nil || c.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return // not a connection of net/http
	}
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes) // the connection ends after any error
}
