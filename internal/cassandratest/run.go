//go:build unix

package cassandratest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pithos/pithos/internal/freeport"
)

// RunConfig says how Run's server is to be.
type RunConfig struct {
	Port    int    // CQL, on 127.0.0.1
	Dir     string // kept afterwards; empty: a temporary one, removed
	HeapMiB int
}

// Run starts one server in the foreground and returns when ctx ends, which
// stops the server, or when the server ends by itself, which is an error.
func Run(ctx context.Context, cfg RunConfig, out io.Writer) error {
	rt, err := resolveJava(ctx)
	if err != nil {
		return err
	}
	dir, err := runDir(cfg.Dir)
	if err != nil {
		return err
	}
	if cfg.Dir == "" {
		defer os.RemoveAll(dir)
	}
	ports, err := freeport.Find(1, loopback)
	if err != nil {
		return err
	}
	p, err := startProcess(rt, nodeConfig{
		Address: loopback, Seed: loopback, Port: cfg.Port, StoragePort: ports[0],
		HeapMiB: cfg.HeapMiB, MemtableMiB: cfg.HeapMiB / 8, Dir: dir, FullJIT: true,
	})
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.waitReady(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "Cassandra answers on %s; data and log in %s\n", p.addr(), dir)
	select {
	case <-p.done:
		return fmt.Errorf("the server ended by itself: %v\n%s", p.err, p.logTail())
	case <-ctx.Done():
	}
	return p.stop(30 * time.Second)
}

func runDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "pithos-cassandra-")
	}
	dir, err := filepath.Abs(dir)
	return dir, errors.Join(err, os.MkdirAll(dir, 0o755))
}

// stop lets the server drain and end, and kills it when that takes longer
// than wait.
func (p *process) stop(wait time.Duration) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(wait):
		p.kill()
	}
	return nil
}
