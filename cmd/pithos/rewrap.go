package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

const rewrapHelp = `Rewrap shows which master keys are in use: how many objects, uploads and access
keys each has encrypted. With --from it encrypts the data keys of that master key
with the active one instead, the first of the key file, so that the old one can
be removed. Bodies stay as they are: only their data keys, of a few bytes each,
are rewritten.

To rotate the master key:
  1. Put the new key at the end of the key file of every gateway, and restart them.
  2. Move it to the first place, and restart them: it encrypts what is new.
  3. pithos rewrap --from OLD, until nothing is left under the old key.
  4. Remove the old key.

Gateways may serve meanwhile. The embedded engine can be opened by one process
at a time: stop 'pithos serve' before. Revoke no access keys while it runs.
Objects that were stored with aws:kms still show the id of the key that they were
stored with. A bucket whose default encryption names the old key still uses it:
change that first. Objects encrypted with a customer's key (SSE-C) need no master key.`

func newRewrapCommand() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:     "rewrap",
		Short:   "Show which master keys are in use, or replace one",
		Long:    rewrapHelp,
		Example: "  pithos rewrap -f pithos.yaml\n  pithos rewrap -f pithos.yaml --from 2025-11",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return withEngine(cmd, &cfg, engine.OpenOptions{}, func(ctx context.Context, e *engine.Engine) error {
				return rewrap(ctx, &cfg, e, from, cmd.OutOrStdout())
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`id` of the master key to replace: its name in the key file, or as this command shows it")
	return cmd
}

func rewrap(ctx context.Context, cfg *config.Config, e *engine.Engine, from string, out io.Writer) error {
	found, err := e.Store.Rewrap(ctx, from)
	var refused *s3err.Error
	if errors.As(err, &refused) && found == nil {
		return withCode(exitUsage, errors.New(refused.Text()))
	}
	if err != nil {
		return err
	}
	keys, changed, err := e.Admin(cfg).Rewrap(ctx, from)
	if err != nil {
		return err
	}
	if err := printMasterKeys(out, e.Ring.IDs(), found, keys); err != nil || from == "" {
		return err
	}
	fmt.Fprintf(out, "\n%d encrypted again with %s\n", found.Changed+changed, e.Ring.Active())
	if found.Busy > 0 {
		return fmt.Errorf("%d uploads were being completed and are left: run this again", found.Busy)
	}
	return nil
}

// printMasterKeys shows what was found under each master key, those of the
// ring first; one that is used and not there is marked.
func printMasterKeys(w io.Writer, ring []string, found *store.Rewrapped, keys map[string]int64) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MASTER KEY\tOBJECTS\tUPLOADS\tACCESS KEYS\tDEFAULT OF BUCKETS\t")
	used := map[string]bool{}
	for _, counts := range []map[string]int64{found.Versions, found.Uploads, keys} {
		for id := range counts {
			used[id] = true
		}
	}
	for id := range found.Defaults {
		used[id] = true
	}
	for i, id := range ring {
		note := ""
		if i == 0 {
			note = "active"
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\n", id, found.Versions[id], found.Uploads[id], keys[id], len(found.Defaults[id]), note)
		delete(used, id)
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\tby another name, or not configured\n", id, found.Versions[id], found.Uploads[id], keys[id], len(found.Defaults[id]))
	}
	return table.Flush()
}
