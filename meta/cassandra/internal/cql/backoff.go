package cql

import (
	"context"
	"math/rand/v2"
	"time"
)

// MaxTries bounds loops that start again because a row changed between two reads.
const MaxTries = 20

// Backoff waits before another attempt, for a random time that grows with try.
func Backoff(ctx context.Context, try int) error {
	most := min(time.Millisecond<<min(try, 8), 200*time.Millisecond)
	t := time.NewTimer(time.Duration(rand.Int64N(int64(most)) + 1))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
