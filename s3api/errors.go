package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// fail returns an error with the code and its default message.
func fail(code s3err.Code) *s3err.Error { return s3err.New(code) }

// failf returns an error with the code and the caller's message.
func failf(code s3err.Code, format string, args ...any) *s3err.Error {
	return s3err.Newf(code, format, args...)
}

// badArgument returns InvalidArgument for a parameter or header.
func badArgument(name, value, format string, args ...any) *s3err.Error {
	return failf(s3err.InvalidArgument, format, args...).With("ArgumentName", name).With("ArgumentValue", value)
}

// malformedXML returns MalformedXML with its cause.
func malformedXML(format string, args ...any) *s3err.Error {
	return fail(s3err.MalformedXML).WithHint(format, args...)
}

// toError returns the error that the client gets for err. An error that is not
// meant for the client becomes InternalError.
func toError(err error) *s3err.Error {
	var (
		coded *s3err.Error
		big   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.As(err, &big):
		return &s3err.Error{Code: s3err.EntityTooLarge, Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &s3err.Error{Code: s3err.IncompleteBody, Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &s3err.Error{Code: s3err.ServiceUnavailable, Err: err}
	}
	return fromEngine(err)
}

// fromEngine maps the sentinel errors of meta and blob to S3's codes.
func fromEngine(err error) *s3err.Error {
	e := &s3err.Error{Code: s3err.InternalError, Err: err}
	switch {
	case errors.Is(err, meta.ErrUnknownOutcome):
		e.Code = s3err.ServiceUnavailable
	case errors.Is(err, meta.ErrOverloaded), errors.Is(err, blob.ErrOverloaded):
		// SDKs retry both, and reduce their request rate after this one.
		e.Code = s3err.SlowDown
	case errors.Is(err, meta.ErrUnavailable):
		e.Code = s3err.ServiceUnavailable
	case errors.Is(err, meta.ErrConflict), errors.Is(err, meta.ErrBucketDeleting), errors.Is(err, meta.ErrClaimed):
		e.Code = s3err.OperationAborted
	case errors.Is(err, meta.ErrBucketGone):
		e.Code = s3err.NoSuchBucket
	case errors.Is(err, meta.ErrUploadClosed):
		e.Code = s3err.NoSuchUpload
	// A missing or corrupt blob is an internal error: a retry does not help.
	case errors.Is(err, blob.ErrUnavailable):
		e.Code = s3err.ServiceUnavailable
	case errors.Is(err, blob.ErrFull):
		e.Code, e.Message = s3err.ServiceUnavailable, "There is no room left to store the object."
	}
	return e
}

// engineFailed returns the value of [RequestInfo.EngineFailed].
func engineFailed(e *s3err.Error) bool {
	switch e.Code {
	case s3err.ServiceUnavailable:
		return !errors.Is(e.Err, blob.ErrFull)
	case s3err.SlowDown:
		return errors.Is(e.Err, meta.ErrOverloaded) || errors.Is(e.Err, blob.ErrOverloaded)
	}
	return false
}

// missing reports whether err means that the object or version does not exist, or
// that it is a delete marker.
func missing(err error) bool {
	code := s3err.CodeOf(err)
	return code == s3err.NoSuchKey || code == s3err.NoSuchVersion || code == s3err.MethodNotAllowed
}

func itoa(n int) string { return strconv.Itoa(n) }
