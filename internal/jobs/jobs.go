package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/meta"
)

// Job is a kind of background work.
type Job struct {
	// Name is the name in rows, metrics and 'pithos jobs'. It never changes.
	Name string
	// Every is the time from the start of a run to the start of the next one,
	// give or take a quarter.
	Every time.Duration
	// Shards is the number of parts that can be worked on by different gateways
	// at the same time; 0 means 1.
	Shards int
	// EachGateway says that every gateway runs the job, without a lease.
	EachGateway bool
	// MaxRun is the time after which a run that has saved no progress counts as
	// stuck: its context ends, and its lease is no longer renewed, so that another
	// gateway takes the shard. 0 means an hour.
	MaxRun time.Duration
	// Run works on a shard. It must return soon after its context ends. A panic
	// counts as an error of the run.
	Run func(context.Context, *Run) (Result, error)
	// Show, if not nil, is called with the last run of each shard, when the
	// gateway has read its row: another gateway may have run it.
	Show func(shard int, last meta.JobRun)
}

// Result is what a run has done.
type Result struct {
	// Items were worked on. Errors of them failed.
	Items, Errors int64
	// Backlog is how many items are left for later runs, Lag how long the oldest
	// item had been due.
	Backlog int64
	Lag     time.Duration
}

// Options are the surroundings of jobs.
type Options struct {
	Leases meta.Leases
	// Gateway names this process in rows. No other process has the same name.
	Gateway string
	// Alone says that no other process can use the store now. Leases that a
	// process has left are then taken without waiting for the lease time.
	Alone bool
	// LeaseTime is the time after which another gateway takes a lease that is
	// not renewed; 0 means a minute.
	LeaseTime time.Duration
	Metrics   *metrics.Metrics
	Log       *zap.Logger
}

const (
	defaultLeaseTime = time.Minute
	// pollEvery is the longest time between two looks at the rows of a job.
	pollEvery = time.Minute
	// releaseTimeout bounds storing the result of a run, also at shutdown.
	releaseTimeout = 5 * time.Second
	// defaultMaxRun is the default of Job.MaxRun.
	defaultMaxRun = time.Hour
	// stopTimeout is how long stop waits for runs. A run that is stuck, for
	// example in a read of a file system that does not answer, must not keep the
	// process from ending: what it leaves is what a crash leaves.
	stopTimeout = 30 * time.Second
)

// Start runs jobs until stop is called, which waits for the runs to end, for 30
// seconds at most. The first runs begin after a pause, since a server that has
// just started is busy.
func Start(o Options, jobs ...Job) (stop func()) {
	if o.LeaseTime == 0 {
		o.LeaseTime = defaultLeaseTime
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, job := range jobs {
		r := &runner{Options: o, job: job, poll: job.Every, log: o.Log.Named(job.Name), seen: map[int]sighting{}, metrics: o.Metrics.Job(job.Name)}
		if !job.EachGateway {
			r.poll = min(job.Every, pollEvery)
		}
		if job.MaxRun == 0 {
			r.job.MaxRun = defaultMaxRun
		}
		running.Go(func() {
			for pause.For(ctx, jittered(r.poll)) == nil {
				r.round(ctx)
			}
		})
	}
	return func() {
		cancel()
		ended := make(chan struct{})
		go func() {
			running.Wait()
			close(ended)
		}()
		timer := time.NewTimer(stopTimeout)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			o.Log.Warn("a background job did not end in time and was left as after a crash", zap.Duration("waited", stopTimeout))
		}
	}
}

// runner runs one job.
type runner struct {
	Options
	job     Job
	poll    time.Duration
	log     *zap.Logger
	metrics *metrics.Job
	seen    map[int]sighting // by shard
}

// sighting is a revision of a held lease, and since when it has been seen.
type sighting struct {
	rev   int64
	since time.Time
}

// round works on the shards that are free and due.
func (r *runner) round(ctx context.Context) {
	rows, err := r.Leases.ListLeases(ctx, r.job.Name)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("reading the leases of the job failed", zap.Duration("retry_in", r.poll), zap.Error(err))
		}
		if r.job.EachGateway && ctx.Err() == nil { // it needs no lease, only its result cannot be stored
			limited, end := context.WithTimeoutCause(ctx, r.job.MaxRun, errStuck)
			defer end()
			r.run(limited, &Run{})
		}
		return
	}
	byShard := map[int]meta.Lease{}
	for _, row := range rows {
		byShard[row.Shard] = row
	}
	shards := max(1, r.job.Shards)
	first := rand.IntN(shards) // gateways begin with different shards
	for i := range shards {
		shard := (first + i) % shards
		row, ok := byShard[shard]
		if !ok {
			row = meta.Lease{Job: r.job.Name, Shard: shard}
		} else if row.LastRun.Started != 0 {
			r.show(shard, row.LastRun)
		}
		switch {
		case ctx.Err() != nil:
			return
		case r.job.EachGateway:
			r.runWithoutLease(ctx, row)
		case r.free(row) && r.due(row):
			r.runWithLease(ctx, row)
		}
	}
}

// free reports whether a lease may be taken.
func (r *runner) free(row meta.Lease) bool {
	if row.Holder == "" || row.Holder == r.Gateway || r.Alone {
		delete(r.seen, row.Shard)
		return true
	}
	now := time.Now()
	seen, ok := r.seen[row.Shard]
	if !ok || seen.rev != row.Rev {
		seen = sighting{row.Rev, now}
		r.seen[row.Shard] = seen
	}
	return now.Sub(seen.since) >= r.LeaseTime
}

