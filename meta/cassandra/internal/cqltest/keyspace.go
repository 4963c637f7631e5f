// Package cqltest helps to test meta/cassandra: keyspaces of a real server, counts of
// statements, and DB, a Cassandra in memory for random schedules.
package cqltest

import (
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/schema"
)

// NewKeyspace installs the schema in a fresh keyspace of the shared server.
func NewKeyspace(t testing.TB) (cassandratest.Cluster, string) {
	t.Helper()
	c := cassandratest.Start(t)
	return c, Install(t, c)
}

// Install installs the schema in a fresh keyspace.
func Install(t testing.TB, c cassandratest.Cluster) string {
	t.Helper()
	keyspace := c.CreateKeyspace(t)
	if _, err := schema.Apply(t.Context(), c.Session(t), keyspace, schema.Meta, schema.Replication{}); err != nil {
		t.Fatal(err)
	}
	return keyspace
}

// NewSession opens a session as a gateway would.
func NewSession(t testing.TB, c cassandratest.Cluster, keyspace string, o ...func(*gocql.ClusterConfig)) *gocql.Session {
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

// NewDB returns the database of a session, with the default consistencies.
func NewDB(t testing.TB, session *gocql.Session, keyspace string) cql.DB {
	t.Helper()
	db, err := cql.Open(session, keyspace, gocql.LocalQuorum, gocql.LocalSerial, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// Default returns a database with the default consistencies.
func Default(d cql.Database) cql.DB {
	return cql.DB{Database: d, Consistency: gocql.LocalQuorum, Serial: gocql.Consistency(gocql.LocalSerial), Timeout: 10 * time.Second}
}
