package check

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	chunkdamage "github.com/pithos/pithos/blob/cassandra/damagetest"
	"github.com/pithos/pithos/blob/file"
	filedamage "github.com/pithos/pithos/blob/file/damagetest"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	rowdamage "github.com/pithos/pithos/meta/cassandra/damagetest"
	"github.com/pithos/pithos/meta/embedded"
	embeddeddamage "github.com/pithos/pithos/meta/embedded/damagetest"
	"github.com/pithos/pithos/schema"
)

// engine opens what a fixture's store stands on, and damages it.
type engine interface {
	// open opens the engine for the fixture; the test's end closes it.
	open(w *fixture)
	// addEntry lists a key that does not exist.
	addEntry(w *fixture, b *meta.Bucket, entry *meta.Entry)
	// dropHistory lists the current version of a key as its only one.
	dropHistory(w *fixture, b *meta.Bucket, key string)
	// dropReference loses the record of a reference to a shared blob.
	dropReference(w *fixture, seg meta.Segment)
	// flip changes a byte of a blob.
	flip(w *fixture, id blob.ID)
}

type embeddedEngine struct {
	folder string
	meta   *embedded.Store // nil while it is closed
	blobs  *file.Store
}

func (e *embeddedEngine) open(w *fixture) {
	w.Helper()
	m, err := embedded.Open(e.metaFolder(), embedded.Options{InlineMax: 4 << 10})
	assert.NoError(w, err)
	b, err := file.Open(e.blobFolder(), file.Options{SmallBytes: 16 << 10})
	assert.NoError(w, err)
	e.meta, e.blobs = m, b
	w.Cleanup(func() { e.close(w) })
	w.use(m, b)
}

func (e *embeddedEngine) metaFolder() string { return filepath.Join(e.folder, "meta") }
func (e *embeddedEngine) blobFolder() string { return filepath.Join(e.folder, "blobs") }

// close closes the engine, so that its files can be damaged.
func (e *embeddedEngine) close(w *fixture) {
	w.Helper()
	if e.meta == nil {
		return
	}
	assert.NoError(w, w.Flush(context.Background()))
	assert.NoError(w, errors.Join(e.meta.Close(), e.blobs.Close()))
	e.meta = nil
}

func (e *embeddedEngine) addEntry(w *fixture, b *meta.Bucket, entry *meta.Entry) {
	w.Helper()
	e.close(w)
	assert.NoError(w, embeddeddamage.AddListingEntry(e.metaFolder(), b.ID, entry))
	e.open(w)
}

func (e *embeddedEngine) dropHistory(w *fixture, b *meta.Bucket, key string) {
	w.Helper()
	w.rewrite(b, key, func(c *meta.Change) { c.History = false })
}

func (e *embeddedEngine) dropReference(w *fixture, seg meta.Segment) {
	w.Helper()
	assert.NoError(w, w.Meta.RemoveReference(w.Context(), meta.QueuedBlob{Blob: seg.Blob, Ref: seg.Ref}))
}

func (e *embeddedEngine) flip(w *fixture, id blob.ID) {
	w.Helper()
	assert.NoError(w, filedamage.FlipByte(e.blobFolder(), id))
}

type cassandraEngine struct {
	session  *gocql.Session
	keyspace string
}

func newCassandraEngine(t *testing.T) *cassandraEngine {
	t.Helper()
	c := cassandratest.Start(t)
	e := &cassandraEngine{session: c.Session(t), keyspace: c.CreateKeyspace(t)}
	for _, role := range []schema.Role{schema.Meta, schema.Blob} {
		_, err := schema.Apply(t.Context(), e.session, e.keyspace, role, schema.Replication{})
		assert.NoError(t, err)
	}
	return e
}

func (e *cassandraEngine) open(w *fixture) {
	w.Helper()
	m, err := metacassandra.New(e.session, e.keyspace, metacassandra.Options{Now: w.Clock.Now})
	assert.NoError(w, err)
	w.Cleanup(func() { _ = m.Close() })
	b, err := blobcassandra.New(e.session, e.keyspace, blobcassandra.Options{ChunkBytes: 16 << 10, BlockChunks: 4})
	assert.NoError(w, err)
	w.use(m, b)
}

func (e *cassandraEngine) addEntry(w *fixture, b *meta.Bucket, entry *meta.Entry) {
	w.Helper()
	w.rewrite(b, entry.Key, func(c *meta.Change) { c.Entry = entry })
}

func (e *cassandraEngine) dropHistory(w *fixture, b *meta.Bucket, key string) {
	w.Helper()
	w.rewrite(b, key, func(c *meta.Change) { c.History = false })
	assert.NoError(w, rowdamage.DropHistory(w.Context(), e.session, e.keyspace, b.ID, key, w.Clock.Now().UnixMicro()))
}

func (e *cassandraEngine) dropReference(w *fixture, seg meta.Segment) {
	w.Helper()
	assert.NoError(w, rowdamage.DropReferences(w.Context(), e.session, e.keyspace, seg.Blob))
}

func (e *cassandraEngine) flip(w *fixture, id blob.ID) {
	w.Helper()
	assert.NoError(w, chunkdamage.FlipByte(w.Context(), e.session, e.keyspace, id))
}
