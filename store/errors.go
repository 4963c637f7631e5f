package store

import (
	"errors"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// What the caller authorized a request for is no longer there. Both errors have
// the code SlowDown, for callers that cannot authorize the request again and
// repeat it.
var (
	// ErrBucketRecreated says that another bucket has the name.
	ErrBucketRecreated = errors.New("the bucket was deleted and created again")
	// ErrSourceReplaced says that the object, or the source of a copy, is another
	// version.
	ErrSourceReplaced = errors.New("the object was replaced")
)

func fail(code s3err.Code, format string, args ...any) *s3err.Error {
	return s3err.Newf(code, format, args...)
}

// unknown reports whether a change may hold although err was returned.
func unknown(err error) bool { return errors.Is(err, meta.ErrUnknownOutcome) }
