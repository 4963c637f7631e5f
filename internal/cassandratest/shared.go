//go:build unix

package cassandratest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// envSupervisor makes a test binary run the supervisor instead of its tests;
// its value is the state directory.
const envSupervisor = "PITHOS_TEST_CASSANDRA_SUPERVISOR"

// stateDir is where the processes that share a server meet. Its files:
//
//	lock   held exclusively while starting, joining or ending the server
//	lease  held shared by each test process, until it ends
//	alive  held exclusively by the supervisor, as long as the server runs
//	state  where the server listens, as JSON
//	data   the server's data, configuration and log (without Docker)
type stateDir string

func (d stateDir) file(name string) string { return filepath.Join(string(d), name) }

// outcome is what a supervisor reports when its server answers, or when it
// has none to offer.
type outcome struct {
	Hosts       []string `json:",omitempty"`
	Port        int      `json:",omitempty"`
	Unavailable string   `json:",omitempty"` // why there is no way to a server
	Failed      string   `json:",omitempty"` // why a way that exists did not work
}

func (o outcome) cluster() (Cluster, error) {
	switch {
	case o.Unavailable != "":
		return Cluster{}, &unavailableError{o.Unavailable}
	case o.Failed != "":
		return Cluster{}, errors.New(o.Failed)
	}
	return Cluster{Hosts: o.Hosts, Port: o.Port}, nil
}

// lease is this process's claim on the shared server. It is never released:
// the kernel does that when the process ends.
var lease *fileLock

// shared joins the machine's shared server, or starts it.
func shared() (Cluster, error) {
	dir, err := makeStateDir()
	if err != nil {
		return Cluster{}, err
	}
	lock, err := lockFile(dir.file("lock"), syscall.LOCK_EX)
	if err != nil {
		return Cluster{}, err
	}
	defer lock.unlock()
	if lease == nil {
		if lease, err = lockFile(dir.file("lease"), syscall.LOCK_SH); err != nil {
			return Cluster{}, err
		}
	}
	if o, ok := dir.running(); ok {
		return o.cluster()
	}
	o, err := spawnSupervisor(dir)
	if err != nil {
		return Cluster{}, err
	}
	return o.cluster()
}

// makeStateDir returns the directory shared by all processes of this user
// that want the same server: this configuration, this image.
func makeStateDir() (stateDir, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00", os.Getenv(envImage))
	err := fs.WalkDir(confFS, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := confFS.ReadFile(path)
		fmt.Fprintf(h, "%s\x00%d\x00%s", path, len(b), b)
		return err
	})
	if err != nil {
		return "", err
	}
	dir := filepath.Join(os.TempDir(), "pithos-cassandratest-"+strconv.Itoa(os.Getuid()), hex.EncodeToString(h.Sum(nil)[:4]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return stateDir(dir), nil
}

// running returns the server that a living supervisor has on offer. The
// caller holds the lock. A server that is too busy to answer at once is waited
// for: as it is used, no other could take its place.
func (d stateDir) running() (outcome, bool) {
	for end := time.Now().Add(startTimeout); d.supervised() && time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		var o outcome
		b, err := os.ReadFile(d.file("state"))
		if err != nil || json.Unmarshal(b, &o) != nil || len(o.Hosts) == 0 {
			return outcome{}, false
		}
		if ping(context.Background(), o.Hosts[0], o.Port) == nil {
			return o, true
		}
	}
	return outcome{}, false
}

// supervised tells whether a supervisor is alive.
func (d stateDir) supervised() bool {
	l, err := lockFile(d.file("alive"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return true
	}
	l.unlock()
	return false
}

// spawnSupervisor starts this very binary again, detached, as the server's
// supervisor (see init) and waits for its report. The caller holds the lock.
func spawnSupervisor(dir stateDir) (outcome, error) {
	exe, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	log, err := os.OpenFile(dir.file("supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return outcome{}, err
	}
	defer log.Close()
	report, w, err := os.Pipe()
	if err != nil {
		return outcome{}, err
	}
	defer report.Close()
	cmd := exec.Command(exe)
	cmd.Dir = string(dir)
	cmd.Env = append(os.Environ(), envSupervisor+"="+string(dir))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return outcome{}, fmt.Errorf("start the supervisor: %w", err)
	}
	defer cmd.Process.Release()
	return readReport(report, dir)
}

func readReport(r io.Reader, dir stateDir) (outcome, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return outcome{}, err
	}
	var o outcome
	if err := json.Unmarshal(b, &o); err != nil {
		log, _ := os.ReadFile(dir.file("supervisor.log")) // whatever there is helps
		return outcome{}, fmt.Errorf("the supervisor ended without a report\n%s", tail(log, 4000))
	}
	return o, nil
}
