package jobs

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// collectEvery is the pause between two passes of the collector, give or take
// a quarter, so that the gateways of one cluster do not collect in step.
const collectEvery = time.Minute

// Collect removes what nothing refers to any more, again and again until ctx
// ends. It starts after a pause: a server that has just started is busy.
// Every round it also ages the holds of backups (package store, holds.go).
//
// Each pass is counted in m.
func Collect(ctx context.Context, s *store.Store, m *metrics.Metrics, log *zap.Logger) {
	held := false
	for sleep(ctx, jittered(collectEvery)) {
		holds, err := s.AgeHolds(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("reading the holds of backups failed", zap.Duration("retry_in", collectEvery), zap.Error(err))
		}
		m.Held(longest(holds))
		if now := len(holds) > 0; err == nil && now != held {
			logHeld(log, holds)
			held = now
		}
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

// longest is the time that the hold has left that has most.
func longest(holds []meta.Hold) (left time.Duration) {
	for _, h := range holds {
		left = max(left, h.Left)
	}
	return left
}

func logHeld(log *zap.Logger, holds []meta.Hold) {
	if len(holds) == 0 {
		log.Info("no backup keeps blobs from being deleted any more")
	}
	for _, h := range holds {
		log.Info("a backup keeps blobs from being deleted", zap.Stringer("hold", h.ID), zap.String("reason", h.Reason), zap.Duration("left", h.Left))
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
