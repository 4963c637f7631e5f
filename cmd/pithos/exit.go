package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pithos/pithos/config"
)

// Exit codes. Scripts and init systems rely on them: they are documented in
// the help of the root command and never change their meaning.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnavailable = 4
	exitSchema      = 5
	exitFindings    = 6
	exitInterrupted = 130
)

// exitMeanings documents the codes, in the order of the help text.
var exitMeanings = []struct {
	code    int
	meaning string
}{
	{exitOK, "done"},
	{exitFailure, "failed; the message says why"},
	{exitUsage, "the command line is wrong: unknown verb or flag, missing argument"},
	{exitConfig, "the configuration is wrong; each mistake is named with its line"},
	{exitUnavailable, "the store cannot be reached: Cassandra does not answer, or the data directory is in use"},
	{exitSchema, "the schema in Cassandra is missing; or it, or the data directory, is of a newer pithos"},
	{exitFindings, "check found what needs attention"},
	{exitInterrupted, "stopped by a signal before it was done"},
}

// exitError is an error with an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode gives an error an exit code. A nil error stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// exitCode returns the exit code of an error: the one it was given, else that of
// its kind.
func exitCode(err error) int {
	var coded *exitError
	var mistakes config.Errors
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &mistakes):
		return exitConfig
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailure
}

// exitHelp lists the codes for a help text.
func exitHelp() string {
	var b strings.Builder
	for _, m := range exitMeanings {
		fmt.Fprintf(&b, "  %-4d %s\n", m.code, m.meaning)
	}
	return b.String()
}
