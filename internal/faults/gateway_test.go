//go:build unix

package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/control"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/freeport"
	"github.com/pithos/pithos/internal/jobs"
	"github.com/pithos/pithos/internal/keyadmin"
)

const (
	// asGateway makes the test binary be a gateway with the configuration
	// file that it names: one whose clock is ahead by what clockAhead says,
	// which pithos itself has no setting for.
	asGateway  = "PITHOS_TEST_FAULTS_GATEWAY"
	clockAhead = "PITHOS_TEST_FAULTS_AHEAD"
	// shortGrace is a grace time below what a configuration may have.
	shortGrace = "PITHOS_TEST_FAULTS_GRACE"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(asGateway); file != "" {
		if err := serveAhead(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if err := os.RemoveAll(binaryFolder); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// binaryFolder has what pithosBinary has built.
var binaryFolder string

// serveAhead serves until it is killed.
func serveAhead(file string) error {
	ahead, err := time.ParseDuration(os.Getenv(clockAhead))
	if err != nil {
		return err
	}
	now := func() time.Time { return time.Now().Add(ahead) }
	cfg, err := config.Load(file, true, func(string) string { return "" })
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.ListenAddress())
	if err != nil {
		return err
	}
	log, err := zap.NewDevelopment(zap.IncreaseLevel(zap.InfoLevel))
	if err != nil {
		return err
	}
	ctx := context.Background()
	options := engine.OpenOptions{Log: log, Now: now, Reserve: edge.Reserve}
	if short := os.Getenv(shortGrace); short != "" {
		if options.GCGrace, err = time.ParseDuration(short); err != nil {
			return err
		}
	}
	e, err := engine.Await(ctx, &cfg, options)
	if err != nil {
		return err
	}
	if cfg.Engine() == config.EmbeddedEngine {
		if _, err := control.Serve(&cfg, control.Services{
			Keys: func() keyadmin.Keyring { return e.Admin(&cfg) }, Holds: control.LocalHolds(e.Meta), Jobs: jobs.Stored{Leases: e.Meta},
		}); err != nil {
			return err
		}
	}
	s := edge.NewServer(&cfg, log, now)
	if err := s.Use(edge.Backend{Store: e.Store, Keys: e.Keys, Ring: e.Ring}); err != nil {
		return err
	}
	go func() {
		// To this clock all that the others queue is due at once: it looks at
		// blobs that are just being written.
		for ; ; time.Sleep(3 * time.Second) {
			if done, err := e.Store.Collect(ctx); err != nil {
				log.Warn("collect", zap.Error(err))
			} else if done.Looked > 0 {
				log.Info("collected", zap.Any("counts", done))
			}
		}
	}()
	return http.Serve(listener, s)
}

// pithosBinary builds cmd/pithos, once.
var pithosBinary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "pithos-faults-*")
	if err != nil {
		return "", err
	}
	binaryFolder = folder
	file := filepath.Join(folder, "pithos")
	out, err := exec.Command("go", "build", "-o", file, "github.com/pithos/pithos/cmd/pithos").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build cmd/pithos: %w\n%s", err, out)
	}
	return file, nil
})

// gatewayProcess is a gateway that can be killed and comes back at its port.
type gatewayProcess struct {
	url  string
	make func() *exec.Cmd

	mu  sync.Mutex // held by who stops or starts it
	cmd *exec.Cmd
	log bytes.Buffer
}

// settings writes a gateway's configuration file and returns its name. Options
// are what else it is told about the cluster, as YAML: "key: value".
func settings(t testing.TB, c cassandratest.Cluster, keyspace, listen string, options ...string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf(`service: {host: %s, port: %s}
gc: {grace: 1m}
keystore: {keys: {%s: {tenant: faults, secret: %s, master: true}}}
bucketstore: {%s}
`, host, port, accessKey, secretKey, strings.Join(append(options,
		fmt.Sprintf("cluster: ['%s'], keyspace: %s", strings.Join(c.Addrs(), "', '"), keyspace)), ", "))
	file := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// freePort is an address that is not in use now.
func freePort(t testing.TB) string {
	t.Helper()
	address, err := freeport.Local()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// startGateway starts a gateway: pithos itself, or where ahead is not 0 one
// whose clock is ahead.
func startGateway(t testing.TB, c cassandratest.Cluster, keyspace string, ahead time.Duration, options ...string) *gatewayProcess {
	t.Helper()
	listen := freePort(t)
	file := settings(t, c, keyspace, listen, options...)
	if ahead != 0 {
		return runGateway(t, "http://"+listen, func() *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asGateway+"="+file, clockAhead+"="+ahead.String())
			return cmd
		})
	}
	binary, err := pithosBinary()
	if err != nil {
		t.Fatal(err)
	}
	return runGateway(t, "http://"+listen, func() *exec.Cmd { return exec.Command(binary, "serve", "-f", file) })
}

// runGateway starts what command makes, and waits until it serves.
func runGateway(t testing.TB, url string, command func() *exec.Cmd) *gatewayProcess {
	t.Helper()
	g := &gatewayProcess{url: url, make: command}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.kill()
		if t.Failed() {
			log := g.log.Bytes()
			t.Logf("the end of the log of %s:\n%s", g.url, log[max(0, len(log)-4000):])
		}
	})
	g.awaitReady(t)
	return g
}

func (g *gatewayProcess) start() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cmd = g.make()
	g.cmd.Stdout, g.cmd.Stderr = &g.log, &g.log
	return g.cmd.Start()
}

// kill ends it at once; start brings it back.
func (g *gatewayProcess) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.cmd.Process.Kill() // unless it has ended
	_ = g.cmd.Wait()         // killed, or waited for before
}

func (g *gatewayProcess) signal(s syscall.Signal) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// pause stops it in its tracks, and returns when all of it stands still.
func (g *gatewayProcess) pause(t testing.TB) {
	t.Helper()
	if err := g.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(g.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("%s does not stop: status %#x, %v", g.url, status, err)
	}
}

// ready is the status of /-/ready; 0 without an answer.
func (g *gatewayProcess) ready() int {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(g.url + "/-/ready")
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // nothing of it is of interest
	return resp.StatusCode
}

// awaitReady waits until requests can be served.
func (g *gatewayProcess) awaitReady(t testing.TB) {
	t.Helper()
	await(t, g.url+" is ready", func() error {
		if status := g.ready(); status != http.StatusOK {
			return fmt.Errorf("/-/ready answers %d", status)
		}
		return nil
	})
}

// await repeats f until it succeeds, as a client of a service would.
func await(t testing.TB, what string, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
