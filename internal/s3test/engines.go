package s3test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/meta"
)

// The names of the engines, and of the subtests that [Engines] runs.
const (
	Embedded  = "embedded"
	Cassandra = "cassandra"
)

// Engines runs test on each engine, as subtests of the engines' names. Where
// there is no Cassandra to be had its subtest is skipped.
func Engines(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	for _, name := range []string{Embedded, Cassandra} {
		t.Run(name, func(t *testing.T) { test(t, Start(t, name)) })
	}
}

// shared are the servers of this process, by engine.
var shared = struct {
	sync.Mutex
	inMain  bool
	servers map[string]*Server
	closers []func() error
	wrap    func(meta.Store, meta.AccessKeys) (meta.Store, meta.AccessKeys)
}{servers: map[string]*Server{}}

// Main runs the tests and then ends the servers that they have started. It
// does not return. Call it from TestMain.
func Main(m *testing.M, options ...Option) {
	shared.inMain = true
	for _, o := range options {
		o()
	}
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "s3test:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Option changes how servers are started.
type Option func()

// WrapMeta puts wrap around the metadata store and the access keys of each server.
func WrapMeta(wrap func(meta.Store, meta.AccessKeys) (meta.Store, meta.AccessKeys)) Option {
	return func() { shared.wrap = wrap }
}

func closeShared() error {
	shared.Lock()
	defer shared.Unlock()
	var errs []error
	for i := range shared.closers {
		errs = append(errs, shared.closers[len(shared.closers)-1-i]())
	}
	return errors.Join(errs...)
}

// Start returns the process's server over the engine of that name.
func Start(t testing.TB, name string) *Server {
	t.Helper()
	var cluster cassandratest.Cluster
	if name == Cassandra {
		cluster = cassandratest.Start(t) // before the lock: it may skip the test
	}
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		t.Fatal("s3test: the package's tests need: func TestMain(m *testing.M) { s3test.Main(m) }")
	}
	if s := shared.servers[name]; s != nil {
		return s
	}
	folder, err := os.MkdirTemp("", "pithos-s3test-*")
	if err != nil {
		t.Fatal(err)
	}
	shared.closers = append(shared.closers, func() error { return os.RemoveAll(folder) })
	var s *Server
	if name == Cassandra {
		s, err = startCassandra(folder, cluster)
	} else {
		s, err = start(name, folder, "", map[string]string{"PITHOS_DATA": filepath.Join(folder, "data")})
	}
	if err != nil {
		t.Fatalf("s3test: start on the %s engine: %v", name, err)
	}
	shared.servers[name] = s
	return s
}

// startCassandra starts a server above a fresh keyspace.
func startCassandra(folder string, cluster cassandratest.Cluster) (*Server, error) {
	keyspace := "s3test_" + randomHex(8)
	yaml := "bucketstore: {keyspace: " + keyspace + "}\n"
	env := map[string]string{
		"PITHOS_CASSANDRA_HOST": strings.Join(cluster.Addrs(), ","),
		"PITHOS_MASTER_KEY":     "cGl0aG9zIHRlc3QgbWFzdGVyIGtleSBvZiAzMiBieXQ=",
	}
	cfg, err := load(folder, yaml, env)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := engine.Bootstrap(ctx, cfg, nil); err != nil {
		return nil, err
	}
	shared.closers = append(shared.closers, func() error {
		if err := dropKeyspace(cluster, keyspace); err != nil { // a keyspace left in a test server does no harm
			fmt.Fprintln(os.Stderr, "s3test: drop keyspace "+keyspace+":", err)
		}
		return nil
	})
	return start(Cassandra, folder, yaml, env)
}

// load makes a configuration of the tests' keys, more YAML and an environment.
func load(folder, yaml string, env map[string]string) (*config.Config, error) {
	path := filepath.Join(folder, "pithos.yaml")
	if err := os.WriteFile(path, []byte(yaml+keysYAML()), 0o600); err != nil {
		return nil, err
	}
	cfg, err := config.Load(path, true, func(name string) string { return env[name] })
	return &cfg, err
}

func randomHex(n int) string {
	b := make([]byte, n/2)
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return hex.EncodeToString(b)
}
