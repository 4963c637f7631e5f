package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/pause"
)

const (
	attempts   = 4
	firstPause = 50 * time.Millisecond
)

// retry repeats an idempotent operation until it succeeds, fails permanently, or
// has failed too often: then the error is [blob.ErrUnavailable]. The pauses double
// from 50 ms on, each shortened at random by up to a half.
func retry(ctx context.Context, f func() error) error {
	delay := firstPause
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !transient(err):
			return err
		case n == attempts:
			reason := blob.ErrUnavailable
			if cassandra.Overloaded(err) {
				reason = blob.ErrOverloaded
			}
			return fmt.Errorf("%w: failed %d times: %w", reason, n, err)
		}
		if err := pause.For(ctx, delay/2+rand.N(delay/2)); err != nil {
			return err
		}
		delay *= 2
	}
}

// transient reports whether a retry may succeed. It may for all errors but those of
// a request that is invalid or not permitted; an error that is not an answer of
// Cassandra is one of the network.
func transient(err error) bool {
	if errors.Is(err, errMissing) || errors.Is(err, blob.ErrCorrupt) || errors.Is(err, gocql.ErrSessionClosed) {
		return false
	}
	var request gocql.RequestError
	if !errors.As(err, &request) {
		var marshal gocql.MarshalError
		var unmarshal gocql.UnmarshalError
		return !errors.As(err, &marshal) && !errors.As(err, &unmarshal)
	}
	switch request.Code() {
	case gocql.ErrCodeProtocol, gocql.ErrCodeCredentials, gocql.ErrCodeFunctionFailure, gocql.ErrCodeSyntax,
		gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig, gocql.ErrCodeAlreadyExists:
		return false
	}
	return true
}
