package jobs

import (
	"context"
	"time"

	"github.com/pithos/pithos/meta"
)

// Status is the state of one shard of a job, as 'pithos jobs' shows it.
type Status struct {
	Job   string `json:"job"`
	Shard int    `json:"shard"`
	// Holder is the gateway that works on the shard now; "" if none does.
	Holder string `json:"holder,omitempty"`
	// The last run. LastRun is zero if there was none. Gateway ran it.
	LastRun     time.Time `json:"last_run,omitzero"`
	LastSuccess time.Time `json:"last_success,omitzero"`
	Gateway     string    `json:"gateway,omitempty"`
	Duration    float64   `json:"duration_seconds"`
	Items       int64     `json:"items"`
	Errors      int64     `json:"errors"`
	Backlog     int64     `json:"backlog"`
	Lag         float64   `json:"lag_seconds"`
	Error       string    `json:"error,omitempty"`
}

// Lister lists the jobs of a store, in this process or through another one.
type Lister interface {
	// ListJobs returns the shards of all jobs that have run, ordered by job and
	// shard.
	ListJobs(context.Context) ([]Status, error)
}

// Stored lists the jobs of a metadata store.
type Stored struct{ Leases meta.Leases }

// ListJobs implements [Lister].
func (s Stored) ListJobs(ctx context.Context) ([]Status, error) {
	rows, err := s.Leases.ListLeases(ctx, "")
	if err != nil {
		return nil, err
	}
	all := make([]Status, 0, len(rows))
	for _, row := range rows {
		last := row.LastRun
		all = append(all, Status{
			Job: row.Job, Shard: row.Shard, Holder: row.Holder, LastRun: timeOf(last.Started), LastSuccess: timeOf(last.Succeeded),
			Gateway: last.Gateway, Duration: last.Took.Seconds(), Items: last.Items, Errors: last.Errors,
			Backlog: last.Backlog, Lag: last.Lag.Seconds(), Error: last.Error,
		})
	}
	return all, nil
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
