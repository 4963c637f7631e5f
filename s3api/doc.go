// Package s3api implements the S3 REST API. It is the only package that knows XML,
// and answers all requests of S3 over HTTP.
//
// Its core is the table of operations (operations.go). Routes, authorization, the
// kind of body, the handler, and the answer 501 of missing operations follow from
// it. A request takes these steps, in dispatch.go:
//
//	address → row of the table → authenticate → load the bucket → authorize → handler
//
// Request headers have a table too (requestheaders.go). It defines which headers
// may be repeated, and states the rules by which the signature, the policy
// conditions and the handler see the same headers.
//
// Handlers decode, call package store, and encode. They return errors of package
// s3err; errorcodes.go has their HTTP statuses, and erroranswer.go writes them.
package s3api
