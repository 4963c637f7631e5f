package sigv4

import "fmt"

// The S3 error codes this package returns.
const (
	CodeAccessDenied                 = "AccessDenied"
	CodeAuthorizationHeaderMalformed = "AuthorizationHeaderMalformed"
	CodeAuthorizationQueryParameters = "AuthorizationQueryParametersError"
	CodeIncompleteBody               = "IncompleteBody"
	CodeInvalidArgument              = "InvalidArgument"
	CodeInvalidChunkSize             = "InvalidChunkSizeError"
	CodeInvalidRequest               = "InvalidRequest"
	CodeInvalidURI                   = "InvalidURI"
	CodeMalformedTrailer             = "MalformedTrailerError"
	CodeMissingContentLength         = "MissingContentLength"
	CodeNotImplemented               = "NotImplemented"
	CodeRequestTimeTooSkewed         = "RequestTimeTooSkewed"
	CodeSignatureDoesNotMatch        = "SignatureDoesNotMatch"
	CodeXAmzContentSHA256Mismatch    = "XAmzContentSHA256Mismatch"
)

// Messages are AWS' own where AWS has one.
const (
	messageIncomplete                   = "The request body terminated unexpectedly"
	messageSignatureDoesNotMatch        = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	messageMalformedTrailer             = "The request contained trailing data that was not well-formed or did not conform to our published schema."
	messageOneMechanism                 = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
	messageHeaderMalformed              = "The authorization header is malformed; "
	messageExpectedCredential           = `expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	messageNoDate                       = "AWS authentication requires a valid Date or x-amz-date header"
	messageMissingQueryAuth             = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
	messageBadContentSHA256             = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
	messageContentSHA256Mismatch        = "The provided 'x-amz-content-sha256' header does not match what was computed."
	messageECDSA                        = "AWS4-ECDSA-P256-SHA256 (Signature Version 4A) is not implemented; sign with AWS4-HMAC-SHA256."
	messageHeadersNotSigned             = "There were headers present in the request which were not signed"
	messageMissingContentSHA256         = "Missing required header for this request: x-amz-content-sha256"
	messageUnsupportedAuthorizationType = "Unsupported Authorization Type"
)

// Error is what a client did wrong, in the terms of S3's error answer.
type Error struct {
	// Code is the S3 error code, such as SignatureDoesNotMatch.
	Code string
	// Message is AWS' own wording where AWS has one.
	Message string
	// StringToSign and CanonicalRequest are what the server computed; set for
	// SignatureDoesNotMatch on a request. Customer keys and session tokens in
	// the canonical request are blanked.
	StringToSign, CanonicalRequest string
	// Details are the further elements that AWS puts into the answer, in order.
	Details []Detail
	// Err is the cause, for instance the read error of a cut connection; may be nil.
	Err error
}

// Detail is one further element of the error answer, such as Region or ServerTime.
type Detail struct{ Name, Value string }

// Error returns code and message, and nothing of the request.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Detail returns the value of the named detail, or "".
func (e *Error) Detail(name string) string {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

func errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// with adds a detail. A value is cut: the answer shall not echo a megabyte.
func (e *Error) with(name, value string) *Error {
	const limit = 1024
	if len(value) > limit {
		value = value[:limit]
	}
	e.Details = append(e.Details, Detail{name, value})
	return e
}

func incomplete(cause error) *Error {
	e := errorf(CodeIncompleteBody, messageIncomplete)
	e.Err = cause
	return e
}
