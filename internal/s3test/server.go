package s3test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/store"
)

// ServiceURI is the host name of the service: a request to the host
// <bucket>.s3.test is for that bucket.
const ServiceURI = "s3.test"

// Grace is the collector's grace time.
const Grace = time.Hour

// Key is an access key that every server knows.
type Key struct {
	ID, Secret, Tenant string
	Master             bool
}

// The keys. Alice and Alice2 are of one tenant; Root is an operator.
var (
	Alice  = Key{"ALICEKEY00000000001", "alice/secret+with=odd%characters0001", "alice", false}
	Alice2 = Key{"ALICEKEY00000000002", "alice-secret-0000000000000000000002", "alice", false}
	Bob    = Key{"BOBKEY0000000000001", "bob-secret-000000000000000000000001", "bob", false}
	Root   = Key{"ROOTKEY000000000001", "root-secret-00000000000000000000001", "root", true}
)

func keysYAML() string {
	var b strings.Builder
	b.WriteString("keystore:\n  keys:\n")
	for _, k := range []Key{Alice, Alice2, Bob, Root} {
		fmt.Fprintf(&b, "    %s: {tenant: %s, secret: '%s', master: %t}\n", k.ID, k.Tenant, k.Secret, k.Master)
	}
	return b.String()
}

// Server is Pithos on a port of this machine.
type Server struct {
	// Engine is the engine's name.
	Engine string
	// URL is http://127.0.0.1:port, TLSURL the same server over HTTPS.
	URL, TLSURL string
	// HTTP is a client that trusts TLSURL's certificate, follows no
	// redirects and decompresses nothing.
	HTTP *http.Client
	// Store is what the server answers from.
	Store *store.Store
	// Gateway is what is below.
	Gateway *engine.Engine
	// Metrics are the server's figures.
	Metrics *metrics.Metrics

	shift atomic.Int64 // of the store's clock, ns
}

func start(name, folder, yaml string, env map[string]string) (*Server, error) {
	env["PITHOS_SERVICE_URI"] = ServiceURI
	env["PITHOS_TRUSTED_PROXIES"] = "127.0.0.1" // tests may be any client, by X-Forwarded-For
	cfg, err := load(folder, yaml, env)
	if err != nil {
		return nil, err
	}
	s := &Server{Engine: name}
	log := testLog()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	h := edge.NewServer(cfg, log, nil)
	e, err := engine.Open(ctx, cfg, engine.OpenOptions{
		Log: log, Observe: h.Observer(), Reserve: edge.Reserve, // as serve opens it
		Now: s.now, GCGrace: Grace, WrapMeta: shared.wrap,
	})
	if err != nil {
		return nil, err
	}
	s.Gateway, s.Store = e, e.Store
	return s, s.listen(cfg, h)
}

// testLog shows only what is wrong: requests are the tests' own business.
func testLog() *zap.Logger {
	c := zap.NewDevelopmentConfig()
	c.Level = zap.NewAtomicLevelAt(zapcore.ErrorLevel)
	c.DisableStacktrace = true
	log, err := c.Build()
	if err != nil {
		return zap.NewNop()
	}
	return log
}

func (s *Server) listen(cfg *config.Config, h *edge.Server) error {
	s.Metrics = h.Metrics()
	if err := h.Use(edge.Backend{Store: s.Store, Keys: s.Gateway.Keys, Ring: s.Gateway.Ring}); err != nil {
		return errors.Join(err, s.Gateway.Close())
	}
	plain, secure := httptest.NewUnstartedServer(h), httptest.NewUnstartedServer(h)
	for _, server := range []*httptest.Server{plain, secure} { // the limits that serve sets
		server.Config.MaxHeaderBytes = int(cfg.Service.MaxHeader)
		server.Config.ReadHeaderTimeout = cfg.Service.HeaderTimeout
		server.Config.IdleTimeout = cfg.Service.IdleTimeout
	}
	plain.Listener = h.Listen(plain.Config, plain.Listener, nil)
	plain.Start()
	secure.Config.ConnState, secure.Config.ConnContext = h.Connections().State, h.Connections().Context
	secure.Listener = h.Connections().Listen(secure.Listener) // httptest ends TLS itself
	secure.StartTLS()
	s.URL, s.TLSURL, s.HTTP = plain.URL, secure.URL, secure.Client()
	s.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if t, ok := s.HTTP.Transport.(*http.Transport); ok {
		t.DisableCompression = true
	}
	shared.closers = append(shared.closers, func() error {
		plain.Close()
		secure.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		return errors.Join(h.Wait(ctx), s.Gateway.Flush(ctx), s.Gateway.Close())
	})
	return nil
}

// now is the store's clock. Signatures are held to the real one.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.shift.Load())) }

// Shift moves the store's clock by d for the rest of the test, beside what it
// was moved before.
func (s *Server) Shift(t testing.TB, d time.Duration) {
	s.shift.Add(int64(d))
	t.Cleanup(func() { s.shift.Add(int64(-d)) })
}

// Collect lets the grace time of everything that is queued pass, and runs the
// collector.
func (s *Server) Collect(t testing.TB) store.Collected {
	t.Helper()
	if err := s.Store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	const later = 2 * Grace
	s.shift.Add(int64(later))
	defer s.shift.Add(int64(-later))
	done, err := s.Store.Collect(t.Context())
	if err != nil {
		t.Fatalf("collect: %v", err)
	}
	return done
}

func dropKeyspace(cluster cassandratest.Cluster, keyspace string) error {
	c := gocql.NewCluster(cluster.Hosts...)
	c.Port, c.Timeout = cluster.Port, time.Minute
	session, err := c.CreateSession()
	if err != nil {
		return err
	}
	defer session.Close()
	return session.Query("DROP KEYSPACE IF EXISTS " + keyspace).Exec()
}
