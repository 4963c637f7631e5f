package engine

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/pause"
)

// Await opens the engine and creates the buckets of options.buckets. It retries
// while the database does not answer or the schema is not installed. It logs
// that it waits, at first after 5 seconds, later every minute.
func Await(ctx context.Context, cfg *config.Config, o OpenOptions) (*Engine, error) {
	const first, most = 500 * time.Millisecond, 5 * time.Second
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	reminder := newReminder(o.Log)
	for delay := first; ; delay = min(2*delay, most) {
		e, err := openWithBuckets(ctx, cfg, o)
		if err == nil {
			reminder.done()
			return e, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrSchemaMissing) {
			return nil, err
		}
		reminder.warn(err)
		if pause.For(ctx, delay) != nil {
			return nil, ctx.Err()
		}
	}
}

// openWithBuckets opens the engine and creates the buckets of options.buckets.
func openWithBuckets(ctx context.Context, cfg *config.Config, o OpenOptions) (*Engine, error) {
	e, err := Open(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	if err := e.createBuckets(ctx, cfg, o.Log); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// reminder logs that the engine is being waited for, at growing intervals.
type reminder struct {
	log    *zap.Logger
	since  time.Time
	next   time.Time
	gap    time.Duration
	warned bool
}

func newReminder(log *zap.Logger) *reminder {
	return &reminder{log: log, since: time.Now(), gap: 5 * time.Second}
}

func (r *reminder) warn(err error) {
	now := time.Now()
	if now.Before(r.next) {
		return
	}
	r.log.Warn("waiting for the database; requests are answered 503",
		zap.Error(err), zap.Duration("waited", now.Sub(r.since).Round(time.Second)))
	r.warned, r.next = true, now.Add(r.gap)
	r.gap = min(2*r.gap, time.Minute)
}

func (r *reminder) done() {
	if r.warned {
		r.log.Info("the database answers", zap.Duration("waited", time.Since(r.since).Round(time.Second)))
	}
}
