package cassandra_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
)

func open(t *testing.T, cfg cassandra.Config) *gocql.Session {
	t.Helper()
	s, err := cassandra.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSessionWritesChunksTimestampsAndConditions(t *testing.T) {
	c := cassandratest.Start(t)
	ks := c.CreateKeyspace(t)
	s := open(t, cassandra.Config{Hosts: c.Addrs(), Keyspace: ks})
	exec := func(stmt string, args ...any) {
		t.Helper()
		if err := s.Query(stmt, args...).Exec(); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	exec("CREATE TABLE x (k int PRIMARY KEY, v blob)")

	chunk := make([]byte, 1<<20)
	exec("INSERT INTO x (k, v) VALUES (1, ?)", chunk)
	var got []byte
	if err := s.Query("SELECT v FROM x WHERE k = 1").Scan(&got); err != nil || len(got) != len(chunk) {
		t.Errorf("a chunk of 1 MiB comes back as %d bytes, %v", len(got), err)
	}

	exec("INSERT INTO x (k, v) VALUES (2, ?) USING TIMESTAMP 20", []byte("new"))
	exec("INSERT INTO x (k, v) VALUES (2, ?) USING TIMESTAMP 10", []byte("old"))
	if err := s.Query("SELECT v FROM x WHERE k = 2").Scan(&got); err != nil || string(got) != "new" {
		t.Errorf("the later timestamp does not win: %q, %v", got, err)
	}

	for i, want := range []bool{true, false} {
		applied, err := s.Query("INSERT INTO x (k) VALUES (3) IF NOT EXISTS").MapScanCAS(map[string]any{})
		if err != nil || applied != want {
			t.Errorf("conditional insert %d: applied %v, %v", i, applied, err)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	c := cassandratest.Start(t)
	for name, tc := range map[string]struct {
		cfg  cassandra.Config
		want string
	}{
		"no hosts":           {cassandra.Config{}, "no contact point"},
		"port":               {cassandra.Config{Hosts: []string{"db:none"}}, `"db:none"`},
		"consistency":        {cassandra.Config{Hosts: c.Addrs(), Consistency: "MOST"}, `"MOST"`},
		"serial consistency": {cassandra.Config{Hosts: c.Addrs(), SerialConsistency: "QUORUM"}, `"QUORUM"`},
		"datacenter":         {cassandra.Config{Hosts: c.Addrs(), Datacenter: "atlantis"}, `"atlantis"`},
		"keyspace":           {cassandra.Config{Hosts: c.Addrs(), Keyspace: "no_such_keyspace"}, "no_such_keyspace"},
		"TLS file":           {cassandra.Config{Hosts: c.Addrs(), TLS: &cassandra.TLS{CA: "/no/such/ca.pem"}}, "/no/such/ca.pem"},
		"TLS key missing":    {cassandra.Config{Hosts: c.Addrs(), TLS: &cassandra.TLS{Cert: "cert.pem"}}, "go together"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := cassandra.Open(t.Context(), tc.cfg)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q does not name %q", err, tc.want)
			}
		})
	}
}

func TestWaitForReportsAndEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := errors.New("enough")
	calls := 0
	err := cassandra.WaitFor(ctx, cassandra.Config{Hosts: []string{"127.0.0.1:1"}}, func(error) {
		if calls++; calls == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || calls != 2 {
		t.Errorf("%d notices, then %v", calls, err)
	}
	ctx, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(stop)
	if err := cassandra.WaitFor(ctx, cassandra.Config{Hosts: []string{"127.0.0.1:1"}}, nil); !errors.Is(err, stop) {
		t.Errorf("the cause is lost: %v", err)
	}
}

// until repeats f until it succeeds, as a client of a service would.
func until(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestServiceReturnsWithCassandra(t *testing.T) {
	own := cassandratest.StartOwn(t)
	core, logged := observer.New(zap.DebugLevel)
	cfg := cassandra.Config{Hosts: own.Addrs(), Username: "u", Password: "s3cret", Timeout: 5 * time.Second, Log: zap.New(core)}
	s := open(t, cfg)
	query := func() error {
		return s.Query("SELECT key FROM system.local").WithContext(t.Context()).Exec()
	}
	until(t, "the session does not work", query)
	own.Nodes[0].Kill()
	err := query()
	if err == nil {
		t.Fatal("a dead server answered")
	}
	if c := cassandra.Classify(err); c != cassandra.Unavailable && c != cassandra.Unknown {
		t.Errorf("%v is classed %v", err, c)
	}
	noticed := make(chan struct{}, 1)
	waited := make(chan error, 1)
	go func() {
		waited <- cassandra.WaitFor(t.Context(), cfg, func(error) {
			select {
			case noticed <- struct{}{}:
			default:
			}
		})
	}()
	<-noticed
	own.Nodes[0].Restart(t)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	until(t, "the old session does not recover", query)
	for _, e := range logged.All() {
		if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), cfg.Password) {
			t.Errorf("the password is logged: %s", e.Message)
		}
	}
}

func TestPausedServerTimesOutAsUnknownOutcome(t *testing.T) {
	own := cassandratest.StartOwn(t)
	s := open(t, cassandra.Config{Hosts: own.Addrs(), Timeout: 5 * time.Second})
	own.Nodes[0].Pause(t)
	err := s.Query("SELECT key FROM system.local").Exec()
	if c := cassandra.Classify(err); c != cassandra.Unknown {
		t.Errorf("%v is classed %v", err, c)
	}
	own.Nodes[0].Resume(t)
	until(t, "the session does not recover", func() error { return s.Query("SELECT key FROM system.local").Exec() })
}
