package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/control"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/meta"
)

const jobsHelp = `Jobs shows the background work of all gateways: when each job ran last, how long
that took, how many items it worked on and how many of them failed, how many
items are left for later runs and how long the oldest had been due, and which
gateway works on the job now.

  gc      deletes the bytes that no object refers to any more
  holds   counts down the holds of backups
  sweep   embedded engine: forgets keys and uploads that have been gone for days

Gateways share the shards of a job by leases: if one dies, another continues
after a minute. A job is shown once it has run.

The embedded engine can be opened by one process at a time: while 'pithos serve'
runs, this command asks it, at a socket in the data directory that only its own
user can reach.`

func newJobsCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "jobs",
		Short:   "Show the background jobs",
		Long:    jobsHelp,
		Example: "  pithos jobs\n  pithos jobs -f pithos.yaml --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			local := func(e *engine.Engine, _ *config.Config) jobs.Lister { return jobs.Stored{Leases: e.Meta} }
			err := administer(cmd, control.RemoteJobs, local, func(ctx context.Context, lister jobs.Lister) error {
				all, err := lister.ListJobs(ctx)
				if err != nil {
					return err
				}
				return out.print(cmd, all, func(w io.Writer) error { return printJobs(w, all) })
			})
			if errors.Is(err, meta.ErrUnavailable) {
				return withCode(exitUnavailable, err)
			}
			return err
		},
	}
	out.flag(cmd, "array")
	return cmd
}

func printJobs(w io.Writer, all []jobs.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "JOB\tSHARD\tLAST RUN\tDURATION\tITEMS\tERRORS\tBACKLOG\tLAG\tHOLDER\tRESULT")
	for _, s := range all {
		last, result, holder := "-", "-", "-"
		if !s.LastRun.IsZero() {
			last, result = s.LastRun.Format(time.RFC3339), "done"
		}
		if s.Error != "" {
			result = fmt.Sprintf("failed: %q", s.Error)
		}
		if s.Holder != "" {
			holder = s.Holder
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", s.Job, s.Shard, last, shownSeconds(s.Duration),
			s.Items, s.Errors, s.Backlog, shownSeconds(s.Lag), holder, result)
	}
	return table.Flush() // returns the errors of the writes above
}

func shownSeconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
