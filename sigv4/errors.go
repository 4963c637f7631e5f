package sigv4

import "github.com/pithos/pithos/internal/s3err"

// Messages are those of AWS, if AWS has one.
const (
	messageIncomplete                   = "The request body terminated unexpectedly"
	messageOneMechanism                 = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
	messageHeaderMalformed              = "The authorization header is malformed; "
	messageExpectedCredential           = `expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	messageNoDate                       = "AWS authentication requires a valid Date or x-amz-date header"
	messageMissingQueryAuth             = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
	messageBadContentSHA256             = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
	messageECDSA                        = "AWS4-ECDSA-P256-SHA256 (Signature Version 4A) is not implemented; sign with AWS4-HMAC-SHA256."
	messageHeadersNotSigned             = "There were headers present in the request which were not signed"
	messageMissingContentSHA256         = "Missing required header for this request: x-amz-content-sha256"
	messageUnsupportedAuthorizationType = "Unsupported Authorization Type"
)

func incomplete(cause error) *s3err.Error {
	return &s3err.Error{Code: s3err.IncompleteBody, Message: messageIncomplete, Err: cause}
}
