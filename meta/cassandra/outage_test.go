package cassandra

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// TestOutageFailsRequestsAndPasses pauses the only node: every call returns an error that
// says so, and works again afterwards, with no change lost.
func TestOutageFailsRequestsAndPasses(t *testing.T) {
	ring := cassandratest.StartOwn(t)
	keyspace := cqltest.Install(t, ring.Cluster)
	session := cqltest.NewSession(t, ring.Cluster, keyspace, func(cfg *gocql.ClusterConfig) { cfg.Timeout = time.Minute })
	s := newStore(t, session, keyspace, Options{Timeout: time.Second}) // a busy machine may need that long for a statement
	patient := newStore(t, session, keyspace, Options{Timeout: time.Minute})
	b := createBucket(t, patient, "bucket")
	cqltest.Must(t, cqltest.Put(t.Context(), patient, b.ID, "k", "before"))
	cqltest.Must(t, patient.Flush(t.Context()))
	h, err := patient.Read(t.Context(), b.ID, "k", meta.ReadOptions{Limit: 10})
	cqltest.Must(t, err)
	var begun meta.Pending
	rev := meta.NextRev(h.Rev, time.Now())
	cqltest.Must(t, cqltest.RetryUnavailable(t.Context(), func() (err error) {
		begun, err = s.Begin(t.Context(), b.ID, "k", rev, false)
		return err
	}))

	ring.Nodes[0].Pause(t)
	entry := meta.QueueEntry{Due: time.Now(), Entry: meta.NewID(), Kind: meta.QueueFresh}
	for name, call := range map[string]func(context.Context) error{
		"Ping":   s.Ping,
		"Bucket": func(ctx context.Context) error { _, err := s.Bucket(ctx, "bucket"); return err },
		"Read":   func(ctx context.Context) error { _, err := s.Read(ctx, b.ID, "k", meta.ReadOptions{}); return err },
		"Commit": func(ctx context.Context) error { return begun.Commit(ctx, cqltest.PutChange(h, rev, "k", "during")) },
		"Scan": func(ctx context.Context) error {
			_, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10})
			return err
		},
		"Enqueue": func(ctx context.Context) error { return s.Enqueue(ctx, entry) },
		"CreateBucket": func(ctx context.Context) error {
			_, err := s.CreateBucket(ctx, meta.Bucket{Name: "other", ID: meta.NewID(), Rev: 2, State: meta.BucketActive})
			return err
		},
	} {
		if err := call(t.Context()); !errors.Is(err, meta.ErrUnavailable) && !errors.Is(err, meta.ErrUnknownOutcome) {
			t.Errorf("%s while the node is paused: %v", name, err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Read(canceled, b.ID, "k", meta.ReadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a read whose context has ended: %v", err)
	}
	ring.Nodes[0].Resume(t)

	for s.Ping(t.Context()) != nil && t.Context().Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	got := cqltest.List(t, patient, b.ID, 10)
	if len(got) != 1 || got[0] != "k=before" && got[0] != "k=during" {
		t.Errorf("after the outage the bucket has %q", got)
	}
	cqltest.Must(t, cqltest.RetryUnavailable(t.Context(), func() error { return cqltest.Put(t.Context(), s, b.ID, "k", "after") }))
	cqltest.SameStrings(t, "after a PUT", cqltest.List(t, patient, b.ID, 10), []string{"k=after"})
}

func TestOptionsRefuseLessThanAQuorum(t *testing.T) {
	if _, err := (Options{Consistency: 1}).withDefaults(); err == nil {
		t.Error("consistency ONE was accepted")
	}
	if _, err := (Options{Serial: 3}).withDefaults(); err == nil {
		t.Error("serial consistency 3 was accepted")
	}
	if o, err := (Options{Buckets: &Keyspace{}}).withDefaults(); err != nil || o.Buckets.Timeout != o.Timeout || o.Timeout <= 0 {
		t.Errorf("without time-outs: %+v, %v", o, err)
	}
	if _, err := (Options{Buckets: &Keyspace{Consistency: 1}}).withDefaults(); err == nil {
		t.Error("consistency ONE was accepted for the buckets")
	}
	for _, o := range []Options{{}, {Buckets: &Keyspace{Name: "fine"}}} {
		if _, err := New(nil, `a"; DROP`, o); err == nil {
			t.Error("a keyspace that is no name was accepted")
		}
	}
	if _, err := New(nil, "fine", Options{Buckets: &Keyspace{Name: `a"; DROP`}}); err == nil {
		t.Error("a keyspace of buckets that is no name was accepted")
	}
}
