package cql

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/pithos/pithos/internal/pause"
)

// MaxTries bounds loops that start again because a row changed between two reads.
const MaxTries = 20

// Backoff waits before another attempt, for a random time that grows with try.
func Backoff(ctx context.Context, try int) error {
	most := min(time.Millisecond<<min(try, 8), 200*time.Millisecond)
	if pause.For(ctx, rand.N(most)+1) != nil {
		return context.Cause(ctx)
	}
	return nil
}
