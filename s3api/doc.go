// Package s3api is the HTTP surface of Pithos: it knows HTTP and XML, and
// nothing else does.
//
// Everything it does is read off one table of operations (operations.go): the
// routes, who must be allowed what, the kind of body, the handler, and the
// answer 501 of what is not there yet. A request takes these steps, in
// dispatch.go:
//
//	address → row of the table → authenticate → load the bucket → authorize → handler
//
// Request headers have a table too (requestheaders.go). It says which may be
// repeated, and states the rules that make the signature, the policy
// conditions and the handler see the same headers.
//
// Handlers decode, call package store, and encode. They return errors, which
// the table in errorcodes.go turns into S3's.
package s3api
