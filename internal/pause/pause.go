// Package pause waits, as long as a context allows.
package pause

import (
	"context"
	"time"
)

// For returns nil after d, or the error of ctx at once when it ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
