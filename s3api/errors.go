package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
	"github.com/pithos/pithos/store"
)

// Error is an S3 error answer.
type Error struct {
	Code string
	// Status is the HTTP status; 0 takes the code's own.
	Status int
	// Message is for the user; "" takes the code's own.
	Message string
	// Details are further elements of the answer, in order.
	Details []Detail
	// Header is added to the answer.
	Header http.Header
	// Err is the cause, for the log alone.
	Err error
}

// Detail is one further element of an error answer.
type Detail struct{ Name, Value string }

// fail returns the error of code with its own message.
func fail(code string) *Error { return &Error{Code: code} }

// failf returns the error of code with a message of the caller's.
func failf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// badArgument is InvalidArgument about a parameter or header.
func badArgument(name, value, format string, args ...any) *Error {
	return failf("InvalidArgument", format, args...).with("ArgumentName", name).with("ArgumentValue", value)
}

// malformedXML is MalformedXML with its cause.
func malformedXML(format string, args ...any) *Error {
	return fail("MalformedXML").because(format, args...)
}

// with adds a detail, cut where it is long: an answer shall not echo a megabyte.
func (e *Error) with(name, value string) *Error {
	const limit = 1024
	if len(value) > limit {
		value = value[:limit]
	}
	e.Details = append(e.Details, Detail{name, value})
	return e
}

// because adds what is to be said to the log and, as a detail, to the user.
func (e *Error) because(format string, args ...any) *Error {
	return e.with("Hint", fmt.Sprintf(format, args...))
}

// Error returns code, message and cause; it is for the log.
func (e *Error) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + e.Message
	}
	for _, d := range e.Details {
		if d.Name == "Hint" {
			s += ": " + d.Value
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// toError turns what a handler returned into S3's terms. Whatever is not
// meant for the user becomes InternalError.
func toError(err error) *Error {
	var (
		own *Error
		st  *store.Error
		v4  *sigv4.Error
		v2  *sigv2.Error
		big *http.MaxBytesError
	)
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &v4):
		return fromV4(v4)
	case errors.As(err, &v2):
		return fromV2(v2)
	case errors.As(err, &st):
		return fromStore(st)
	case errors.As(err, &big):
		return &Error{Code: "EntityTooLarge", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Code: "IncompleteBody", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: "ServiceUnavailable", Err: err}
	}
	return fromEngine(err)
}

// engineFailed is [Served.EngineFailed].
func engineFailed(e *Error) bool {
	switch e.Code {
	case "ServiceUnavailable":
		return !errors.Is(e.Err, blob.ErrFull)
	case "SlowDown":
		return errors.Is(e.Err, meta.ErrOverloaded) || errors.Is(e.Err, blob.ErrOverloaded)
	}
	return false
}

// fromEngine maps the sentinels of meta and blob.
func fromEngine(err error) *Error {
	switch {
	case errors.Is(err, meta.ErrUnknownOutcome):
		return &Error{Code: "ServiceUnavailable", Err: err}
	case errors.Is(err, meta.ErrOverloaded), errors.Is(err, blob.ErrOverloaded):
		// SDKs repeat both, and ask less for a while after this one.
		return &Error{Code: "SlowDown", Err: err}
	case errors.Is(err, meta.ErrUnavailable):
		return &Error{Code: "ServiceUnavailable", Err: err}
	case errors.Is(err, meta.ErrConflict), errors.Is(err, meta.ErrBucketDeleting), errors.Is(err, meta.ErrClaimed):
		return &Error{Code: "OperationAborted", Err: err}
	case errors.Is(err, meta.ErrBucketGone):
		return &Error{Code: "NoSuchBucket", Err: err}
	case errors.Is(err, meta.ErrUploadClosed):
		return &Error{Code: "NoSuchUpload", Err: err}
	}
	switch { // a blob that is missing or corrupt is an internal error: waiting does not mend it
	case errors.Is(err, blob.ErrUnavailable):
		return &Error{Code: "ServiceUnavailable", Err: err}
	case errors.Is(err, blob.ErrFull):
		return &Error{Code: "ServiceUnavailable", Message: "There is no room left to store the object.", Err: err}
	}
	return &Error{Code: "InternalError", Err: err}
}

func fromV4(e *sigv4.Error) *Error {
	out := &Error{Code: e.Code, Message: e.Message, Err: e.Err}
	if e.Code == sigv4.CodeAuthorizationQueryParameters && strings.HasPrefix(e.Message, "X-Amz-Expires") {
		out.Status = http.StatusForbidden // as of a request that has expired, which clients know
	}
	for _, d := range e.Details {
		out.Details = append(out.Details, Detail(d))
	}
	return out.withSigned(e.StringToSign, e.CanonicalRequest)
}

