// Package sigv2 verifies AWS Signature Version 2 as S3 uses it: the header
// "Authorization: AWS key:signature" and the presigned query.
//
//	auth, err := sigv2.Parse(r)
//	err = sigv2.Verify(auth, secret, bucket, options)
//
// Parse needs no secret: it yields the access key for which the caller looks
// one up. Version 2 signs neither the body nor most of the query; what it does
// sign is in the detail StringToSign of the error. Errors are *s3err.Error; none
// of them holds the secret.
//
// The reference is "Signing and Authenticating REST Requests" in the Amazon S3
// User Guide (RESTAuthentication.html).
package sigv2
