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
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

const backupHelp = `Backup keeps gateways from deleting data while a backup is taken. It copies
nothing by itself: docs/operations.md has the procedure for each engine.

A backup copies the metadata first and the objects' bytes after them. What is
deleted or overwritten between the two must not be removed from the disks, or
the backup lacks it. So:

  hold=$(pithos backup begin)     # before the snapshot of the metadata
  ...                             # snapshots of the metadata, then of the bytes
  pithos backup end "$hold"       # fails if the hold did not last until now

While a hold lasts, deleted and overwritten objects keep their space. A hold
that is not ended expires by itself (--for), and 'end' then fails: the backup
may lack objects and has to be taken again. 'renew' sets the time again.`

func newBackupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "backup",
		Short:   "Keep data from being deleted while a backup is taken",
		Long:    backupHelp,
		Example: "  pithos backup begin --for 6h --reason nightly\n  pithos backup status\n  pithos backup end 5b0c1f6e0d3d4a7ab0a4b1a8f3a7c9d2",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBackupBeginCommand(), newBackupRenewCommand(), newBackupEndCommand(), newBackupStatusCommand())
	return cmd
}

// defaultHold is how long a hold lasts unless it is ended or renewed.
const defaultHold = 24 * time.Hour

func newBackupBeginCommand() *cobra.Command {
	var left time.Duration
	var reason string
	cmd := &cobra.Command{
		Use:     "begin",
		Short:   "Begin a hold and print its id",
		Long:    "Begin adds a hold and prints its id. From its return on, no gateway deletes the\nbytes of what is there now, until the hold ends.",
		Example: "  hold=$(pithos backup begin --for 6h --reason nightly)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHolds(cmd, left, func(ctx context.Context, holds control.Holds) error {
				h, err := holds.Begin(ctx, left, reason)
				if err != nil {
					return fmt.Errorf("begin a hold: %w", err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), h.ID)
				return err
			})
		},
	}
	forFlag(cmd, &left)
	cmd.Flags().StringVar(&reason, "reason", "", "a `text` that status and the log show")
	return cmd
}

func newBackupRenewCommand() *cobra.Command {
	var left time.Duration
	cmd := &cobra.Command{
		Use:     "renew <id>",
		Short:   "Set the time that a hold has left",
		Long:    "Renew sets the time that a hold has left. It fails if the hold is gone.",
		Example: "  pithos backup renew \"$hold\" --for 6h",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHolds(cmd, left, func(ctx context.Context, holds control.Holds) error {
				_, err := holds.Renew(ctx, args[0], left)
				return goneHold(err)
			})
		},
	}
	forFlag(cmd, &left)
	return cmd
}

func forFlag(cmd *cobra.Command, left *time.Duration) {
	cmd.Flags().DurationVar(left, "for", defaultHold, "how long the hold lasts if it is neither ended nor renewed, 1m to 720h")
}

func newBackupEndCommand() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "end [<id>]",
		Short: "End a hold",
		Long: "End removes a hold. It fails if the hold is gone: then it did not last until\n" +
			"the backup was complete, and the backup has to be taken again.\n" +
			"A restored store still has the hold of its backup: --all ends that.",
		Example: "  pithos backup end \"$hold\"\n  pithos backup end --all   # after a restore",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return withCode(exitUsage, errors.New("name the id of one hold, or --all"))
			}
			return withHolds(cmd, defaultHold, func(ctx context.Context, holds control.Holds) error {
				if !all {
					return goneHold(holds.End(ctx, args[0]))
				}
				ended, err := control.EndAll(ctx, holds)
				for _, h := range ended {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "ended %s\n", h.ID); err != nil {
						return err
					}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end all holds")
	return cmd
}

// goneHold says what it means that a hold is gone.
func goneHold(err error) error {
	if errors.Is(err, store.ErrNoHold) {
		return fmt.Errorf("%w\nwhat was copied under it may lack objects that were deleted meanwhile: take the backup again", err)
	}
	return err
}

func newBackupStatusCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the holds",
		Long:    "Status shows all holds: while there is one, no bytes are deleted.",
		Example: "  pithos backup status\n  pithos backup status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHolds(cmd, defaultHold, func(ctx context.Context, holds control.Holds) error {
				all, err := holds.List(ctx)
				if err != nil {
					return err
				}
				return out.print(cmd, all, func(w io.Writer) error {
					table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
					fmt.Fprintln(table, "HOLD\tBEGAN\tLEFT\tREASON")
					for _, h := range all {
						fmt.Fprintf(table, "%s\t%s\t%s\t%q\n", h.ID, h.Began.Format(time.RFC3339), time.Duration(h.Left)*time.Second, h.Reason)
					}
					return table.Flush() // returns the errors of the writes above
				})
			})
		},
	}
	out.flag(cmd, "array")
	return cmd
}

// withHolds opens the holds of the configured engine for the time of use.
func withHolds(cmd *cobra.Command, left time.Duration, use func(context.Context, control.Holds) error) error {
	if err := store.CheckHold(left); err != nil {
		return withCode(exitUsage, err)
	}
	err := administer(cmd, control.RemoteHolds, func(e *engine.Engine, _ *config.Config) control.Holds { return control.LocalHolds(e.Meta) }, use)
	if errors.Is(err, meta.ErrUnavailable) {
		return withCode(exitUnavailable, err)
	}
	return err
}
