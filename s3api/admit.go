package s3api

import (
	"context"
	"strconv"
)

// Work is the memory or time that a request is about to take.
//
// The rule: until a request is authorized, it holds a small constant amount of
// memory and has a fixed total time. For more than that it calls [Options.Admit]
// first, after authentication and authorization. Two things are read earlier, and
// have kinds of their own: the fields of a POST form, which authenticate it, and
// documents that say what is to be authorized (DeleteObjects). The latter call
// Admit as their bytes arrive.
type Work struct {
	Kind WorkKind
	// Tenant is the caller's; "" if the caller is anonymous or not known yet.
	Tenant string
	// Bytes is the length of the body of a WorkStream, -1 if it is not known,
	// and the memory that a WorkDocument or WorkPage takes; 0 for the other kinds.
	Bytes int64
}

// WorkKind is a kind of work.
type WorkKind int

// The kinds of work.
const (
	// WorkOther takes no memory for a body.
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

// admit asks Options.Admit whether the request may do work of that kind.
func (r *Request) admit(kind WorkKind, bytes int64) error {
	if r.admission == nil {
		return nil
	}
	return r.admission(r.Context(), Work{Kind: kind, Tenant: r.Caller.Tenant, Bytes: bytes})
}

// admission is [Options.Admit].
type admission func(context.Context, Work) error

// work is the work of a request, for which it is admitted once it is authorized.
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

// Page says how long the pages of a listing are: the row of each listing has one.
// A request is admitted with the memory of a page before it reads the page.
type Page struct {
	// Param is the query parameter with which the client limits the page.
	Param string
	// Rows is the maximum number of rows of a page. RowBytes estimates the memory
	// of one, as it is read and as it is written.
	Rows, RowBytes int
}

// The pages of listings. A row of keys has up to 1 KiB of key.
var (
	pageOfKeys    = &Page{Param: "max-keys", Rows: maxKeys, RowBytes: 2 << 10}
	pageOfUploads = &Page{Param: "max-uploads", Rows: maxKeys, RowBytes: 2 << 10}
	pageOfParts   = &Page{Param: "max-parts", Rows: maxKeys, RowBytes: 1 << 10}
	pageOfBuckets = &Page{Param: "max-buckets", Rows: maxBuckets, RowBytes: 512}
)

// bytes returns the memory of the page that r requests, in bytes.
func (p *Page) bytes(r *Request) int64 {
	rows := p.Rows
	if n, err := strconv.Atoi(r.Query().Get(p.Param)); err == nil && r.Query().Get("bucket-region") == "" { // this listing reads all names
		rows = min(rows, max(n, 0))
	}
	return int64(rows+1) * int64(p.RowBytes) // one more tells whether there are more
}
