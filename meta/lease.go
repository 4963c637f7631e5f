package meta

import (
	"context"
	"time"
)

// Leases are the rows of background jobs, one for each shard of a job (package
// internal/jobs). A lease decides which gateway works and when. It never decides
// what is true: the work stays correct if two gateways do it at once.
type Leases interface {
	// PutLease adds or replaces the row of l.Job and l.Shard and sets its
	// revision to l.Rev (> ifRev). The revision must be ifRev before; 0 means
	// that there is no row. Otherwise it returns ErrConflict.
	PutLease(ctx context.Context, l Lease, ifRev int64) error
	// ListLeases returns the rows of a job, ordered by shard; those of all
	// jobs, ordered by job, if job is "". It sees every PutLease that was
	// acknowledged before it began.
	ListLeases(ctx context.Context, job string) ([]Lease, error)
}

// Lease is the row of one shard of a background job.
type Lease struct {
	Job   string `cbor:"-"`
	Shard int    `cbor:"-"` // 0 to 2^31-1
	Rev   int64  `cbor:"-"` // grows with every change of the row
	// Holder is the gateway that works on the shard; "" if none does.
	Holder string `cbor:"1,keyasint,omitempty"`
	// Token is a fencing number: the revision with which Holder took the lease.
	// Each holder has a greater one than those before it.
	Token int64 `cbor:"2,keyasint,omitempty"`
	// Progress says where the next run continues, in a format of the job. It is
	// empty after a run that has ended.
	Progress []byte `cbor:"3,keyasint,omitempty"`
	// LastRun is the last run that has ended.
	LastRun JobRun `cbor:"4,keyasint,omitzero"`
}

// JobRun is the result of a run of a job.
type JobRun struct {
	// Started and Succeeded are in µs since 1970, by the clock of the gateway
	// that ran the job. Succeeded is the start of the last run without an error;
	// 0: none.
	Started   int64         `cbor:"1,keyasint"`
	Succeeded int64         `cbor:"2,keyasint,omitempty"`
	Took      time.Duration `cbor:"3,keyasint"`
	Gateway   string        `cbor:"4,keyasint"`
	// Items were worked on; Errors of them failed.
	Items  int64 `cbor:"5,keyasint,omitempty"`
	Errors int64 `cbor:"6,keyasint,omitempty"`
	// Backlog is how many items are left for later runs, Lag how long the oldest
	// item had been due.
	Backlog int64         `cbor:"7,keyasint,omitempty"`
	Lag     time.Duration `cbor:"8,keyasint,omitempty"`
	// Error is why the run failed; "" if it did not.
	Error string `cbor:"9,keyasint,omitempty"`
}
