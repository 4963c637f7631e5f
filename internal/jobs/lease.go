package jobs

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/meta"
)

// ErrLost is the cause that ends the context of a run whose lease another
// gateway has, or whose lease could not be renewed for the lease time.
var ErrLost = errors.New("the lease of the job was lost")

// errStuck is the cause that ends the context of a run that took longer than
// [Job.MaxRun] without saving progress.
var errStuck = errors.New("the run made no progress for too long")

// Run is one run of a job.
type Run struct {
	Shard int
	// Token is the fencing number of the lease; 0 without a lease.
	Token int64
	// Progress is what an earlier run has saved that did not end.
	Progress []byte

	lease *lease
	lost  context.CancelCauseFunc
}

// Save stores how far the run has come: a later run continues from there if this
// one does not end. It returns ErrLost if another gateway has the lease.
func (r *Run) Save(ctx context.Context, progress []byte) error {
	if r.lease == nil {
		return errors.New("a job that runs without a lease has no progress")
	}
	err := r.lease.change(ctx, func(row *meta.Lease) { row.Progress = progress })
	if errors.Is(err, meta.ErrConflict) {
		r.lost(ErrLost)
		return ErrLost
	}
	if err == nil {
		now := time.Now()
		r.lease.progressed.Store(&now)
	}
	return err
}

// lease is a lease that this process holds.
type lease struct {
	leases meta.Leases
	// renewed is when the row was written last.
	renewed atomic.Pointer[time.Time]
	// progressed is when the run began, or saved progress last.
	progressed atomic.Pointer[time.Time]
	// writing holds a token while the row is written.
	writing chan struct{}
	row     meta.Lease // as it was written last
}

// newLease returns the lease of a row that was written at the time now.
func newLease(leases meta.Leases, row meta.Lease, now time.Time) *lease {
	l := &lease{leases: leases, row: row, writing: make(chan struct{}, 1)}
	l.renewed.Store(&now)
	l.progressed.Store(&now)
	return l
}

// change edits the row, which renews the lease. [meta.ErrConflict] says that
// another gateway has the lease.
func (l *lease) change(ctx context.Context, edit func(*meta.Lease)) error {
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := l.put(ctx, edit)
	if !errors.Is(err, meta.ErrConflict) {
		return err
	}
	// An earlier change whose outcome was not known may have been applied.
	rows, listErr := l.leases.ListLeases(ctx, l.row.Job)
	if listErr != nil {
		return listErr
	}
	for _, row := range rows {
		if row.Shard == l.row.Shard && row.Holder == l.row.Holder && row.Token == l.row.Token {
			l.row = row
			return l.put(ctx, edit)
		}
	}
	return err
}

func (l *lease) put(ctx context.Context, edit func(*meta.Lease)) error {
	next := l.row
	next.Rev++
	edit(&next)
	now := time.Now()
	err := l.leases.PutLease(ctx, next, l.row.Rev)
	if err == nil {
		l.row = next
		l.renewed.Store(&now)
	}
	return err
}

// keep renews the lease until ctx ends. It calls lost when another gateway has
// the lease, or may have it because it could not be renewed in time, and when the
// run is stuck: then another gateway may take the shard.
func (l *lease) keep(ctx context.Context, leaseTime, maxRun time.Duration, lost context.CancelCauseFunc) {
	for pause.For(ctx, leaseTime/3) == nil {
		if time.Since(*l.progressed.Load()) >= maxRun {
			lost(errStuck)
			return
		}
		limited, cancel := context.WithTimeout(ctx, leaseTime/3)
		err := l.change(limited, func(*meta.Lease) {})
		cancel()
		if errors.Is(err, meta.ErrConflict) || err != nil && time.Since(*l.renewed.Load()) >= leaseTime {
			lost(ErrLost)
			return
		}
	}
}
