// Command pithos is an S3-compatible object store over Apache Cassandra, with
// an embedded engine as its default.
//
//	pithos serve                       a server on this machine, nothing to set up
//	pithos bootstrap -f pithos.yaml    the schema in Cassandra
//	pithos serve -f pithos.yaml        a gateway to it; run as many as needed
//
// Each verb is a file of its own; root.go lists them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal asks for an orderly end; after it, signals act as
	// usual, so that a second one ends a shutdown that takes too long.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
