package s3api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// attributes parses the headers that describe the object to be written.
func (a *API) attributes(r *Request) (at store.Attributes, err error) {
	at = store.Attributes{Owner: r.Owner(), Class: r.Header.Get("X-Amz-Storage-Class"),
		Headers: objectHeaders(r.Header), Metadata: userMetadata(r.Header)}
	if at.ACL, err = a.aclFromHeaders(r, at.Owner); err != nil {
		return at, err
	}
	if err = checkRedirect(at.Headers["X-Amz-Website-Redirect-Location"]); err != nil {
		return at, err
	}
	if at.Tags, err = taggingHeader(r.Header.Get("X-Amz-Tagging")); err != nil {
		return at, err
	}
	if err = lockHeaders(r.Header, time.Now(), &at); err != nil {
		return at, err
	}
	at.Encryption, err = a.encryption(r)
	return at, err
}

// checkRedirect refuses a website redirect that is neither a path nor an http or
// https URL.
func checkRedirect(v string) error {
	if v == "" || strings.HasPrefix(v, "/") || strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://") {
		return nil
	}
	return failf(s3err.InvalidRedirectLocation, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.")
}

// contentLength returns MissingContentLength if the length of a body is not known.
func contentLength(r *Request) error {
	if r.ContentLength < 0 && r.Request.ContentLength < 0 && r.Header.Get("X-Amz-Decoded-Content-Length") == "" && len(r.TransferEncoding) == 0 {
		return fail(s3err.MissingContentLength)
	}
	return nil
}

// putInput parses the headers of a PUT, or of a form converted to one.
func (a *API) putInput(r *Request) (in store.PutInput, err error) {
	in = store.PutInput{Body: r.Body, Size: r.ContentLength}
	if in.Attributes, err = a.attributes(r); err != nil {
		return in, err
	}
	if in.Conditions, err = writeConditions(r.Header); err != nil {
		return in, err
	}
	if in.ContentMD5, err = contentMD5(r.Header); err != nil {
		return in, err
	}
	in.Reauthorize = func(context.Context) (*meta.Bucket, store.PutInput, error) { return a.reauthorizePut(r) }
	in.Checksum, err = bodyChecksum(r)
	return in, err
}

// reauthorizePut authorizes a PUT for the bucket that has the name now, and parses
// its headers again: the owner of the object depends on the bucket.
func (a *API) reauthorizePut(r *Request) (*meta.Bucket, store.PutInput, error) {
	r.forgetBucket()
	if err := a.loadBucket(r); err != nil {
		return nil, store.PutInput{}, err
	}
	if err := a.authorize(r); err != nil {
		return nil, store.PutInput{}, err
	}
	in, err := a.putInput(r)
	in.Reauthorize = nil
	return r.Bucket, in, err
}

// putObject is PutObject in the S3 API reference.
func putObject(a *API, w http.ResponseWriter, r *Request) error {
	if err := contentLength(r); err != nil {
		return err
	}
	in, err := a.putInput(r)
	if err != nil {
		return err
	}
	if v := r.Header.Get("X-Amz-Write-Offset-Bytes"); v != "" {
		offset, err := strconv.ParseInt(v, 10, 64)
		if err != nil || offset < 0 {
			return badArgument("x-amz-write-offset-bytes", v, "The offset must be a number of bytes")
		}
		in.Offset = &offset
	}
	result, err := a.store.Put(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	h := w.Header()
	written(h, result)
	writeContext(h, result.Encryption)
	h.Set("Etag", quote(result.ETag))
	writeChecksum(h, result.Checksum)
	h.Set("X-Amz-Object-Size", strconv.FormatInt(result.Size, 10))
	w.WriteHeader(http.StatusOK)
	return nil
}

// written sets the headers that describe the version that a write has made.
func written(h http.Header, p *store.PutResult) {
	if p.VersionID != "" && p.VersionID != "null" { // S3 does not return the id of a null version
		h.Set("X-Amz-Version-Id", p.VersionID)
	}
	writeEncryption(h, p.Encryption)
}

// copySource is the source object of a copy.
type copySource struct {
	bucket, key, version string
}

// parseCopySource parses x-amz-copy-source: /bucket/key?versionId=id, URL-encoded
// as in a form: a plus sign is a space, as on AWS and in clients.
func parseCopySource(v string) (c copySource, err error) {
	bad := badArgument("x-amz-copy-source", v, "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
	path, query, found := strings.Cut(v, "?")
	if found {
		id, ok := strings.CutPrefix(query, "versionId=")
		if !ok || id == "" {
			return c, bad
		}
		if c.version, err = url.QueryUnescape(id); err != nil {
			return c, bad
		}
	}
	if path, err = url.QueryUnescape(path); err != nil {
		return c, bad
	}
	path = strings.TrimPrefix(path, "/")
	var ok bool
	if c.bucket, c.key, ok = strings.Cut(path, "/"); !ok || c.bucket == "" || c.key == "" || !utf8.ValidString(path) {
		return c, bad
	}
	return c, checkKey(c.key)
}

// source parses the source of a copy and reads its bucket.
func (a *API) source(r *Request) (c copySource, b *meta.Bucket, err error) {
	if c, err = parseCopySource(r.Header.Get("X-Amz-Copy-Source")); err != nil {
		return c, nil, err
	}
	b, err = a.store.Bucket(r.Context(), c.bucket)
	return c, b, err
}

// directive parses COPY or REPLACE.
func directive(h http.Header, name string) (replace bool, err error) {
	switch v := h.Get(name); v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	default:
		what := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(name), "x-amz-"), "-directive")
		return false, badArgument(strings.ToLower(name), v, "Unknown %s directive.", what)
	}
}

