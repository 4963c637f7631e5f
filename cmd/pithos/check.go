package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/check"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/meta"
)

const checkHelp = `Check reads everything in the store and reports what does not fit together:

  missing       a version or a part whose bytes are not there
  corrupt       bytes that differ from those that were written (--deep)
  mismatched    a listing that differs from the object; other rows that
                contradict each other
  unreferenced  bytes that no object refers to
  leftover      rows that nothing needs any more

It may run while gateways serve: changes in progress are not reported. The
embedded engine belongs to one process at a time: stop 'pithos serve' first.

--repair rewrites listings from the objects, queues what is left over for the
garbage collection, and with --deep rewrites wrong copies of chunks from good ones.
What is missing stays missing: restore it from a backup. Unreferenced bytes on
Cassandra are deleted when two runs with the same --state directory, a grace
time (gc.grace) apart, have both found them; in the embedded engine at once.

--deep reads every byte: on Cassandra each copy of each chunk, and every body
whose key this server has. Reading a chunk of which a copy is wrong heals it, as
a GET does, with or without --repair.

A check writes intermediate results into a temporary directory ($TMPDIR), about
100 bytes for each version and each blob. --state names another directory; a
check that was interrupted continues from there.`

type checkFlags struct {
	repair, deep, json bool
	bucket, state      string
	workers            int
}

func newCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Look for what is missing, damaged or left over, and repair it",
		Long:    checkHelp,
		Example: "  pithos check\n  pithos check -f pithos.yaml --deep --repair --state /var/lib/pithos-check\n  pithos check --bucket photos --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.workers < 1 {
				return withCode(exitUsage, fmt.Errorf("--workers is %d: want 1 or more", f.workers))
			}
			cfg, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return checkStore(cmd, &cfg, f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.repair, "repair", false, "repair what can be repaired")
	flags.BoolVar(&f.deep, "deep", false, "read every byte and compare it with its checksums")
	flags.StringVar(&f.bucket, "bucket", "", "check the objects of this bucket alone; unreferenced bytes are not looked for")
	flags.StringVar(&f.state, "state", "", "`directory` for intermediate results, to continue from after an interruption")
	flags.IntVar(&f.workers, "workers", 8, "how many parts are checked in parallel")
	flags.BoolVar(&f.json, "json", false, "as one JSON object a line: each finding, and the summary last")
	return cmd
}

// checkStore opens the configured engine and checks it.
func checkStore(cmd *cobra.Command, cfg *config.Config, f checkFlags) error {
	embedded := cfg.Engine() == config.EmbeddedEngine
	if _, statErr := os.Stat(cfg.Embedded.Directory); embedded && statErr != nil {
		return withCode(exitUnavailable, fmt.Errorf("there is no store to check: %w", statErr))
	}
	err := withEngine(cmd, cfg, engine.OpenOptions{}, func(_ context.Context, e *engine.Engine) error {
		return runCheck(cmd, e, embedded, f)
	})
	if errors.Is(err, engine.ErrInUse) {
		err = withCode(exitUnavailable, fmt.Errorf("%w\nthe embedded engine can be checked only while 'pithos serve' is stopped", err))
	}
	return err
}

// runCheck checks an open engine and shows what was found. Findings that are
// left make the exit code exitFindings.
func runCheck(cmd *cobra.Command, e *engine.Engine, exclusive bool, f checkFlags) error {
	out := cmd.OutOrStdout()
	progress := newProgress(cmd.ErrOrStderr())
	found := func(finding check.Finding) error {
		progress.clear()
		return printFinding(out, finding, f.json)
	}
	summary, err := check.Run(cmd.Context(), check.Options{
		Store: e.Store, Meta: e.Meta, Blobs: e.Blobs, Exclusive: exclusive,
		Repair: f.repair, Deep: f.deep, Bucket: f.bucket, State: f.state, Workers: f.workers,
		Progress: progress.show, Found: found,
	})
	progress.clear()
	switch {
	case cmd.Context().Err() != nil:
		return interrupted(cmd.Context(), f.state)
	case errors.Is(err, check.ErrOtherState):
		return withCode(exitUsage, err)
	case errors.Is(err, meta.ErrUnavailable):
		return withCode(exitUnavailable, err)
	case err != nil:
		return err
	}
	if err := printSummary(out, summary, f.json); err != nil {
		return err
	}
	if left := summary.Left(); left > 0 {
		return withCode(exitFindings, fmt.Errorf("%d findings need attention", left))
	}
	return nil
}

