package s3api

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

func TestFailuresOfTheEngineAreTheirOwnCodes(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   s3err.Code
		status int
	}{
		{meta.ErrUnavailable, "ServiceUnavailable", 503},
		{meta.ErrOverloaded, "SlowDown", 503},
		{blob.ErrUnavailable, "ServiceUnavailable", 503},
		{blob.ErrOverloaded, "SlowDown", 503},
		// A client that gets SlowDown may assume that nothing was changed.
		{fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, meta.ErrOverloaded), "ServiceUnavailable", 503},
		{blob.ErrFull, "ServiceUnavailable", 503},
		{meta.ErrConflict, "OperationAborted", 409},
		{blob.ErrCorrupt, "InternalError", 500},
		{errors.New("a bug"), "InternalError", 500},
	} {
		got := toError(fmt.Errorf("do something: %w", c.err))
		if got.Code != c.code || statusOf(got) != c.status {
			t.Errorf("%v: %d %s, want %d %s", c.err, statusOf(got), got.Code, c.status, c.code)
		}
	}
}
