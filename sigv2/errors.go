package sigv2

import "fmt"

// The S3 error codes this package returns.
const (
	CodeAccessDenied          = "AccessDenied"
	CodeInvalidArgument       = "InvalidArgument"
	CodeInvalidURI            = "InvalidURI"
	CodeRequestTimeTooSkewed  = "RequestTimeTooSkewed"
	CodeSignatureDoesNotMatch = "SignatureDoesNotMatch"

	messageHeaderInvalid         = "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"
	messageMissingQueryAuth      = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
	messageNoDate                = "AWS authentication requires a valid Date or x-amz-date header"
	messageOneMechanism          = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
	messageSignatureDoesNotMatch = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)

// Error is what a client did wrong, in the terms of S3's error answer.
type Error struct {
	// Code is the S3 error code, such as SignatureDoesNotMatch.
	Code string
	// Message is AWS' own wording where AWS has one.
	Message string
	// StringToSign is what the server computed; set for SignatureDoesNotMatch.
	// Customer keys and session tokens in it are blanked.
	StringToSign string
	// Details are the further elements that AWS puts into the answer, in order.
	Details []Detail
	// Err is the cause; may be nil.
	Err error
}

// Detail is one further element of the error answer, such as ServerTime.
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
