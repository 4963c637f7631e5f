package s3api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
)

type formKey struct{}

func formOf(r *Request) *form { return r.Context().Value(formKey{}).(*form) }

// authenticateForm reads a form up to its file, and takes the caller and the key
// from its policy and fields. It is the Authenticate of the row PostObject. From
// then on the request looks like the PUT of the object: its headers are made of the
// fields, and its body is the file.
func authenticateForm(a *API, r *Request) error {
	if values := r.Header["Authorization"]; len(values) > 0 || sigv4.Signed(r.Request) || sigv2.Signed(r.Request) {
		return failf(s3err.InvalidArgument, "Only one auth mechanism allowed: a form is authenticated by its fields.").With("ArgumentName", "Authorization")
	}
	if err := checkFormHeader(r.Header); err != nil {
		return err
	}
	if err := a.openPlain(r); err != nil { // x-amz-content-sha256 may be there
		return err
	}
	if err := r.admit(WorkForm, 0); err != nil {
		return err
	}
	f, err := readForm(r.Body, r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	caller, err := a.formCaller(r, f)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = f, -1
	if !caller.Anonymous() {
		if r.Body, err = a.heldToPolicy(r, f); err != nil {
			return err
		}
	}
	if err := r.takeKey(f); err != nil {
		return err
	}
	header, err := f.headers(r.Header)
	if err != nil {
		return err
	}
	r.Request = r.WithContext(context.WithValue(r.Context(), formKey{}, f)) // a copy: the server keeps its own
	r.Request.Header = header
	r.Caller = caller
	return nil
}

// heldToPolicy checks the form against its policy, whose signature is verified, and
// returns the file with the policy's limits.
func (a *API) heldToPolicy(r *Request, f *form) (io.Reader, error) {
	p, err := parsePostPolicy(f.fields["policy"])
	if err != nil {
		return nil, err
	}
	if err := p.check(f, r.BucketName, a.options.Now()); err != nil {
		return nil, err
	}
	return &sizedFile{file: f, least: p.least, most: p.most}, nil
}

// takeKey sets the request's key from the form.
func (r *Request) takeKey(f *form) error {
	if b, ok := f.fields["bucket"]; ok && b != r.BucketName {
		return badArgument("bucket", b, "The field bucket names another bucket than the address.")
	}
	if !f.has("key") {
		return missingField("key")
	}
	if f.fields["key"] == "" {
		return badArgument("key", "", "User key must have a length greater than 0.")
	}
	if err := checkKey(f.fields["key"]); err != nil {
		return err
	}
	r.Key = f.fields["key"]
	return nil
}

// sizedFile enforces the content-length-range of a file.
type sizedFile struct {
	file        io.Reader
	least, most int64
	n           int64
}

// Read implements io.Reader. It returns EntityTooLarge as soon as the file is too
// large, and EntityTooSmall in place of io.EOF.
func (s *sizedFile) Read(p []byte) (int, error) {
	n, err := s.file.Read(p)
	s.n += int64(n)
	switch {
	case s.n > s.most:
		return 0, fail(s3err.EntityTooLarge).With("ProposedSize", strconv.FormatInt(s.n, 10)).With("MaxSizeAllowed", strconv.FormatInt(s.most, 10))
	case err == io.EOF && s.n < s.least: //nolint:errorlint // as io.Reader has it
		return 0, fail(s3err.EntityTooSmall).With("ProposedSize", strconv.FormatInt(s.n, 10)).With("MinSizeAllowed", strconv.FormatInt(s.least, 10))
	}
	return n, err
}

// postObject is POST Object in the S3 API reference.
func postObject(a *API, w http.ResponseWriter, r *Request) error {
	in, err := a.putInput(r)
	if err != nil {
		return err
	}
	result, err := a.store.Put(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	h := w.Header()
	written(h, result)
	h.Set("Etag", quote(result.ETag))
	writeChecksum(h, result.Checksum)
	return a.answerForm(w, r, formOf(r), quote(result.ETag))
}

// postResponse has no namespace: S3's has none.
type postResponse struct {
	XMLName  struct{} `xml:"PostResponse"`
	Location text
	Bucket   string
	Key      text
	ETag     string
}

// answerForm answers as success_action_redirect, or else success_action_status,
// requires. Invalid values are ignored, as S3 documents.
func (a *API) answerForm(w http.ResponseWriter, r *Request, f *form, etag string) error {
	h := w.Header()
	if to := f.redirect(r, etag); to != "" {
		h.Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	location := a.location(r)
	h.Set("Location", location)
	switch f.fields["success_action_status"] {
	case "200":
		w.WriteHeader(http.StatusOK)
	case "201":
		body, err := encodeXML(postResponse{Location: text(location), Bucket: r.BucketName, Key: text(r.Key), ETag: etag})
		if err != nil {
			return err
		}
		h.Set("Content-Type", "application/xml")
		h.Set("Content-Length", itoa(len(body)))
		w.WriteHeader(http.StatusCreated)
		_, err = w.Write(body)
		return err
	default:
		w.WriteHeader(http.StatusNoContent)
	}
	return nil
}

// redirect returns the URL to which the browser is redirected, with bucket, key and
// ETag added to its query; "" if the form has none or it is not an HTTP URL.
func (f *form) redirect(r *Request, etag string) string {
	to, ok := f.fields["success_action_redirect"]
	if !ok {
		to = f.fields["redirect"] // its old name
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	encode := func(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "bucket=" + encode(r.BucketName) + "&key=" + encode(r.Key) + "&etag=" + encode(etag)
	return u.String()
}
