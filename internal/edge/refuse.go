package edge

import (
	"io"
	"net/http"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
)

// refuse answers a request that does not get as far as package s3api with e.
func refuse(w http.ResponseWriter, r *http.Request, e *s3err.Error) {
	n := noteOf(r.Context())
	n.Code, n.refused = string(e.Code), true
	h := w.Header()
	h.Set("Server", "Pithos")
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		// Rather than read a body that nobody wants. In HTTP/2 it would end all
		// other streams of the connection; there the one stream is reset.
		h.Set("Connection", "close")
	}
	s3api.WriteError(w, r, e, s3err.Detail{Name: "Resource", Value: r.URL.Path})
	if r.Method != http.MethodHead && ticketOf(r.Context()) == nil {
		linger(w, r) // else the admission does, when the request holds nothing
	}
}

// headerTooLarge refuses a request with more than maxHeaderLines.
func headerTooLarge(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, s3err.Newf(s3err.RequestHeaderSectionTooLarge, "Your request header section exceeds the maximum allowed request header section size."))
}

const (
	lingerTime  = 2 * time.Second
	lingerBytes = 16 << 20
)

// linger takes in, for a while, the body that a client goes on sending: many
// read no answer before they have sent it all, and a connection that is closed
// under their hands takes the answer with it (RFC 9112, section 9.6). One that
// asked first (Expect: 100-continue) may have given up waiting for the answer.
// HTTP/2 resets the stream and keeps the answer, so nothing is to be done there.
func linger(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 || r.Body == nil || r.ProtoMajor != 1 {
		return
	}
	c := http.NewResponseController(w)
	if c.Flush() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return // no connection of net/http
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes) // whatever ends it, the connection ends too
}
