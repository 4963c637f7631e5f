//go:build unix

package cassandratest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const envUser = "PITHOS_TEST_CASSANDRA_SELFTEST_USER"

// TestUser is no test of its own: it is a process that uses the shared server
// until it is killed.
func TestUser(t *testing.T) {
	if os.Getenv(envUser) == "" {
		t.Skip("runs as a part of TestSharedServerOutlivesItsStarterAndEndsWhenIdle")
	}
	c := Start(t)
	fmt.Println("server:", strings.Join(c.Addrs(), ","))
	select {}
}

// startUser starts a process that uses the shared server of directory dir,
// and returns the server's address.
func startUser(t *testing.T, dir string) (user *exec.Cmd, server string) {
	t.Helper()
	user = exec.Command(os.Args[0], "-test.run=^TestUser$", "-test.v")
	user.Env = append(os.Environ(), envUser+"=1", envIdle+"=1s", "TMPDIR="+dir)
	out, err := user.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := user.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = user.Process.Kill() // gone already, most of the time
		_ = user.Wait()
	})
	lines := bufio.NewScanner(out)
	var log strings.Builder
	for lines.Scan() {
		if s, ok := strings.CutPrefix(lines.Text(), "server: "); ok {
			return user, s
		}
		fmt.Fprintln(&log, lines.Text())
	}
	t.Fatalf("the user got no server:\n%s", log.String())
	return nil, ""
}

func TestSharedServerOutlivesItsStarterAndEndsWhenIdle(t *testing.T) {
	Start(t) // skips where there is nothing to start
	if os.Getenv(envAddresses) != "" {
		t.Skip("the server is not ours to end")
	}
	dir := t.TempDir()
	starter, server := startUser(t, dir)
	second, same := startUser(t, dir)
	if same != server {
		t.Fatalf("two users got two servers, %s and %s", server, same)
	}
	if err := starter.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = starter.Wait() // killed
	c, err := parseAddrs(server)
	if err != nil {
		t.Fatal(err)
	}
	// Longer than the idle time and two of its checks.
	for end := time.Now().Add(2*idleCheck + 2*time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if gone(t, c) {
			t.Fatal("the server ended with a user left")
		}
	}
	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Minute); !gone(t, c); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server stays for ever")
		}
	}
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if left := leftData(t, dir); left == "" {
			return
		} else if time.Now().After(end) {
			t.Fatalf("the server's data stays in %s", left)
		}
	}
}

// gone reports whether the port is closed. A server that is too busy to
// answer is there.
func gone(t *testing.T, c Cluster) bool {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", c.Addrs()[0])
	if err == nil {
		err = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// leftData returns a directory or state file of a server, or nothing.
func leftData(t *testing.T, dir string) string {
	t.Helper()
	for _, name := range []string{"data", "state"} {
		found, err := filepath.Glob(filepath.Join(dir, "*", "*", name)) // see makeStateDir
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

func TestGiveUpSkipsUnlessCassandraIsRequired(t *testing.T) {
	run := func(err error) (skipped, failed bool) {
		done := make(chan struct{})
		inner := &recorder{TB: t}
		go func() {
			defer close(done)
			giveUp(inner, err)
		}()
		<-done
		return inner.skipped, inner.failed
	}
	none := fmt.Errorf("start: %w", &unavailableError{"no way"})
	t.Setenv(envRequired, "")
	if skipped, failed := run(none); !skipped || failed {
		t.Errorf("no Cassandra: skipped %v, failed %v", skipped, failed)
	}
	if skipped, failed := run(fmt.Errorf("the server crashed")); skipped || !failed {
		t.Errorf("a Cassandra that crashed: skipped %v, failed %v", skipped, failed)
	}
	t.Setenv(envRequired, "1")
	if skipped, failed := run(none); skipped || !failed {
		t.Errorf("no Cassandra though required: skipped %v, failed %v", skipped, failed)
	}
}
