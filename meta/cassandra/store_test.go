package cassandra

import (
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

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

func createBucket(t testing.TB, s *Store, name string) meta.Bucket {
	t.Helper()
	b := meta.Bucket{Name: name, ID: meta.NewID(), Rev: meta.NextRev(0, time.Now()), State: meta.BucketActive, Owner: "owner", Created: time.UnixMicro(1).UTC()}
	_, err := s.CreateBucket(t.Context(), b)
	cqltest.Must(t, err)
	return b
}
