//go:build unix

package clienttest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// started is a program that runs beside the test.
type started struct {
	cmd   *exec.Cmd
	out   *output
	ended chan struct{}
	err   error
}

// start starts a script, which is killed when the test ends.
func (c *client) start(t *testing.T, script string) *started {
	t.Helper()
	cmd := exec.Command("/bin/bash", "-euo", "pipefail", "-c", script)
	s := &started{cmd: cmd, out: &output{}, ended: make(chan struct{})}
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.env, c.dir, s.out, s.out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		s.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // unless it has ended
		<-s.ended
		if t.Failed() {
			t.Logf("%s\n%s", script, s.out)
		}
	})
	return s
}

// wait returns how the program ended.
func (s *started) wait() error {
	select {
	case <-s.ended:
		return s.err
	case <-time.After(patience):
		return context.DeadlineExceeded
	}
}

// stop ends the program as an operator does.
func (s *started) stop(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.wait(); errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it does not end:\n%s", s.out)
	}
}

// awaitFile returns when there is a file.
func awaitFile(t *testing.T, path string, s *started) {
	t.Helper()
	until(t, path, s, func() bool { _, err := os.Stat(path); return err == nil })
}

// until asks again and again until something is so.
func until(t *testing.T, what string, s *started, so func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !so(); {
		select {
		case <-tick.C:
		case <-s.ended:
			t.Fatalf("it ended before %s: %v\n%s", what, s.err, s.out)
		case <-end:
			t.Fatalf("not within %s: %s\n%s", patience, what, s.out)
		}
	}
}

// output is what a program that runs has printed.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