func fromV2(e *sigv2.Error) *Error {
	out := &Error{Code: e.Code, Message: e.Message, Err: e.Err}
	for _, d := range e.Details {
		out.Details = append(out.Details, Detail(d))
	}
	return out.withSigned(e.StringToSign, "")
}

func (e *Error) withSigned(stringToSign, canonical string) *Error {
	if stringToSign != "" {
		e.Details = append(e.Details, Detail{"StringToSign", stringToSign})
	}
	if canonical != "" {
		e.Details = append(e.Details, Detail{"CanonicalRequest", canonical})
	}
	return e
}

func fromStore(e *store.Error) *Error {
	out := &Error{Code: kindCodes[e.Kind], Message: e.Message, Header: http.Header{}, Err: e.Err}
	if out.Code == "" {
		return &Error{Code: "InternalError", Err: e}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Details)) {
		out.with(name, e.Details[name])
	}
	if e.DeleteMarker {
		out.Header.Set("x-amz-delete-marker", "true")
	}
	if e.VersionID != "" {
		out.Header.Set("x-amz-version-id", e.VersionID)
	}
	if v := e.Version; v != nil {
		out.Header.Set("Last-Modified", httpTime(time.UnixMicro(v.Modified)))
		if v.ETag != "" {
			out.Header.Set("ETag", quote(v.ETag))
		}
	}
	switch e.Kind {
	case store.InvalidRange:
		out.Header.Set("Content-Range", "bytes */"+strconv.FormatInt(e.Size, 10))
		out.with("ActualObjectSize", strconv.FormatInt(e.Size, 10))
	case store.MethodNotAllowed:
		out.Header.Set("Allow", http.MethodDelete)
	}
	return out
}

// kindCodes maps what package store says to S3's codes.
var kindCodes = map[store.Kind]string{
	store.NoSuchBucket:           "NoSuchBucket",
	store.BucketExists:           "BucketAlreadyExists",
	store.BucketOwnedByYou:       "BucketAlreadyOwnedByYou",
	store.BucketNotEmpty:         "BucketNotEmpty",
	store.InvalidBucketName:      "InvalidBucketName",
	store.InvalidLocation:        "InvalidLocationConstraint",
	store.InvalidBucketState:     "InvalidBucketState",
	store.NoSuchKey:              "NoSuchKey",
	store.KeyTooLong:             "KeyTooLongError",
	store.InvalidKey:             "InvalidURI",
	store.NoSuchVersion:          "NoSuchVersion",
	store.InvalidVersionID:       "InvalidArgument",
	store.MethodNotAllowed:       "MethodNotAllowed",
	store.NoSuchUpload:           "NoSuchUpload",
	store.InvalidPart:            "InvalidPart",
	store.InvalidPartOrder:       "InvalidPartOrder",
	store.InvalidPartNumber:      "InvalidPart",
	store.EntityTooSmall:         "EntityTooSmall",
	store.EntityTooLarge:         "EntityTooLarge",
	store.IncompleteBody:         "IncompleteBody",
	store.BadDigest:              "BadDigest",
	store.InvalidDigest:          "InvalidDigest",
	store.InvalidRange:           "InvalidRange",
	store.InvalidArgument:        "InvalidArgument",
	store.InvalidRequest:         "InvalidRequest",
	store.InvalidTag:             "InvalidTag",
	store.MetadataTooLarge:       "MetadataTooLarge",
	store.InvalidStorageClass:    "InvalidStorageClass",
	store.PreconditionFailed:     "PreconditionFailed",
	store.NotModified:            "NotModified",
	store.ConditionalConflict:    "ConditionalRequestConflict",
	store.OperationAborted:       "OperationAborted",
	store.ObjectLocked:           "AccessDenied",
	store.EncryptionBlocked:      "AccessDenied",
	store.NoLockConfig:           "ObjectLockConfigurationNotFoundError",
	store.WrongCustomerKey:       "InvalidRequest",
	store.CustomerKeyMissing:     "InvalidRequest",
	store.CustomerKeyNotExpected: "InvalidRequest",
	store.NoMasterKey:            "InvalidRequest",
	store.NoSuchKMSKey:           "KMS.NotFoundException",
	store.InvalidWriteOffset:     "InvalidWriteOffset",
	store.SlowDown:               "SlowDown",
	store.BucketRemade:           "SlowDown", // what the dispatcher could not repeat
	store.SourceReplaced:         "SlowDown", // likewise
	store.Unavailable:            "ServiceUnavailable",
}

func itoa(n int) string { return strconv.Itoa(n) }
