package store

import (
	"errors"
	"fmt"

	"github.com/pithos/pithos/meta"
)

// Kind says what went wrong, in the terms of package store. The API layer
// turns each kind into an S3 error code.
type Kind string

// The kinds of errors that a Store returns.
const (
	NoSuchBucket           Kind = "no such bucket"
	BucketRemade           Kind = "bucket remade"   // another bucket has the name: authorize again, and repeat
	SourceReplaced         Kind = "source replaced" // the source of a copy is not the one that was authorized: authorize again, and repeat
	BucketExists           Kind = "bucket exists"
	BucketOwnedByYou       Kind = "bucket owned by you"
	BucketNotEmpty         Kind = "bucket not empty"
	InvalidBucketName      Kind = "invalid bucket name"
	InvalidLocation        Kind = "invalid location constraint"
	InvalidBucketState     Kind = "invalid bucket state"
	NoSuchKey              Kind = "no such key"
	KeyTooLong             Kind = "key too long"
	InvalidKey             Kind = "invalid key"
	NoSuchVersion          Kind = "no such version"
	InvalidVersionID       Kind = "invalid version id"
	MethodNotAllowed       Kind = "method not allowed" // on a delete marker
	NoSuchUpload           Kind = "no such upload"
	InvalidPart            Kind = "invalid part"
	InvalidPartOrder       Kind = "invalid part order"
	InvalidPartNumber      Kind = "invalid part number" // of a GET: not satisfiable
	EntityTooSmall         Kind = "entity too small"
	EntityTooLarge         Kind = "entity too large"
	IncompleteBody         Kind = "incomplete body"
	BadDigest              Kind = "bad digest"
	InvalidDigest          Kind = "invalid digest"
	InvalidRange           Kind = "invalid range"
	InvalidArgument        Kind = "invalid argument"
	InvalidRequest         Kind = "invalid request"
	InvalidTag             Kind = "invalid tag"
	MetadataTooLarge       Kind = "metadata too large"
	InvalidStorageClass    Kind = "invalid storage class"
	PreconditionFailed     Kind = "precondition failed"
	NotModified            Kind = "not modified"
	ConditionalConflict    Kind = "conditional request conflict" // 409: retry
	OperationAborted       Kind = "operation aborted"            // 409: a conflicting operation is under way
	ObjectLocked           Kind = "object locked"                // 403
	EncryptionBlocked      Kind = "encryption type blocked"      // 403
	NoLockConfig           Kind = "no object lock configuration"
	WrongCustomerKey       Kind = "wrong customer key"    // 403
	CustomerKeyMissing     Kind = "customer key missing"  // 400
	CustomerKeyNotExpected Kind = "customer key on plain" // 400
	NoMasterKey            Kind = "no master key"
	NoSuchKMSKey           Kind = "no such KMS key"
	InvalidWriteOffset     Kind = "invalid write offset"
	SlowDown               Kind = "slow down"           // 503
	Unavailable            Kind = "service unavailable" // 503
)

// Error is an error that the caller, or the user behind it, can act on.
type Error struct {
	Kind Kind
	// Message says what happened, in a sentence for the user; "" leaves it
	// to the API layer.
	Message string
	// Details are further facts, such as the header that was not met.
	Details map[string]string
	// Err is the cause, for the log; nil if there is none.
	Err error
	// DeleteMarker is set where the key's current (or named) version is a
	// delete marker, VersionID is its id.
	DeleteMarker bool
	VersionID    string
	// Size is the object's size, with InvalidRange.
	Size int64
	// Version is what was found, with NotModified and MethodNotAllowed.
	Version *meta.Version
}

func (e *Error) Error() string {
	switch {
	case e.Err != nil && e.Message != "":
		return fmt.Sprintf("%s: %s: %v", e.Kind, e.Message, e.Err)
	case e.Err != nil:
		return fmt.Sprintf("%s: %v", e.Kind, e.Err)
	case e.Message != "":
		return fmt.Sprintf("%s: %s", e.Kind, e.Message)
	}
	return string(e.Kind)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Kind: k}) ask for the kind alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind && t.Message == "" && t.Err == nil
}

func fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// unknown reports whether a change may hold although err was returned.
func unknown(err error) bool { return errors.Is(err, meta.ErrUnknownOutcome) }
