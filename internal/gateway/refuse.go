package gateway

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refuse answers with S3's error document, for what does not get as far as
// package s3api. retry, if not 0, becomes Retry-After.
func refuse(w http.ResponseWriter, r *http.Request, status int, code, message string, retry time.Duration) {
	n := noteOf(r.Context())
	n.Code, n.refused = code, true
	var resource strings.Builder
	// A strings.Builder never fails, and whatever is no XML is replaced.
	_ = xml.EscapeText(&resource, []byte(r.URL.Path))
	body := fmt.Sprintf("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message><Resource>%s</Resource></Error>",
		code, message, resource.String())
	h := w.Header()
	h.Set("Server", "Pithos")
	h.Set("Content-Type", "application/xml")
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(1, retry.Seconds()))))
	}
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		// Rather than read a body that nobody wants. In HTTP/2 it would end all
		// other streams of the connection; there the one stream is reset.
		h.Set("Connection", "close")
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that is gone needs no answer
	if ticketOf(r.Context()) == nil {
		linger(w, r) // else the admission does, when the request holds nothing
	}
}

// headerTooLarge refuses a request with more than maxHeaderLines.
func headerTooLarge(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, http.StatusBadRequest, "RequestHeaderSectionTooLarge", "Your request header section exceeds the maximum allowed request header section size.", 0)
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
