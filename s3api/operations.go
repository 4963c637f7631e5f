package s3api

import (
	"net/http"
	"net/url"
)

// Scope is the kind of resource that a request's address names.
type Scope int

// The scopes of operations.
const (
	ScopeService Scope = iota
	ScopeBucket
	ScopeObject
)

// BodyKind says how an operation reads the body of its request.
type BodyKind int

// The kinds of bodies.
const (
	// BodyNone: the body is not read.
	BodyNone BodyKind = iota
	// BodyDocument is a document, usually XML, that [Request.Document] reads into
	// memory, up to the row's MaxBody bytes.
	BodyDocument
	// BodyStream is an object's bytes: [Request.Body] streams them, verified.
	BodyStream
	// BodyForm is a multipart/form-data POST, which has its own authentication;
	// [Request.Body] is as the client sent it.
	BodyForm
)

// A Selector is a query parameter that a request must have to match a row.
type Selector struct {
	Name string
	// Value is the required value; "" matches any.
	Value string
}

func (s Selector) matches(q url.Values) bool {
	values, ok := q[s.Name]
	return ok && (s.Value == "" || len(values) == 1 && values[0] == s.Value)
}

// handler answers one operation. If it returns an error, the error is answered; if
// the answer has begun, the connection is closed.
type handler func(a *API, w http.ResponseWriter, r *Request) error

// Operation is one row of the table: one operation of the S3 API.
type Operation struct {
	// Name is the operation's name in the S3 API reference.
	Name   string
	Method string
	Scope  Scope
	// Query and Header, if set, must all be in a request to match the row. Of
	// several rows that match, the one with most requirements is chosen.
	Query  []Selector
	Header string
	// Params are query parameters that select other rows of this scope, and that
	// are arguments of this operation.
	Params []string
	// Versioned: it accepts the parameter versionId.
	Versioned bool

	// Honours are the kinds of headers that take effect. Headers of other kinds
	// are refused, or removed before a policy condition can see them; see
	// requestheaders.go. Ignores are kinds that are removed: clients are known to
	// send them to this operation needlessly, and AWS ignores them too.
	Honours, Ignores Headers

	// Action is the policy action that the caller must be allowed. VersionAction
	// replaces it in requests with a versionId. "" needs only what Resources
	// declares.
	Action, VersionAction string
	// Possible are actions for rows whose Resources depend on the body. A caller
	// that can be allowed none of them, on any key of the bucket, is refused before
	// the body is read.
	Possible []string
	// Carries are the kinds of attributes that the operation copies from the object
	// of an Access that is Carried. Setting them needs the same actions as setting
	// them by a header.
	Carries Headers
	// Resources declares the other accesses of the request, for authorization.
	Resources func(a *API, r *Request) ([]Access, error)
	// Authenticate replaces the signature check: POST forms have their policy in
	// the body.
	Authenticate func(a *API, r *Request) error
	// Public operations need no authentication: CORS preflights.
	Public bool
	// NoBucket: the bucket is not read before the handler runs.
	NoBucket bool

	Body BodyKind
	// MaxBody is the maximum size of the body in bytes; 0 for BodyDocument is 64 KiB.
	MaxBody int64
	// NeedDigest: a Content-MD5 or x-amz-checksum-* must come with the body.
	NeedDigest bool

	// Page is the page of a listing; nil for other operations.
	Page *Page

	// ObjectChecksum: an x-amz-checksum-* is the checksum of the object, not of
	// the document in the body.
	ObjectChecksum bool

	// Differs describes, for the compatibility page, the differences to AWS.
	Differs string

	// Absent: Pithos does not have the feature. Handler answers what AWS answers if
	// nothing of the kind is configured, for tools that only read it. That is true,
	// since the operations that would configure it answer 501.
	Absent bool

	// Handler answers the request; if it is nil, the answer is 501 NotImplemented.
	Handler handler
}

// specificity says how many requirements the row has. Query parameters count more
// than headers.
func (op *Operation) specificity() int {
	n := 2 * len(op.Query)
	for _, s := range op.Query {
		if s.Value != "" {
			n++
		}
	}
	if op.Header != "" {
		n++
	}
	return n
}

// matches reports whether a request with this query and these headers is for op.
func (op *Operation) matches(q url.Values, h http.Header) bool {
	for _, s := range op.Query {
		if !s.matches(q) {
			return false
		}
	}
	return op.Header == "" || h.Get(op.Header) != ""
}

// accepts reports whether the query parameter name is part of op.
func (op *Operation) accepts(name string) bool {
	for _, s := range op.Query {
		if s.Name == name {
			return true
		}
	}
	for _, p := range op.Params {
		if p == name {
			return true
		}
	}
	return false
}

// with returns the selector of a sub-resource and further parameters.
func with(names ...string) []Selector {
	s := make([]Selector, len(names))
	for i, n := range names {
		s[i] = Selector{Name: n}
	}
	return s
}

// Operations returns the table, one row for each operation of the S3 API.
func Operations() []Operation {
	var all []Operation
	for _, rows := range [][]Operation{serviceOperations(), bucketOperations(), bucketConfigOperations(),
		bucketFeatureOperations(), objectOperations(), objectConfigOperations(), objectFeatureOperations()} {
		all = append(all, rows...)
	}
	return all
}

// arguments are selecting parameters that are not sub-resources: alone they change
// nothing.
var arguments = map[string]bool{"list-type": true, "x-id": true, "id": true, "select-type": true, "annotationName": true}
