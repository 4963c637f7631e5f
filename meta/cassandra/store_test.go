package cassandra

import (
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/schema"
)

// newKeyspace installs the schema in a fresh keyspace.
func newKeyspace(t testing.TB) (cassandratest.Cluster, string) {
	t.Helper()
	c := cassandratest.Start(t)
	return c, install(t, c)
}

func install(t testing.TB, c cassandratest.Cluster) string {
	t.Helper()
	keyspace := c.CreateKeyspace(t)
	if _, err := schema.Apply(t.Context(), c.Session(t), keyspace, schema.Meta, schema.Replication{}); err != nil {
		t.Fatal(err)
	}
	return keyspace
}

// newSession opens a session as a gateway would.
func newSession(t testing.TB, c cassandratest.Cluster, keyspace string, o ...func(*gocql.ClusterConfig)) *gocql.Session {
	t.Helper()
	cfg := gocql.NewCluster(c.Hosts...)
	cfg.Port, cfg.Keyspace, cfg.Timeout, cfg.ConnectTimeout = c.Port, keyspace, 10*time.Second, 10*time.Second
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	for _, set := range o {
		set(cfg)
	}
	session, err := cfg.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

// newStore opens another gateway's store of a keyspace.
func newStore(t testing.TB, session *gocql.Session, keyspace string, o Options) *Store {
	t.Helper()
	s, err := New(session, keyspace, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
