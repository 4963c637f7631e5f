//go:build unix

package cassandratest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pithos/pithos/internal/freeport"
)

const (
	defaultIdle = 3 * time.Minute
	idleCheck   = 2 * time.Second
	reportFD    = 3 // where the first of exec.Cmd's ExtraFiles arrives
)

// init turns the binary into a supervisor when spawnSupervisor started it.
// Every binary that calls Start has this package, so no other has to be
// built or found.
func init() {
	dir := os.Getenv(envSupervisor)
	if dir == "" {
		return
	}
	// The server must not inherit the report: its reader waits for the last
	// writer to close it.
	syscall.CloseOnExec(reportFD)
	if err := supervise(stateDir(dir), os.NewFile(reportFD, "report")); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// sharedServer is a server that a supervisor owns.
type sharedServer struct {
	hosts []string
	port  int
	gone  <-chan struct{} // closed when the server ended by itself
	stop  func()          // ends it and removes its data
}

// supervise starts a server, reports where it listens, and ends it when
// no process has held a lease for a while.
func supervise(dir stateDir, report *os.File) error {
	// A predecessor without a server may take a moment to end.
	alive, err := lockFile(dir.file("alive"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer alive.unlock()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// A process that wants to join waits for this lock until the server has stopped.
	var claimed *fileLock
	defer func() {
		if claimed != nil {
			claimed.unlock()
		}
	}()
	srv, err := startShared(ctx, dir)
	if err != nil {
		return errors.Join(err, sendReport(report, failure(err)))
	}
	defer srv.stop()
	o := outcome{Hosts: srv.hosts, Port: srv.port}
	state, err := json.Marshal(o)
	if err == nil {
		err = writeFileAtomic(dir.file("state"), state)
	}
	if err != nil {
		return errors.Join(err, sendReport(report, failure(err)))
	}
	defer os.Remove(dir.file("state"))
	if err := sendReport(report, o); err != nil {
		return err
	}
	claimed, err = untilIdle(ctx, dir, srv.gone)
	return err
}

func failure(err error) outcome {
	var unavailable *unavailableError
	if errors.As(err, &unavailable) {
		return outcome{Unavailable: unavailable.reason}
	}
	return outcome{Failed: err.Error()}
}

func sendReport(report *os.File, o outcome) error {
	b, err := json.Marshal(o)
	if err == nil {
		_, err = report.Write(b)
	}
	return errors.Join(err, report.Close())
}

// startShared tries Docker, then Java.
func startShared(ctx context.Context, dir stateDir) (*sharedServer, error) {
	srv, dockerErr := startDocker(ctx)
	if dockerErr == nil {
		return srv, nil
	}
	fmt.Fprintln(os.Stderr, "no Docker:", dockerErr)
	srv, err := startJava(ctx, dir.file("data"))
	if errors.Is(err, errNoJava) {
		return nil, &unavailableError{fmt.Sprintf("Docker: %v\nJava: %v", dockerErr, err)}
	}
	return srv, err
}

// startJava starts the shared server from its jars, with its data in dir.
func startJava(ctx context.Context, dir string) (*sharedServer, error) {
	rt, err := resolveJava(ctx)
	if err != nil {
		return nil, err
	}
	var p *process
	// A port found free may be taken by the time the server binds to it.
	for range 3 {
		if err = os.RemoveAll(dir); err != nil {
			return nil, err
		}
		if p, err = startOnFreePorts(ctx, rt, dir); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	stop := func() {
		p.kill()
		os.RemoveAll(dir)
	}
	return &sharedServer{hosts: []string{loopback}, port: p.cfg.Port, gone: p.done, stop: stop}, nil
}

func startOnFreePorts(ctx context.Context, rt javaRuntime, dir string) (*process, error) {
	ports, err := freeport.Find(2, loopback)
	if err != nil {
		return nil, err
	}
	p, err := startProcess(rt, nodeConfig{
		Address: loopback, Seed: loopback, Port: ports[0], StoragePort: ports[1],
		HeapMiB: 1024, MemtableMiB: 128, Dir: dir,
	})
	if err != nil {
		return nil, err
	}
	if err := p.waitReady(ctx); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// untilIdle returns when no test process has held a lease for the idle time,
// the server has gone, or ctx has ended. When it returns for idleness, it
// returns the lock that keeps others from joining.
func untilIdle(ctx context.Context, dir stateDir, gone <-chan struct{}) (*fileLock, error) {
	idle := idleTime()
	lastUsed := time.Now()
	for {
		select {
		case <-gone:
			return nil, errors.New("the server ended by itself")
		case <-ctx.Done():
			return nil, nil
		case <-time.After(idleCheck):
		}
		if dir.inUse() {
			lastUsed = time.Now()
		} else if time.Since(lastUsed) >= idle {
			if lock := dir.claim(); lock != nil {
				return lock, nil
			}
		}
	}
}

func idleTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(envIdle)); err == nil && d > 0 {
		return d
	}
	return defaultIdle
}

// inUse tells whether a test process holds a lease.
func (d stateDir) inUse() bool {
	l, err := lockFile(d.file("lease"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return true
	}
	l.unlock()
	return false
}

// claim takes the lock, unless a process is about to join: then it returns nil.
func (d stateDir) claim() *fileLock {
	l, err := lockFile(d.file("lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil
	}
	if d.inUse() {
		l.unlock()
		return nil
	}
	return l
}
