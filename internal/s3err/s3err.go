// Package s3err is the vocabulary of errors: S3's codes, their default messages,
// and the error that carries one to the client.
//
// Packages store, sigv2 and sigv4 return an [*Error] for everything that a
// client can act on. Package s3api alone knows the HTTP status of a code and the
// headers that go with an error, and writes it as XML. So a new error needs a
// code and a message here, a status in s3api/errorcodes.go, and one place that
// returns it.
package s3err

import (
	"errors"
	"fmt"
	"time"
)

// Error is an error that the client can act on.
type Error struct {
	Code Code
	// Message is a sentence for the client; "" means the code's default.
	Message string
	// Details are further elements of the answer, in order. Of several with one
	// name the client gets the first.
	Details []Detail
	// Found describes the version that the operation met; nil if there is none.
	Found *Found
	// Err is the cause, for the log only; nil if there is none.
	Err error
}

// Detail is one further element of an error answer.
type Detail struct{ Name, Value string }

// Found is what an error answer tells of a version.
type Found struct {
	// VersionID is "" in a bucket that never was versioned.
	VersionID    string
	DeleteMarker bool
	// Modified is zero where the answer does not tell it.
	Modified     time.Time
	ETag         string // without quotes; "" of a delete marker
	CacheControl string
}

// New returns the error of a code, with its default message.
func New(code Code) *Error { return &Error{Code: code} }

// Newf returns the error of a code, with a message.
func Newf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// maxDetail bounds a detail in bytes: an error answer must not repeat a
// megabyte of the request.
const maxDetail = 1024

// With adds a detail, cut to 1,024 bytes, and returns e.
func (e *Error) With(name, value string) *Error {
	if len(value) > maxDetail {
		value = value[:maxDetail]
	}
	e.Details = append(e.Details, Detail{name, value})
	return e
}

// WithHint adds the detail Hint, which goes into the log as well, and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	return e.With("Hint", fmt.Sprintf(format, args...))
}

// Detail returns the value of the first detail with this name, or "".
func (e *Error) Detail(name string) string {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Value
		}
	}
	return ""
}

// Text is the message for the client.
func (e *Error) Text() string {
	if e.Message != "" {
		return e.Message
	}
	return e.Code.Message()
}

// Error returns code, message, hint and cause, for the log.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if hint := e.Detail("Hint"); hint != "" {
		s += ": " + hint
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of the [*Error] that err is or wraps; "" if none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}
