package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/meta/embedded"
	"github.com/pithos/pithos/schema"
	"github.com/pithos/pithos/store"
)

// world is a store of a test's own, with a clock of its own.
type world struct {
	*testing.T
	meta  meta.Store
	blobs blob.Store
	ring  *crypt.Ring
	store *store.Store
	shift *atomic.Int64

	// Of the embedded engine:
	dir string
	// Of Cassandra:
	session  *gocql.Session
	keyspace string
}

const grace = time.Hour

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) }

func (w *world) later(d time.Duration) { w.shift.Add(int64(d)) }

// engines runs test on each engine.
func engines(t *testing.T, test func(w *world)) {
	t.Run("embedded", func(t *testing.T) {
		w := newWorld(t)
		w.dir = t.TempDir()
		w.open()
		test(w)
	})
	t.Run("cassandra", func(t *testing.T) {
		w := newWorld(t)
		c := cassandratest.Start(t)
		w.session, w.keyspace = c.Session(t), c.CreateKeyspace(t)
		for _, role := range []schema.Role{schema.Meta, schema.Blob} {
			_, err := schema.Apply(t.Context(), w.session, w.keyspace, role, schema.Replication{})
			w.ok(err)
		}
		w.open()
		test(w)
	})
}

func newWorld(t *testing.T) *world {
	ring, err := crypt.NewRing(crypt.GenerateMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, ring: ring, shift: &atomic.Int64{}}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// open opens the engine; the test's end closes it.
func (w *world) open() {
	w.Helper()
	if w.session != nil {
		m, err := metacassandra.New(w.session, w.keyspace, metacassandra.Options{Now: w.now})
		w.ok(err)
		w.Cleanup(func() { _ = m.Close() })
		b, err := blobcassandra.New(w.session, w.keyspace, blobcassandra.Options{ChunkBytes: 16 << 10, BlockChunks: 4})
		w.ok(err)
		w.meta, w.blobs = m, b
	} else {
		m, err := embedded.Open(filepath.Join(w.dir, "meta"), embedded.Options{InlineMax: 4 << 10})
		w.ok(err)
		b, err := file.Open(filepath.Join(w.dir, "blobs"), file.Options{SmallBytes: 16 << 10})
		w.ok(err)
		w.meta, w.blobs = m, b
		w.Cleanup(w.close)
	}
	w.store = w.gateway(w.meta, w.blobs)
}

// close closes the embedded engine, so that its files can be damaged.
func (w *world) close() {
	w.Helper()
	if w.meta == nil {
		return
	}
	w.ok(w.store.Flush(context.Background()))
	w.ok(errors.Join(w.meta.Close(), w.blobs.(*file.Store).Close()))
	w.meta = nil
}

// gateway is a store above the world's drivers, or what stands before them.
func (w *world) gateway(m meta.Store, b blob.Store) *store.Store {
	w.Helper()
	s, err := store.New(store.Options{
		Meta: m, Blobs: map[string]blob.Store{"standard": b}, Classes: map[string]string{store.ClassStandard: "standard"},
		Ring: w.ring, Region: "here", GCGrace: grace, BucketCache: -1, Now: w.now,
	})
	w.ok(err)
	return s
}

func (w *world) bucket(name, versioning string) *meta.Bucket {
	w.Helper()
	b, err := w.store.CreateBucket(w.Context(), store.CreateBucketInput{Name: name, Owner: "owner"})
	w.ok(err)
	if versioning == "" {
		return b
	}
	next := *b
	next.Rev, next.Config.Versioning = meta.NextRev(b.Rev, w.now()), versioning
	w.ok(w.meta.UpdateBucket(w.Context(), next, b.Rev))
	return &next
}

// Sizes of bodies: in the row, in one small blob, in several chunks and blocks.
const (
	tiny  = 100
	small = 10 << 10
	large = 300 << 10
)

func body(key string, n int) []byte {
	return bytes.Repeat([]byte(key+"|"), n/(len(key)+1)+1)[:n]
}

func (w *world) put(b *meta.Bucket, key string, n int) *meta.Version {
	w.Helper()
	data := body(key, n)
	_, err := w.store.Put(w.Context(), b, key, store.PutInput{Body: bytes.NewReader(data), Size: int64(n), Attributes: store.Attributes{Owner: "owner"}})
	w.ok(err)
	w.ok(w.store.Flush(w.Context()))
	return w.head(b, key).Current()
}

func (w *world) head(b *meta.Bucket, key string) *meta.Head {
	w.Helper()
	h, err := w.meta.Read(w.Context(), b.ID, key, meta.ReadOptions{Limit: 100})
	w.ok(err)
	return &h
}

// upload begins a multipart upload with one part.
func (w *world) upload(b *meta.Bucket, key string) *meta.Upload {
	w.Helper()
	u, err := w.store.CreateUpload(w.Context(), b, key, store.CreateUploadInput{Attributes: store.Attributes{Owner: "owner"}})
	w.ok(err)
	w.part(b, u, 1)
	return u
}

func (w *world) part(b *meta.Bucket, u *meta.Upload, number int) *store.PartResult {
	w.Helper()
	data := body(u.Key, large)
	p, err := w.store.UploadPart(w.Context(), b, u.Key, store.PartInput{UploadID: u.ID.String(), Number: number, Body: bytes.NewReader(data), Size: large})
	w.ok(err)
	return p
}

// check runs a check and returns what it has found, a line each.
func (w *world) check(o Options) []string {
	w.Helper()
	found, _ := w.checked(o)
	return found
}

func (w *world) checked(o Options) ([]string, *Summary) {
	w.Helper()
	var found []string
	o.Store, o.Meta, o.Blobs = w.store, w.meta, map[string]blob.Store{"standard": w.blobs, "again": w.blobs}
	o.Now, o.Shares = w.now, 3
	o.Found = func(f Finding) error {
		found = append(found, show(f))
		return nil
	}
	summary, err := Run(w.Context(), o)
	w.ok(err)
	if int(summary.Total()) != len(found) {
		w.Errorf("the summary counts %d findings of %d", summary.Total(), len(found))
	}
	slices.Sort(found)
	return found, summary
}

func show(f Finding) string {
	line := fmt.Sprintf("%s %s/%s", f.Kind, f.Bucket, f.Key)
	if f.Version != "" {
		line += " " + f.Version
	}
	if f.Part != 0 {
		line += fmt.Sprintf(" part %d", f.Part)
	}
	line += ": " + f.Detail
	if f.Repaired {
		line += " (repaired)"
	} else if f.Advice == "" {
		line += " (no advice)"
	}
	return line
}

// expect fails unless the findings are those wanted: each line begins with
// the text before the "…" and has the rest in it.
func (w *world) expect(what string, found []string, want ...string) {
	w.Helper()
	slices.Sort(want)
	match := len(found) == len(want)
	for i := range min(len(found), len(want)) {
		begin, has, _ := strings.Cut(want[i], "…")
		match = match && strings.HasPrefix(found[i], begin) && strings.Contains(found[i], has)
	}
	if !match {
		w.Errorf("%s: found\n  %s\nwant\n  %s", what, strings.Join(found, "\n  "), strings.Join(want, "\n  "))
	}
}
