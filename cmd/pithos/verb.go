package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
)

// withEngine opens the configured engine for the time of use. It logs only
// warnings, whatever the configuration says of the log of 'pithos serve'.
func withEngine(cmd *cobra.Command, cfg *config.Config, o engine.OpenOptions, use func(context.Context, *engine.Engine) error) (err error) {
	log, err := newLogs(config.Logging{Level: "warn", Console: true}, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	o.Log = log.Logger
	ctx := cmd.Context()
	e, err := engine.Open(ctx, cfg, o)
	if err != nil {
		return engineError(err)
	}
	if err = use(ctx, e); err == nil {
		err = e.Flush(ctx)
	}
	return errors.Join(err, e.Close())
}

// administer calls use with what local makes of the configured engine. While
// another process serves from the data directory, it calls use with what remote
// makes of that process.
func administer[T any](cmd *cobra.Command, remote func(context.Context, *config.Config) (T, error),
	local func(*engine.Engine, *config.Config) T, use func(context.Context, T) error) error {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	err = withEngine(cmd, &cfg, engine.OpenOptions{MetaOnly: true}, func(ctx context.Context, e *engine.Engine) error {
		return use(ctx, local(e, &cfg))
	})
	if !errors.Is(err, engine.ErrInUse) {
		return err
	}
	other, failed := remote(cmd.Context(), &cfg)
	if failed != nil {
		return engineError(fmt.Errorf("%w\n%w\nstop it, or run this as the user that it runs as", err, failed))
	}
	return use(cmd.Context(), other)
}

// engineError gives an error of opening an engine its exit code.
func engineError(err error) error {
	switch {
	case errors.Is(err, config.ErrInvalid):
		return withCode(exitConfig, err)
	case errors.Is(err, engine.ErrInUse), errors.Is(err, engine.ErrUnavailable):
		return withCode(exitUnavailable, err)
	case errors.Is(err, engine.ErrSchemaNewer), errors.Is(err, engine.ErrSchemaMissing):
		return withCode(exitSchema, err)
	}
	return err
}

// output is how a verb prints its result.
type output struct{ json bool }

// flag adds --json, which prints one JSON document of the given kind.
func (o *output) flag(cmd *cobra.Command, kind string) {
	cmd.Flags().BoolVar(&o.json, "json", false, "as one JSON "+kind)
}

// print writes value as JSON, or calls text.
func (o *output) print(cmd *cobra.Command, value any, text func(io.Writer) error) error {
	w := cmd.OutOrStdout()
	if o.json {
		return json.NewEncoder(w).Encode(value)
	}
	return text(w)
}
