// Package sigv4 verifies AWS Signature Version 4 as S3 uses it: the
// Authorization header, the presigned query, and the signed bodies.
//
// A request is verified in three steps:
//
//	auth, err := sigv4.Parse(r)                      // what the request claims
//	ctx, err := sigv4.Verify(auth, secret, options)  // is the claim true?
//	body, err := sigv4.NewBody(r.Body, r.Header, auth, ctx)
//
// Parse needs no secret: it returns the access key, with which the caller looks the
// secret up. Verify checks time, scope and signature, and returns the context from
// which the signatures of a chunked body continue. The body reader then checks
// the bytes, and returns an error in place of io.EOF for an invalid body: only
// a caller that reads to io.EOF has the bytes that the client signed.
//
// Parse, Verify and the readers return an *s3err.Error for every client error.
// Neither errors nor other values of this package show the secret or a key derived
// from it.
//
// The reference is "Authenticating Requests (AWS Signature Version 4)" in the
// Amazon S3 API Reference.
package sigv4
