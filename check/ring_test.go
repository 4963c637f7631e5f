package check

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/schema"
	"github.com/pithos/pithos/store"
)

// ring is a world on three nodes, each with every row.
type ring struct {
	*world
	setup *gocql.Session
}

func startRing(t *testing.T) *ring {
	w := newWorld(t)
	nodes := cassandratest.StartRackedRing(t, 3)
	r := &ring{world: w, setup: nodes.Session(t)}
	w.keyspace = "ring"
	for _, role := range []schema.Role{schema.Meta, schema.Blob} {
		_, err := schema.Apply(t.Context(), r.setup, w.keyspace, role, schema.Replication{Strategy: "SimpleStrategy", Factor: 3})
		w.ok(err)
	}
	// Slow nodes have their reads answered by others: here each is to answer
	// for itself.
	w.ok(r.setup.Query("ALTER TABLE " + w.keyspace + ".chunk WITH speculative_retry = 'NONE'").Exec())
	// As a gateway's session is.
	session, err := cassandra.Open(t.Context(), cassandra.Config{Hosts: nodes.Hosts, Port: nodes.Port, Timeout: 20 * time.Second, ConnectTimeout: 20 * time.Second})
	w.ok(err)
	t.Cleanup(session.Close)
	w.session = session
	m, err := metacassandra.New(session, w.keyspace, metacassandra.Options{Timeout: 20 * time.Second, Now: w.now})
	w.ok(err)
	t.Cleanup(func() { _ = m.Close() })
	w.meta = m
	w.blobs, err = blobcassandra.New(session, w.keyspace, blobcassandra.Options{ChunkBytes: 64 << 10})
	w.ok(err)
	w.store = w.gateway(w.meta, w.blobs)
	return r
}

// replicate sets the number of replicas. What is stored stays where it is: so
// with one replica the first of three can be written by itself.
func (r *ring) replicate(n int) {
	r.Helper()
	r.ok(r.setup.Query(fmt.Sprintf("ALTER KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}", r.keyspace, n)).Exec())
	r.ok(r.setup.AwaitSchemaAgreement(r.Context()))
	deadline := time.Now().Add(5 * time.Minute)
	for {
		known, err := r.blobs.(*blobcassandra.Store).Copies(r.Context())
		r.ok(err)
		if known == n {
			return
		}
		if time.Now().After(deadline) {
			r.Fatalf("after five minutes the driver knows of %d replicas, not of %d", known, n)
		}
		time.Sleep(50 * time.Millisecond) // until the driver has heard of it
	}
}

// damage changes the first byte of a chunk of one replica, at a timestamp.
// Among equal timestamps the greater value wins, so the byte has to grow.
func (r *ring) damage(seg meta.Segment, chunk, timestamp int) {
	r.Helper()
	var data []byte
	where := fmt.Sprintf(" WHERE blob_id = ? AND block = 0 AND chunk = %d", chunk)
	r.ok(r.setup.Query("SELECT data FROM "+r.keyspace+".chunk"+where, seg.Blob[:]).Scan(&data))
	data[0] |= 0x80
	r.replicate(1)
	r.ok(r.setup.Query(fmt.Sprintf("UPDATE %s.chunk USING TIMESTAMP %d SET data = ?%s", r.keyspace, timestamp, where), data, seg.Blob[:]).Exec())
	r.replicate(3)
}

// get reads an object and fails unless it is as it was written.
func (r *ring) get(b *meta.Bucket, key string, n int) {
	r.Helper()
	o, err := r.store.Get(r.Context(), b, key, store.GetInput{})
	r.ok(err)
	got, err := io.ReadAll(o.Body)
	r.ok(err)
	r.ok(o.Body.Close())
	if !bytes.Equal(got, body(key, n)) {
		r.Fatalf("%s: other bytes than were written", key)
	}
}

// A byte that changed on one replica is never returned, is found by a deep
// check, and is healed from another replica, by a read or by a repair.
func TestAFlippedByteIsHealedFromAnotherReplica(t *testing.T) {
	r := startRing(t)
	b := r.bucket("plain", "")
	find := func(o Options, want ...string) {
		t.Helper()
		o.Deep = true
		r.expect(fmt.Sprintf("repair %v", o.Repair), r.check(o), want...)
	}
	const wrong = ": of 5 chunks, 1 copies are wrong and 0 are missing"

	r.damage(r.put(b, "repaired", large).Segments[0], 1, 1)
	find(Options{Repair: true}, "corrupt plain/repaired"+wrong+" (repaired)")
	find(Options{})

	// As a chunk that was rewritten before.
	const timestamp = 7
	seg := r.put(b, "read", large).Segments[0]
	r.damage(seg, 4, timestamp)
	for reads, healed := 1, false; !healed; reads++ {
		r.get(b, "read", large)
		h, err := blob.Inspect(r.blobs).Verify(t.Context(), refOf(seg), false)
		r.ok(err)
		if healed = h.Good(); !healed && (h.Corrupt != 1 || reads == 200) {
			t.Fatalf("after %d reads: %+v", reads, h)
		}
	}
	// A deletion also removes rewritten chunks.
	r.ok(r.blobs.Delete(t.Context(), seg.Blob))
	if there, err := blob.Inspect(r.blobs).Find(t.Context(), seg.Blob, 0); err != nil || there {
		t.Errorf("a healed blob that was deleted is there: %v, %v", there, err)
	}
	_, err := r.store.Delete(t.Context(), b, "read", store.DeleteInput{})
	r.ok(err)

	r.replicate(2)
	r.put(b, "third", large)
	r.replicate(3)
	const missing = "mismatched plain/third: of 5 chunks, 0 copies are wrong and 5 are missing"
	find(Options{}, missing)
	find(Options{Repair: true}, missing+" (repaired)")
	find(Options{})
}
