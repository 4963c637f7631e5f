package regional

import (
	"context"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/meta/metatest"
	"github.com/pithos/pithos/schema"
)

func keyspaceOf(t *testing.T, c cassandratest.Cluster) string {
	t.Helper()
	keyspace := c.CreateKeyspace(t)
	if _, err := schema.Apply(t.Context(), c.Session(t), keyspace, schema.Meta, schema.Replication{}); err != nil {
		t.Fatal(err)
	}
	return keyspace
}

// opener opens gateways of two regions with a keyspace each; the home region's
// has the buckets.
func opener(t *testing.T) metatest.Open {
	c := cassandratest.Start(t)
	home, far := keyspaceOf(t, c), keyspaceOf(t, c)
	cfg := gocql.NewCluster(c.Hosts...)
	cfg.Port, cfg.Timeout, cfg.ConnectTimeout = c.Port, 10*time.Second, 10*time.Second
	session, err := cfg.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return func(t testing.TB) meta.Store {
		a, err := cassandra.New(session, home, cassandra.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := cassandra.New(session, far, cassandra.Options{Buckets: &cassandra.Keyspace{Session: session, Name: home}})
		if err != nil {
			t.Fatal(err)
		}
		s := New(a, map[string]meta.Store{"home": a, "far": b, suitesRegion: b})
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return scattered{s}
	}
}

// suitesRegion is what the suite names a region.
const suitesRegion = "Region é\U0010ffff\n\"<&\x00"

// scattered puts every other bucket into the far region, which the suite does
// not know of.
type scattered struct{ *Store }

func (s scattered) place(b meta.Bucket) meta.Bucket {
	if b.Config.Region == "" && b.ID[0]%2 == 1 {
		b.Config.Region = "far"
	}
	return b
}

func shown(b meta.Bucket) meta.Bucket {
	if b.Config.Region == "far" {
		b.Config.Region = ""
	}
	return b
}

func (s scattered) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	made, err := s.Store.CreateBucket(ctx, s.place(b))
	return shown(made), err
}

func (s scattered) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	b, err := s.Store.Bucket(ctx, name)
	return shown(b), err
}

func (s scattered) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	return s.Store.UpdateBucket(ctx, s.place(b), ifRev)
}

func (s scattered) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	list, err := s.Store.ListBuckets(ctx, owner, after, limit)
	for i := range list {
		list[i] = shown(list[i])
	}
	return list, err
}

func TestContract(t *testing.T) {
	open := opener(t)
	metatest.Run(t, open)
	metatest.Random(t, open, 5, 200)
}