type copyObjectResult struct {
	XMLName      struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyObjectResult"`
	LastModified stamp
	ETag         string
	checksumFields
}

// copyObject is CopyObject in the S3 API reference.
func copyObject(a *API, w http.ResponseWriter, r *Request) error {
	c, b, err := a.source(r)
	if err != nil {
		return err
	}
	at, err := a.attributes(r)
	if err != nil {
		return err
	}
	in := store.CopyInput{Source: b, SourceFound: r.sourceFound(), SourceKey: c.key, SourceVersion: c.version, Attributes: at,
		SourceConditions: conditions(r.Header, copyFrom)}
	if in.SourceKeySSEC, err = a.customerKey(r, copyFrom); err != nil {
		return err
	}
	if in.ReplaceMetadata, err = directive(r.Header, "X-Amz-Metadata-Directive"); err != nil {
		return err
	}
	if in.ReplaceTags, err = directive(r.Header, "X-Amz-Tagging-Directive"); err != nil {
		return err
	}
	if !in.ReplaceTags { // the tags that the caller is authorized to copy
		in.ReplaceTags, in.Tags = true, r.carriedTags
	}
	if in.Conditions, err = writeConditions(r.Header); err != nil {
		return err
	}
	if in.Checksum, err = wantedChecksum(r.Header); err != nil {
		return err
	}
	result, err := a.store.Copy(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	h := w.Header()
	written(h, &result.PutResult)
	writeContext(h, result.Encryption)
	if result.SourceVersionID != "" {
		h.Set("X-Amz-Copy-Source-Version-Id", result.SourceVersionID)
	}
	sums := checksumOf(result.Checksum)
	if result.Checksum != nil {
		sums.ChecksumType = result.Checksum.Type
	}
	return writeXML(w, copyObjectResult{LastModified: stamp(result.Modified), ETag: quote(result.ETag), checksumFields: sums})
}

// renameSource returns the source key of a RenameObject.
func renameSource(r *Request) (string, error) {
	from, err := url.PathUnescape(r.Header.Get("X-Amz-Rename-Source"))
	from = strings.TrimPrefix(strings.TrimPrefix(from, "/"), r.BucketName+"/")
	if err != nil || from == "" || !utf8.ValidString(from) {
		return "", badArgument("x-amz-rename-source", r.Header.Get("X-Amz-Rename-Source"), "The source must be a key of the same bucket, URL-encoded")
	}
	return from, checkKey(from)
}

// renamedResources declares that the source of a RenameObject is read and
// deleted.
func renamedResources(_ *API, r *Request) ([]Access, error) {
	from, err := renameSource(r)
	if err != nil {
		return nil, err
	}
	return []Access{{Bucket: r.Bucket, Key: from, Action: "s3:GetObject", Carried: true}, {Bucket: r.Bucket, Key: from, Action: "s3:DeleteObject"}}, nil
}

// renameObject is RenameObject in the S3 API reference.
func renameObject(a *API, w http.ResponseWriter, r *Request) error {
	from, err := renameSource(r)
	if err != nil {
		return err
	}
	destination, err := writeConditions(r.Header)
	if err != nil {
		return err
	}
	token := r.Header.Get("X-Amz-Client-Token")
	if len(token) > 64 || strings.ContainsFunc(token, func(c rune) bool { return c < 33 || c > 126 }) {
		return badArgument("x-amz-client-token", token, "A client token is up to 64 characters of ASCII, from 33 to 126")
	}
	if err := a.store.Rename(r.Context(), r.Bucket, r.Key, store.RenameInput{From: from, Token: token,
		Source: conditions(r.Header, "X-Amz-Rename-Source-"), Destination: destination}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteObject is DeleteObject in the S3 API reference.
func deleteObject(a *API, w http.ResponseWriter, r *Request) error {
	c, err := deleteConditions(r.Header)
	if err != nil {
		return err
	}
	result, err := a.store.Delete(r.Context(), r.Bucket, r.Key, store.DeleteInput{
		VersionID: r.VersionID(), Conditions: c, Owner: r.Owner(), BypassGovernance: r.bypassGovernance()})
	if err == nil && result.Nothing {
		err = a.store.ConfirmBucket(r.Context(), r.Bucket)
	}
	if err != nil {
		return err
	}
	if result.VersionID != "" {
		w.Header().Set("X-Amz-Version-Id", result.VersionID)
	}
	if result.DeleteMarker {
		w.Header().Set("X-Amz-Delete-Marker", "true")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
