package cassandra

import (
	"fmt"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobtest"
	"github.com/pithos/pithos/internal/cassandratest"
)

// connect returns a session as the gateway's is.
func connect(t testing.TB, c cassandratest.Cluster, settings ...func(*gocql.ClusterConfig)) *gocql.Session {
	t.Helper()
	cluster := gocql.NewCluster(c.Hosts...)
	cluster.Port = c.Port
	cluster.Consistency = gocql.LocalQuorum
	cluster.Timeout = 10 * time.Second
	cluster.WriteCoalesceWaitTime = 0
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	for _, set := range settings {
		set(cluster)
	}
	session, err := cluster.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

func createTable(t testing.TB, c cassandratest.Cluster, session *gocql.Session) (keyspace string) {
	t.Helper()
	keyspace = c.CreateKeyspace(t)
	err := session.Query("CREATE TABLE " + keyspace + `.chunk (blob_id blob, block int, chunk int, sum bigint, data blob,
		PRIMARY KEY ((blob_id, block), chunk)) WITH compression = {'enabled': false} AND read_repair = 'NONE'`).Exec()
	if err != nil {
		t.Fatal(err)
	}
	return keyspace
}

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	c := cassandratest.Start(t)
	session := connect(t, c)
	s, err := New(session, createTable(t, c, session), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	tests := map[string]Options{
		"small chunks":  {ChunkBytes: 16 << 10, BlockChunks: 4},
		"one in flight": {ChunkBytes: 64 << 10, BlockChunks: 1, Window: 1, ReadAhead: 1},
		"defaults":      {},
	}
	c := cassandratest.Start(t)
	session := connect(t, c)
	for name, o := range tests {
		t.Run(name, func(t *testing.T) {
			keyspace := createTable(t, c, session)
			blobtest.Suite{
				Open: func(t *testing.T) blob.Store {
					// A table for all: emptying it is quicker than making one.
					if err := session.Query("TRUNCATE " + keyspace + ".chunk").Exec(); err != nil {
						t.Fatal(err)
					}
					s, err := New(session, keyspace, o)
					if err != nil {
						t.Fatal(err)
					}
					return s
				},
				Corrupt: func(t *testing.T, b blob.Store, ref blob.Ref, n int64) {
					corrupt(t, session, keyspace, b.(*Store), ref, n)
				},
			}.Run(t)
		})
	}
}

func corrupt(t *testing.T, session *gocql.Session, keyspace string, s *Store, ref blob.Ref, n int64) {
	t.Helper()
	at := positionOf(n, int(ref.Block))
	_, data, err := s.db.read(t.Context(), ref.ID, at, true)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	update := fmt.Sprintf("UPDATE %s.chunk USING TIMESTAMP 2 SET data = ? WHERE blob_id = ? AND block = ? AND chunk = ?", keyspace)
	if err := session.Query(update, data, ref.ID[:], at.block, at.chunk).Exec(); err != nil {
		t.Fatal(err)
	}
}