func interrupted(ctx context.Context, state string) error {
	if state == "" {
		return ctx.Err()
	}
	return fmt.Errorf("%w: the same command goes on from %s", ctx.Err(), state)
}

// printFinding shows a finding, and below it what to do.
func printFinding(w io.Writer, f check.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Finding check.Finding `json:"finding"`
		}{f})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s  ", f.Kind)
	if f.Bucket != "" {
		fmt.Fprintf(&b, "%q in bucket %s: ", f.Key, f.Bucket)
	}
	for _, named := range []struct{ what, id string }{{"version", f.Version}, {"upload", f.Upload}} {
		if named.id != "" {
			fmt.Fprintf(&b, "%s %s: ", named.what, named.id)
		}
	}
	if f.Part > 0 {
		fmt.Fprintf(&b, "part %d: ", f.Part)
	}
	b.WriteString(f.Detail)
	if f.Blob != "" {
		fmt.Fprintf(&b, " (blob %s in %s)", f.Blob, f.Store)
	}
	if f.Repaired {
		b.WriteString(" - repaired")
	} else if f.Advice != "" {
		fmt.Fprintf(&b, "\n%14s%s", "", f.Advice)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

func printSummary(w io.Writer, s *check.Summary, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Summary *check.Summary `json:"summary"`
		}{s})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "looked at %d buckets, %d versions, %d listed keys, %d uploads with %d parts, %d queue entries, %d blobs of %d bytes in %s\n",
		s.Buckets, s.Versions, s.Listed, s.Uploads, s.Parts, s.Queued, s.Blobs, s.BlobBytes, s.Duration.Round(time.Millisecond))
	if s.Verified > 0 {
		fmt.Fprintf(&b, "read %d bytes; of %d bodies this server has no key: their stored bytes were read\n", s.Verified, s.Unreadable)
	}
	if s.Unread > 0 {
		fmt.Fprintf(&b, "%d copies of chunks could not be read: check again when all nodes are up\n", s.Unread)
	}
	if s.Held {
		b.WriteString("a backup keeps blobs from being deleted: see 'pithos backup status'\n")
	} else if s.Overdue > 0 {
		fmt.Fprintf(&b, "%d queue entries are overdue: does a gateway run, and collect?\n", s.Overdue)
	}
	if s.Total() == 0 {
		b.WriteString("nothing is wrong\n")
	}
	for _, kind := range check.Kinds {
		if n := s.Found[kind]; n > 0 {
			fmt.Fprintf(&b, "%s: %d\n", kind, n)
		}
	}
	if s.Repaired > 0 {
		fmt.Fprintf(&b, "repaired: %d\n", s.Repaired)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// progress shows how far a check is: a bar on a terminal, and elsewhere a line
// now and then.
type progress struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex
	phase string
	began time.Time // of the phase
	shown time.Time
	width int // of the bar that stands there
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 10 * time.Second
	barWidth  = 30
)

func newProgress(out io.Writer) *progress {
	p := &progress{out: out}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// show implements what check.Options.Progress is.
func (p *progress) show(now check.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := now.Phase != p.phase
	if fresh {
		p.phase, p.began = now.Phase, time.Now()
	}
	every := lineEvery
	if p.terminal {
		every = barEvery
	}
	if !fresh && time.Since(p.shown) < every {
		return
	}
	p.shown = time.Now()
	text := p.text(now)
	if !p.terminal {
		_, _ = fmt.Fprintln(p.out, text) // an output that is gone stops nothing
		return
	}
	_, _ = fmt.Fprintf(p.out, "\r%-*s", p.width, text)
	p.width = len(text)
}

func (p *progress) text(now check.Progress) string {
	if now.Of == 0 {
		return now.Phase
	}
	text := fmt.Sprintf("%s: %d of %d parts", now.Phase, now.Done, now.Of)
	if p.terminal {
		full := barWidth * now.Done / now.Of
		text = fmt.Sprintf("%-30s [%s%s] %3d%%", now.Phase, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*now.Done/now.Of)
	}
	if now.Rows > 0 {
		rate := float64(now.Rows) / max(time.Since(p.began).Seconds(), 0.001)
		text += fmt.Sprintf(", %d rows, %.0f/s", now.Rows, rate)
	}
	return text
}

// clear takes the bar away, so that a line can stand in its place.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		_, _ = fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
		p.width = 0
	}
}
