// Package sigv2 verifies AWS Signature Version 2 as S3 uses it: the header
// "Authorization: AWS key:signature" and the presigned query.
//
//	auth, err := sigv2.Parse(r)
//	err = sigv2.Verify(auth, secret, bucket, options)
//
// Parse needs no secret: it returns the access key, with which the caller looks the
// secret up. Version 2 signs neither the body nor most of the query. The detail
// StringToSign of the error shows what it signs. Errors are *s3err.Error and never
// contain the secret.
//
// The reference is "Signing and Authenticating REST Requests" in the Amazon S3
// User Guide (RESTAuthentication.html).
package sigv2