// due reports whether the period has passed since the last run, or was begun: a
// run that died goes on at once. Clocks of gateways may differ, so a start in
// the future counts as due.
func (r *runner) due(row meta.Lease) bool {
	passed := time.Since(time.UnixMicro(row.LastRun.Started))
	return row.Holder != "" || len(row.Progress) > 0 || passed < 0 || passed >= r.job.Every*3/4
}

// runWithoutLease runs the job and stores the result, unless another gateway has
// stored one meanwhile.
func (r *runner) runWithoutLease(ctx context.Context, row meta.Lease) {
	limited, end := context.WithTimeoutCause(ctx, r.job.MaxRun, errStuck)
	result, took, err := r.run(limited, &Run{Shard: row.Shard})
	end()
	if err != nil && ctx.Err() != nil {
		return // stopped
	}
	next := row
	next.Rev, next.LastRun = row.Rev+1, r.lastRun(row.LastRun, result, took, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	r.stored(r.Leases.PutLease(ctx, next, row.Rev))
	r.show(row.Shard, next.LastRun)
}

// runWithLease takes the lease, runs the job and releases the lease.
func (r *runner) runWithLease(ctx context.Context, row meta.Lease) {
	began, taken := time.Now(), row
	taken.Rev, taken.Token, taken.Holder = row.Rev+1, row.Rev+1, r.Gateway
	if err := r.Leases.PutLease(ctx, taken, row.Rev); err != nil {
		if !errors.Is(err, meta.ErrConflict) && ctx.Err() == nil {
			r.log.Warn("taking the lease of the job failed", zap.Int("shard", row.Shard), zap.Duration("retry_in", r.poll), zap.Error(err))
		}
		return // with ErrConflict: another gateway was faster
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l := newLease(r.Leases, taken, began)
	var renewing sync.WaitGroup
	renewing.Go(func() { l.keep(running, r.LeaseTime, r.job.MaxRun, cancel) })
	result, took, err := r.run(running, &Run{Shard: row.Shard, Token: taken.Token, Progress: row.Progress, lease: l, lost: cancel})
	cause := context.Cause(running)
	cancel(nil)
	renewing.Wait()
	if errors.Is(cause, ErrLost) {
		r.log.Warn("the run was stopped, since its lease was lost", zap.Int("shard", row.Shard))
		return
	}
	last := row.LastRun
	if stopped := err != nil && ctx.Err() != nil; !stopped {
		last = r.lastRun(row.LastRun, result, took, err)
	}
	ctx, end := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer end()
	r.stored(l.change(ctx, func(row *meta.Lease) {
		row.Holder, row.LastRun = "", last
		if err == nil {
			row.Progress = nil
		}
	}))
	if last != row.LastRun {
		r.show(row.Shard, last)
	}
}

// run runs the job once, counts the run and logs its error.
func (r *runner) run(ctx context.Context, run *Run) (Result, time.Duration, error) {
	start := time.Now()
	result, err := recovered(ctx, r.job, run)
	took := time.Since(start)
	switch cause := context.Cause(ctx); {
	case err == nil:
	case errors.Is(cause, errStuck):
		err = fmt.Errorf("%w: %w", errStuck, err)
	case cause != nil:
		return result, took, err // stopped, which is not a failure of the job
	}
	r.metrics.Ran(result.Items, result.Errors, err)
	if err != nil {
		r.log.Warn("background job failed", zap.String("job", r.job.Name), zap.Int("shard", run.Shard), zap.Duration("retry_in", r.job.Every), zap.Error(err))
	}
	return result, took, err
}

// recovered runs the job and turns a panic into an error: otherwise a single
// damaged row would stop one gateway after the other.
func recovered(ctx context.Context, job Job, run *Run) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return job.Run(ctx, run)
}

// maxErrorText bounds the error that is stored, in bytes.
const maxErrorText = 1000

func (r *runner) lastRun(before meta.JobRun, result Result, took time.Duration, err error) meta.JobRun {
	run := meta.JobRun{
		Started: time.Now().Add(-took).UnixMicro(), Succeeded: before.Succeeded, Took: took, Gateway: r.Gateway,
		Items: result.Items, Errors: result.Errors, Backlog: result.Backlog, Lag: result.Lag,
	}
	if err == nil {
		run.Succeeded = run.Started
	} else {
		run.Error = err.Error()[:min(len(err.Error()), maxErrorText)]
	}
	return run
}

// stored logs that a result could not be stored. If another gateway has changed
// the row, its result is the newer one.
func (r *runner) stored(err error) {
	if err != nil && !errors.Is(err, meta.ErrConflict) {
		r.log.Warn("storing the result of the job failed", zap.Error(err))
	}
}

func (r *runner) show(shard int, last meta.JobRun) {
	r.metrics.Show(shard, metrics.JobRun{
		Started: time.UnixMicro(last.Started), Succeeded: time.UnixMicro(last.Succeeded), Took: last.Took, Backlog: last.Backlog, Lag: last.Lag,
	})
	if r.job.Show != nil {
		r.job.Show(shard, last)
	}
}

// jittered returns d, give or take a quarter, so that gateways do not work in
// step.
func jittered(d time.Duration) time.Duration { return d*3/4 + rand.N(d/2+1) }
