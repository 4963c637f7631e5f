package s3api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// Request is a request on its way to its handler. Body and length of the embedded
// http.Request are those of the connection. The fields of the same names here are
// decoded: they are for handlers.
type Request struct {
	*http.Request
	Op *Operation
	// ID is shown to the client as x-amz-request-id.
	ID              string
	BucketName, Key string
	// Bucket is the bucket BucketName; nil if the row has NoBucket.
	Bucket *meta.Bucket
	Caller Identity
	// Client describes the client of the request.
	Client Client
	// Body is decoded and verified: if it is not what the client signed, it ends with
	// an error in place of io.EOF. It is nil until the caller is authenticated.
	Body io.Reader
	// ContentLength is the length of the decoded body in bytes; -1 if not known.
	ContentLength int64
	// Trailer returns the trailer's fields once Body has returned io.EOF;
	// nil before, and if there is none.
	Trailer func() http.Header
	// Resources are the accesses that the row's Resources declared, with the decision
	// on each.
	Resources []Access

	byHost    bool
	admission admission
	// carriedTags are the tags that a write copies from another object, or keeps of
	// the one that it appends to, as they were when it was authorized.
	carriedTags []meta.Tag
	// carriesACL: the write keeps an ACL that grants something to others.
	carriesACL bool
	// unknownHeaders are the x-amz-* headers that Pithos does not know.
	unknownHeaders []string
	found          *store.Found // the version that authorization has read
	// How and when it was signed, in the terms of policy conditions.
	authType, signatureVersion string
	payload                    string // x-amz-content-sha256 as it was signed

	evaluators evaluators // of authorization
	signed     time.Time

	query    url.Values
	document []byte // what Document has read
	read     bool   // Document was called

	deletions *deleteRequest // the parsed document of a DeleteObjects
}

// Query returns the request's query parameters, decoded once and cached. It is used
// in place of http.Request.URL.Query, which drops parameters that it cannot parse.
func (r *Request) Query() url.Values { return r.query }

// Has reports whether the request has the query parameter, with or without a value.
func (r *Request) Has(name string) bool { _, ok := r.query[name]; return ok }

// Context returns the context of the underlying http.Request.
func (r *Request) Context() context.Context { return r.Request.Context() }

// VersionID returns the parameter versionId, or "".
func (r *Request) VersionID() string { return r.query.Get("versionId") }

// Owner returns the canonical id of the owner of objects that the request writes:
// the caller, or the bucket's owner if the bucket enforces that, or prefers it and
// the ACL is bucket-owner-full-control.
func (r *Request) Owner() string {
	if r.Bucket != nil {
		switch kind := ownership(r.Bucket); {
		case kind == ownerEnforced,
			kind == ownerPreferred && r.Header.Get("X-Amz-Acl") == bucketOwnerFullControl:
			return r.Bucket.Owner
		}
	}
	return r.Caller.CanonicalID()
}

// Resource returns the path with the bucket, for error answers.
func (r *Request) Resource() string {
	switch {
	case r.BucketName == "":
		return "/"
	case r.Key == "":
		return "/" + r.BucketName
	}
	return "/" + r.BucketName + "/" + r.Key
}

// parseQuery parses a raw query strictly. A parameter that cannot be decoded is an
// error: ignoring it would answer another request than was sent. InvalidURI.
func parseQuery(raw string) (url.Values, error) {
	q := url.Values{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, invalidURI(err)
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, invalidURI(err)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return nil, fail(s3err.InvalidURI).WithHint("the query is not UTF-8")
		}
		q[name] = append(q[name], value)
	}
	return q, nil
}
