package s3api

import (
	"context"
	"strconv"
)

// Work is what a request is about to do, as far as it costs memory or time.
//
// The rule: until its caller may do what it asks for, a request holds a small
// constant amount of memory and has a fixed total time. Whatever needs more is
// asked for by [Options.Admit] first, after authentication and authorization.
// Two things have to be read earlier, and have kinds of their own: the fields
// of a POST form, which authenticate it, and documents that say what is to be
// authorized (DeleteObjects), which ask for memory as their bytes arrive.
type Work struct {
	Kind WorkKind
	// Tenant is the caller's; "" where the caller is anonymous, or not known yet.
	Tenant string
	// Bytes is the length of the body of a WorkStream, -1 if it is not known,
	// and the memory that a WorkDocument or WorkPage takes; 0 for the other kinds.
	Bytes int64
}

// WorkKind tells what a request is about to do.
type WorkKind int

// The kinds of work.
const (
	// WorkOther holds no body to speak of.
	WorkOther WorkKind = iota
	// WorkForm reads the fields of a POST form: the caller is not known.
	WorkForm
	// WorkDocument reads a document into memory.
	WorkDocument
	// WorkStream stores the bytes of the request's body.
	WorkStream
	// WorkCopy stores the bytes of an object.
	WorkCopy
	// WorkObject answers with the bytes of an object.
	WorkObject
	// WorkPage answers with a page of a listing.
	WorkPage
)

// admit asks whether the request may go on with work of that kind.
func (r *Request) admit(kind WorkKind, bytes int64) error {
	if r.admission == nil {
		return nil
	}
	return r.admission(r.Context(), Work{Kind: kind, Tenant: r.Caller.Tenant, Bytes: bytes})
}

// admission is [Options.Admit].
type admission func(context.Context, Work) error

// work is what a request that was authorized asks to be admitted for.
func (r *Request) work() (WorkKind, int64) {
	switch {
	case r.Op.Body == BodyStream, r.Op.Body == BodyForm:
		return WorkStream, r.ContentLength
	case r.Op.Name == "CopyObject", r.Op.Name == "UploadPartCopy":
		return WorkCopy, 0
	case r.Op.Name == "GetObject":
		return WorkObject, 0
	case r.Op.Page != nil:
		return WorkPage, r.Op.Page.bytes(r)
	}
	return WorkOther, 0
}

// Page says how long the pages of a listing are: the row of each listing has
// one. The memory of a page is asked for before it is read.
type Page struct {
	// Param is the query parameter by which the client limits the page.
	Param string
	// Rows is the most that a page has, RowBytes about what one takes in memory
	// as it is read and as it is shown.
	Rows, RowBytes int
}

// The pages of listings. A row of keys has up to 1 KiB of key.
var (
	pageOfKeys    = &Page{Param: "max-keys", Rows: maxKeys, RowBytes: 2 << 10}
	pageOfUploads = &Page{Param: "max-uploads", Rows: maxKeys, RowBytes: 2 << 10}
	pageOfParts   = &Page{Param: "max-parts", Rows: maxKeys, RowBytes: 1 << 10}
	pageOfBuckets = &Page{Param: "max-buckets", Rows: maxBuckets, RowBytes: 512}
)

// bytes is the memory of the page that r asks for.
func (p *Page) bytes(r *Request) int64 {
	rows := p.Rows
	if n, err := strconv.Atoi(r.Query().Get(p.Param)); err == nil && r.Query().Get("bucket-region") == "" { // it looks at all names
		rows = min(rows, max(n, 0))
	}
	return int64(rows+1) * int64(p.RowBytes) // one more tells whether there are more
}
