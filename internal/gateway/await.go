package gateway

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

// Await opens the engine, trying again for as long as what is missing may
// come by itself: a database that does not answer, a schema that is not
// installed yet. It says so in the log, at first often, then every minute.
func Await(ctx context.Context, cfg *config.Config, o OpenOptions) (*Engine, error) {
	const first, most = 500 * time.Millisecond, 5 * time.Second
	quiet := newReminder(o.Log)
	for pause := first; ; pause = min(2*pause, most) {
		e, err := openWithBuckets(ctx, cfg, o)
		if err == nil {
			quiet.done()
			return e, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrSchemaMissing) {
			return nil, err
		}
		quiet.tell(err)
		if !sleep(ctx, pause) {
			return nil, ctx.Err()
		}
	}
}

// openWithBuckets opens the engine and makes the buckets of options.buckets.
func openWithBuckets(ctx context.Context, cfg *config.Config, o OpenOptions) (*Engine, error) {
	e, err := Open(ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	if err := e.makeBuckets(ctx, cfg, o.Log); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// reminder repeats itself in the log, ever more rarely.
type reminder struct {
	log   *zap.Logger
	since time.Time
	next  time.Time
	gap   time.Duration
	told  bool
}

func newReminder(log *zap.Logger) *reminder {
	return &reminder{log: log, since: time.Now(), gap: 5 * time.Second}
}

func (r *reminder) tell(err error) {
	now := time.Now()
	if now.Before(r.next) {
		return
	}
	r.log.Warn("waiting for the database; requests are answered 503 meanwhile",
		zap.Error(err), zap.Duration("waited", now.Sub(r.since).Round(time.Second)))
	r.told, r.next = true, now.Add(r.gap)
	r.gap = min(2*r.gap, time.Minute)
}

func (r *reminder) done() {
	if r.told {
		r.log.Info("the database answers", zap.Duration("waited", time.Since(r.since).Round(time.Second)))
	}
}
