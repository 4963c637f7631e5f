package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
)

// unreadLimit is the maximum number of bytes of a refused body that the server
// reads to keep the connection.
const unreadLimit = 64 << 10

// keptHeaders are the headers that a handler has set and that stay in an error
// answer.
var keptHeaders = map[string]bool{
	"Server": true, "X-Amz-Request-Id": true, "X-Amz-Id-2": true, "Vary": true, "X-Amz-Version-Id": true, "X-Amz-Bucket-Region": true,
}

// writeError answers a request with e.
func (a *API) writeError(w *response, r *Request, e *s3err.Error) {
	h := w.Header()
	for name := range h {
		if e.Code != s3err.NotModified && !strings.HasPrefix(name, "Access-Control-") && !keptHeaders[name] {
			h.Del(name)
		}
	}
	// In HTTP/2 it would end all other streams of the connection.
	if r.ProtoMajor == 1 && (r.Request.ContentLength > unreadLimit || r.Request.ContentLength < 0) {
		h.Set("Connection", "close")
	}
	var details []s3err.Detail
	if r.BucketName != "" {
		details = append(details, s3err.Detail{Name: "BucketName", Value: r.BucketName})
	}
	if r.Key != "" {
		details = append(details, s3err.Detail{Name: "Key", Value: r.Key})
	}
	WriteError(w, r.Request, e, append(details, s3err.Detail{Name: "Resource", Value: r.Resource()},
		s3err.Detail{Name: "RequestId", Value: r.ID}, s3err.Detail{Name: "HostId", Value: a.hostID})...)
}

// WriteError answers a request with the status of e, the headers that belong to e,
// and S3's error document: details are elements that follow those of e.
func WriteError(w http.ResponseWriter, r *http.Request, e *s3err.Error, details ...s3err.Detail) {
	status, h := statusOf(e), w.Header()
	setErrorHeaders(h, e)
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", "1")
	}
	if status == http.StatusNotModified || r.Method == http.MethodHead {
		h.Del("Content-Length")
		if status != http.StatusNotModified {
			h.Del("Content-Type")
		}
		w.WriteHeader(status)
		return
	}
	body := errorDocument(e, details)
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has disconnected needs no answer
}

// setErrorHeaders sets the headers that belong to e.
func setErrorHeaders(h http.Header, e *s3err.Error) {
	f := e.Found
	if f == nil {
		f = &s3err.Found{}
	}
	if f.DeleteMarker || e.Found != nil && e.Code == s3err.NoSuchKey {
		h.Set("X-Amz-Delete-Marker", strconv.FormatBool(f.DeleteMarker))
	}
	if f.VersionID != "" {
		h.Set("X-Amz-Version-Id", f.VersionID)
	}
	if !f.Modified.IsZero() {
		h.Set("Last-Modified", httpTime(f.Modified))
	}
	if f.ETag != "" {
		h.Set("Etag", quote(f.ETag))
	}
	if f.CacheControl != "" {
		h.Set("Cache-Control", f.CacheControl)
	}
	switch {
	case e.Code == s3err.InvalidRange:
		h.Set("Content-Range", "bytes */"+e.Detail("ActualObjectSize"))
	case e.Code == s3err.MethodNotAllowed && f.DeleteMarker:
		h.Set("Allow", http.MethodDelete)
	}
}

// Limits, in bytes, of the values of a request that error documents and log lines
// repeat: anyone can send a key or a header of 60 KB, and escaping makes it up to
// six times as long.
const (
	maxShown          = 2 << 10
	maxShownCanonical = 8 << 10
)

// clip returns at most the first most bytes of s, in whole characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// shown is the maximum number of bytes of a value in an error document. Canonical
// requests have a higher limit, since clients compare them with their own.
func shown(name string) int {
	switch name {
	case "CanonicalRequest", "StringToSign":
		return maxShownCanonical
	case "CanonicalRequestBytes", "StringToSignBytes":
		return 3 * maxShownCanonical // three characters for each byte
	}
	return maxShown
}

// errorDocument returns S3's error document: code, message, the details of e, and
// then more. Of several elements with the same name it has the first.
func errorDocument(e *s3err.Error, more []s3err.Detail) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error>")
	write := func(name, value string) {
		// Quotes are left as they are, as in S3's error documents.
		b.WriteString("<" + name + ">" + strings.ReplaceAll(escapeXML(clip(value, shown(name))), "&quot;", `"`) + "</" + name + ">")
	}
	write("Code", string(e.Code))
	write("Message", e.Text())
	named := map[string]bool{}
	for _, details := range [][]s3err.Detail{e.Details, more} {
		for _, d := range details {
			if !named[d.Name] {
				write(d.Name, d.Value)
			}
			named[d.Name] = true
		}
	}
	b.WriteString("</Error>")
	return []byte(b.String())
}
