//go:build unix

// Command run starts one Cassandra server in the foreground, the one that
// the tests use when there is no Docker, for trials by hand:
//
//	go run ./internal/cassandratest/run -port 9042 -data /tmp/cassandra
//
// It needs Java 17 and Maven. Interrupt it to stop the server. Without -data
// the data is removed at the end.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pithos/pithos/internal/cassandratest"
)

func main() {
	port := flag.Int("port", 9042, "CQL `port` on 127.0.0.1")
	data := flag.String("data", "", "`directory` for the data (default: a temporary one)")
	heap := flag.Int("heap", 1024, "Java heap in `MiB`")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "run: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := cassandratest.Run(ctx, cassandratest.RunConfig{Port: *port, Dir: *data, HeapMiB: *heap}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}
