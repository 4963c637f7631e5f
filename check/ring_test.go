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
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/schema"
	"github.com/pithos/pithos/store"
)

// ring is a fixture on three nodes, each with every row.
type ring struct {
	*fixture
	keyspace string
	setup    *gocql.Session
}

// ringEngine is Cassandra through a session as a gateway has it.
type ringEngine struct{ cassandraEngine }

func (e *ringEngine) open(w *fixture) {
	w.Helper()
	m, err := metacassandra.New(e.session, e.keyspace, metacassandra.Options{Timeout: 20 * time.Second, Now: w.Clock.Now})
	assert.NoError(w, err)
	w.Cleanup(func() { _ = m.Close() })
	b, err := blobcassandra.New(e.session, e.keyspace, blobcassandra.Options{ChunkBytes: 64 << 10})
	assert.NoError(w, err)
	w.use(m, b)
}

func startRing(t *testing.T) *ring {
	t.Helper()
	nodes := cassandratest.StartRackedRing(t, 3)
	r := &ring{keyspace: "ring", setup: nodes.Session(t)}
	for _, role := range []schema.Role{schema.Meta, schema.Blob} {
		_, err := schema.Apply(t.Context(), r.setup, r.keyspace, role, schema.Replication{Strategy: "SimpleStrategy", Factor: 3})
		assert.NoError(t, err)
	}
	// Slow nodes have their reads answered by others: here each is to answer
	// for itself.
	assert.NoError(t, r.setup.Query("ALTER TABLE "+r.keyspace+".chunk WITH speculative_retry = 'NONE'").Exec())
	session, err := cassandra.Open(t.Context(), cassandra.Config{Hosts: nodes.Hosts, Port: nodes.Port, Timeout: 20 * time.Second, ConnectTimeout: 20 * time.Second})
	assert.NoError(t, err)
	t.Cleanup(session.Close)
	r.fixture = newFixture(t, &ringEngine{cassandraEngine{session, r.keyspace}})
	return r
}

// replicate sets the number of replicas. What is stored stays where it is: so
// with one replica the first of three can be written by itself.
func (r *ring) replicate(n int) {
	r.Helper()
	assert.NoError(r, r.setup.Query(fmt.Sprintf("ALTER KEYSPACE %s WITH replication = {'class': 'SimpleStrategy', 'replication_factor': %d}", r.keyspace, n)).Exec())
	assert.NoError(r, r.setup.AwaitSchemaAgreement(r.Context()))
	deadline := time.Now().Add(5 * time.Minute)
	for {
		known, err := r.blobs.(*blobcassandra.Store).Copies(r.Context())
		assert.NoError(r, err)
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
	assert.NoError(r, r.setup.Query("SELECT data FROM "+r.keyspace+".chunk"+where, seg.Blob[:]).Scan(&data))
	data[0] |= 0x80
	r.replicate(1)
	assert.NoError(r, r.setup.Query(fmt.Sprintf("UPDATE %s.chunk USING TIMESTAMP %d SET data = ?%s", r.keyspace, timestamp, where), data, seg.Blob[:]).Exec())
	r.replicate(3)
}

// get reads an object and fails unless it is as it was written.
func (r *ring) get(b *meta.Bucket, key string, n int) {
	r.Helper()
	o, err := r.Store.Get(r.Context(), b, key, store.GetInput{})
	assert.NoError(r, err)
	got, err := io.ReadAll(o.Body)
	assert.NoError(r, err)
	assert.NoError(r, o.Body.Close())
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
		assert.NoError(r, err)
		if healed = h.Good(); !healed && (h.Corrupt != 1 || reads == 200) {
			t.Fatalf("after %d reads: %+v", reads, h)
		}
	}
	// A deletion also removes rewritten chunks.
	assert.NoError(r, r.blobs.Delete(t.Context(), seg.Blob))
	if there, err := blob.Inspect(r.blobs).Find(t.Context(), seg.Blob, 0); err != nil || there {
		t.Errorf("a healed blob that was deleted is there: %v, %v", there, err)
	}
	_, err := r.Store.Delete(t.Context(), b, "read", store.DeleteInput{})
	assert.NoError(r, err)

	r.replicate(2)
	r.put(b, "third", large)
	r.replicate(3)
	const missing = "mismatched plain/third: of 5 chunks, 0 copies are wrong and 5 are missing"
	find(Options{}, missing)
	find(Options{Repair: true}, missing+" (repaired)")
	find(Options{})
}
