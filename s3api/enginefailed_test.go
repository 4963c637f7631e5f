package s3api

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// TestWhatCountsAsFailureOfTheEngine tests the errors that are answered with 503.
func TestWhatCountsAsFailureOfTheEngine(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{meta.ErrUnavailable, true},
		{meta.ErrUnknownOutcome, true},
		{meta.ErrOverloaded, true},
		{blob.ErrUnavailable, true},
		{blob.ErrOverloaded, true},
		{context.DeadlineExceeded, true},
		{blob.ErrFull, false},
		{s3err.New(s3err.SlowDown), false},
		{&s3err.Error{Code: s3err.SlowDown, Err: store.ErrBucketRecreated}, false},
		{s3err.New(s3err.NoSuchKey), false},
		{errors.New("other"), false},
	} {
		if got := engineFailed(toError(fmt.Errorf("with more: %w", c.err))); got != c.want {
			t.Errorf("%v: %t, want %t", c.err, got, c.want)
		}
	}
}
