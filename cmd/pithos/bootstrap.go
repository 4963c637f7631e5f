package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/schema"
)

const bootstrapHelp = `Bootstrap waits until Cassandra answers, and installs the schema in every
keyspace that the configuration names: that of the bucketstore, and those of
all regions' metastores and storage classes. Keyspaces that do not exist are
made, with the replication of the configuration.

It may be repeated, and run by several machines concurrently. After an upgrade
of Pithos it upgrades the schema; gateways of the previous version continue to
work. A schema of a newer Pithos is refused.

The embedded engine has no schema; for it there is nothing to do.`

func newBootstrapCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "bootstrap",
		Short:   "Install or upgrade the schema in Cassandra",
		Long:    bootstrapHelp,
		Example: "  pithos bootstrap -f pithos.yaml\n  PITHOS_CASSANDRA_HOST=cassandra pithos bootstrap --timeout 2m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return bootstrap(cmd.Context(), &cfg, timeout, cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait for Cassandra and to take in all; 0: no limit")
	return cmd
}

func bootstrap(ctx context.Context, cfg *config.Config, timeout time.Duration, out io.Writer) error {
	if cfg.Engine() == config.EmbeddedEngine {
		_, err := fmt.Fprintln(out, "The embedded engine needs no schema: nothing to do.")
		return err
	}
	if timeout < 0 {
		return withCode(exitUsage, fmt.Errorf("--timeout is %s: want a positive time, or 0", timeout))
	}
	limited := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	err := engine.Bootstrap(limited, cfg, &bootstrapLines{out: out, started: time.Now()})
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil && limited.Err() != nil:
		return withCode(exitUnavailable, fmt.Errorf("not done within --timeout %s: %w", timeout, err))
	}
	return engineError(err)
}

// bootstrapLines shows the progress, a line a step; while it waits, a line
// every few seconds.
type bootstrapLines struct {
	out     io.Writer
	started time.Time
	waited  time.Time // when the last line about waiting was written
}

// waitingEvery is the pause between two lines about waiting.
const waitingEvery = 5 * time.Second

// Waiting implements engine.Progress. An output that is gone stops nothing.
func (l *bootstrapLines) Waiting(hosts []string, why error) {
	if time.Since(l.waited) < waitingEvery {
		return
	}
	l.waited = time.Now()
	_, _ = fmt.Fprintf(l.out, "waiting for Cassandra at %s for %s: %v\n", strings.Join(hosts, ", "), time.Since(l.started).Round(time.Second), why)
}

// Applied implements engine.Progress.
func (l *bootstrapLines) Applied(keyspace string, role schema.Role, r schema.Report) {
	text := fmt.Sprintf("keyspace %s: %s tables are at version %d", keyspace, role, r.To)
	switch {
	case r.From == r.To:
		text += ", as they were"
	case r.From > 0:
		text += fmt.Sprintf(", upgraded from %d", r.From)
	case r.KeyspaceCreated:
		text += ", installed in a new keyspace"
	default:
		text += ", installed"
	}
	_, _ = fmt.Fprintln(l.out, text)
}
