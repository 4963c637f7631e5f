package engine

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
)

// StartJobs runs the background jobs of the engine until stop is called, which
// waits for them. The engine must be open until then.
func (e *Engine) StartJobs(m *metrics.Metrics, log *zap.Logger) (stop func()) {
	all := []jobs.Job{e.holdsJob(m, log.Named("gc")), e.gcJob(m, log.Named("gc"))}
	if e.sweep != nil {
		all = append(all, e.sweepJob())
	}
	return jobs.Start(jobs.Options{
		Leases: e.Meta, Gateway: gatewayName(), Alone: e.Kind == config.EmbeddedEngine, Metrics: m, Log: log.Named("jobs"),
	}, all...)
}

// gatewayName names this process: the host for people, the rest to be unique.
func gatewayName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s:%d-%.8s", host, os.Getpid(), meta.NewID())
}

// gcJob deletes the blobs that nothing refers to (store.Collect).
func (e *Engine) gcJob(m *metrics.Metrics, log *zap.Logger) jobs.Job {
	return jobs.Job{
		Name: "gc", Every: time.Minute,
		Run: func(ctx context.Context, _ *jobs.Run) (jobs.Result, error) {
			start := time.Now()
			done, err := e.Store.Collect(ctx)
			m.Collected(metrics.Collected{
				Looked: done.Looked, Deleted: done.Deleted, Postponed: done.Postponed, Overdue: done.Overdue,
				Took: time.Since(start), Err: err,
			})
			if err == nil && done.Looked > 0 {
				log.Info("collected", zap.Int("looked", done.Looked), zap.Int("deleted", done.Deleted), zap.Int("postponed", done.Postponed))
			}
			return jobs.Result{Items: int64(done.Looked), Errors: int64(done.Failed), Backlog: int64(done.Postponed), Lag: done.Overdue}, err
		},
		Show: func(_ int, last meta.JobRun) { m.ShowCollected(last.Lag, time.UnixMicro(last.Succeeded)) },
	}
}

// holdsJob ages the holds of backups. Each gateway does so, since each subtracts
// the time that it has measured itself (package store, holds.go).
func (e *Engine) holdsJob(m *metrics.Metrics, log *zap.Logger) jobs.Job {
	held := false
	return jobs.Job{
		Name: "holds", Every: time.Minute, EachGateway: true,
		Run: func(ctx context.Context, _ *jobs.Run) (jobs.Result, error) {
			holds, err := e.Store.AgeHolds(ctx)
			m.Held(longestHold(holds))
			if now := len(holds) > 0; err == nil && now != held {
				logHolds(log, holds)
				held = now
			}
			return jobs.Result{Items: int64(len(holds))}, err
		},
	}
}

// longestHold is the time that is left of the hold that ends last.
func longestHold(holds []meta.Hold) (left time.Duration) {
	for _, h := range holds {
		left = max(left, h.Left)
	}
	return left
}

func logHolds(log *zap.Logger, holds []meta.Hold) {
	if len(holds) == 0 {
		log.Info("the holds of backups have ended: blobs are deleted again")
	}
	for _, h := range holds {
		log.Info("a backup holds blobs: none are deleted", zap.Stringer("hold", h.ID), zap.String("reason", h.Reason), zap.Duration("left", h.Left))
	}
}

// sweepJob removes what the embedded engine remembers of keys and uploads that
// have been gone for long enough.
func (e *Engine) sweepJob() jobs.Job {
	return jobs.Job{
		Name: "sweep", Every: time.Hour,
		Run: func(ctx context.Context, _ *jobs.Run) (jobs.Result, error) {
			removed, err := e.sweep(ctx)
			return jobs.Result{Items: int64(removed)}, err
		},
	}
}
