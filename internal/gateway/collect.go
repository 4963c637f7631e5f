package gateway

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/store"
)

// collectEvery is the pause between two passes of the collector, give or take
// a quarter, so that the gateways of one cluster do not collect in step.
const collectEvery = time.Minute

// Collect removes what nothing refers to any more, again and again until ctx
// ends. It starts after a pause: a server that has just started is busy.
//
// Each pass is counted in m.
func Collect(ctx context.Context, s *store.Store, m *metrics.Metrics, log *zap.Logger) {
	for sleep(ctx, jittered(collectEvery)) {
		start := time.Now()
		done, err := s.Collect(ctx)
		m.Collected(metrics.Collected{
			Looked: done.Looked, Deleted: done.Deleted, Postponed: done.Postponed, Overdue: done.Overdue,
			Took: time.Since(start), Err: err,
		})
		switch {
		case err != nil && ctx.Err() == nil:
			log.Warn("collecting what nothing refers to any more failed; it is tried again in a minute", zap.Error(err))
		case done.Looked > 0:
			log.Info("collected", zap.Int("looked", done.Looked), zap.Int("deleted", done.Deleted), zap.Int("postponed", done.Postponed))
		}
	}
}

func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2) }

// sleep waits, and reports whether ctx still holds.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
