package listing

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
	"github.com/pithos/pithos/meta/cassandra/internal/head"
)

// gateway is an index with the heads that it describes, put together as package
// cassandra does. The state of a bucket is in its row.
type gateway struct {
	*Index
	heads  *head.Keys
	active *cql.Coalescer[meta.BucketID, struct{}, struct{}]
	names  sync.Map // of buckets, by id
}

// Helpers of cqltest under short names.
var (
	must             = cqltest.Must
	sameStrings      = cqltest.SameStrings
	retryUnavailable = cqltest.RetryUnavailable
	put              = cqltest.Put
	remove           = cqltest.Remove
	edit             = cqltest.Edit
	putChange        = cqltest.PutChange
	deleteChange     = cqltest.DeleteChange
	markerChange     = cqltest.MarkerChange
)

func list(t testing.TB, g *gateway, b meta.BucketID, limit int) []string {
	t.Helper()
	return cqltest.List(t, g, b, limit)
}

// newGateway returns a gateway over db; the zero Options are complete.
func newGateway(db cql.DB, o Options) *gateway {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	heads := head.New(db)
	g := &gateway{Index: New(db, heads, o), heads: heads}
	g.active = cql.NewCoalescer(g.checkBucket)
	return g
}

func (g *gateway) checkBucket(ctx context.Context, id meta.BucketID, _ []struct{}) (none struct{}, err error) {
	name, known := g.names.Load(id)
	if !known {
		var found string
		if _, err := g.QueryRow(ctx, g.Consistency, []any{&found}, `SELECT name FROM @.bucket_by_id WHERE id = ?`, id[:]); err != nil {
			return none, err
		}
		name = found
		g.names.Store(id, found)
	}
	var state string
	_, err = g.QueryRow(ctx, g.Consistency, []any{&state}, `SELECT state FROM @.bucket WHERE name = ?`, name)
	if err == nil && meta.BucketState(state) != meta.BucketActive {
		err = meta.ErrBucketDeleting
	}
	return none, err
}

const (
	putBucketState = `INSERT INTO @.bucket (name, state) VALUES (?, ?)`
	putBucketID    = `INSERT INTO @.bucket_by_id (id, name) VALUES (?, ?)`
)

// newBucket adds an active bucket.
func newBucket(t testing.TB, g *gateway, name string) meta.Bucket {
	t.Helper()
	b := meta.Bucket{Name: name, ID: meta.NewID()}
	must(t, g.Exec(t.Context(), putBucketID, b.ID[:], name))
	must(t, g.Exec(t.Context(), putBucketState, name, string(meta.BucketActive)))
	return b
}

// Read implements cqltest.Objects.
func (g *gateway) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	return g.heads.Read(ctx, bucket, key, o)
}

// pendingChange is a meta.Pending.
type pendingChange struct {
	*Pending
	g *gateway
}

// Begin implements cqltest.Objects.
func (g *gateway) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	p, err := g.Announce(ctx, bucket, key, rev, history)
	return pendingChange{p, g}, err
}

// Commit implements meta.Pending.
func (p pendingChange) Commit(ctx context.Context, c meta.Change) error {
	return p.Pending.Commit(ctx, c, p.steps(c))
}

func (p pendingChange) steps(c meta.Change) Steps {
	return Steps{
		Active: func(ctx context.Context) error { _, err := p.g.active.Do(ctx, p.bucket, struct{}{}); return err },
		Guards: func(context.Context) error { return nil },
		Apply:  func(ctx context.Context) error { return p.g.heads.Change(ctx, p.bucket, p.key, c) },
	}
}

// Cancel implements meta.Pending.
func (p pendingChange) Cancel(context.Context) {}

// openGateway opens another gateway of a keyspace.
func openGateway(t testing.TB, session *gocql.Session, keyspace string, o Options) *gateway {
	t.Helper()
	return closing(t, newGateway(cqltest.NewDB(t, session, keyspace), o))
}

// Close waits at most as long as a statement may take, as package cassandra does.
func (g *gateway) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), g.Timeout)
	defer cancel()
	return g.Index.Close(ctx)
}

// closing closes a gateway after the test.
func closing(t testing.TB, g *gateway) *gateway {
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// gateways opens n gateways of one fresh keyspace, and a bucket.
func gateways(t *testing.T, n int, o Options) ([]*gateway, meta.Bucket) {
	t.Helper()
	c, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, c, keyspace)
	var all []*gateway
	for range n {
		all = append(all, openGateway(t, session, keyspace, o))
	}
	return all, newBucket(t, all[0], "bucket")
}
