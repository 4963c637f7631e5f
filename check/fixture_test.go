package check

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// fixture is a store of a test's own, over an engine that the test may damage.
type fixture struct {
	*testing.T
	*storetest.Fixture
	engine engine
	blobs  blob.Store
}

// engines runs test on each engine.
func engines(t *testing.T, test func(w *fixture)) {
	t.Run("embedded", func(t *testing.T) { test(newFixture(t, &embeddedEngine{folder: t.TempDir()})) })
	t.Run("cassandra", func(t *testing.T) { test(newFixture(t, newCassandraEngine(t))) })
}

func newFixture(t *testing.T, e engine) *fixture {
	t.Helper()
	w := &fixture{T: t, Fixture: storetest.New(t), engine: e}
	e.open(w)
	return w
}

// use opens the store over what the engine has opened.
func (w *fixture) use(m meta.Store, b blob.Store) {
	w.Helper()
	w.blobs = b
	w.Use(w.T, m, map[string]blob.Store{"standard": b})
}

// onCassandra reports whether the engine is Cassandra.
func (w *fixture) onCassandra() bool {
	_, ok := w.engine.(*cassandraEngine)
	return ok
}

func (w *fixture) bucket(name, versioning string) *meta.Bucket {
	w.Helper()
	b, err := w.Store.CreateBucket(w.Context(), store.CreateBucketInput{Name: name, Owner: "owner"})
	assert.NoError(w, err)
	if versioning == "" {
		return b
	}
	next := *b
	next.Rev, next.Config.Versioning = meta.NextRev(b.Rev, w.Clock.Now()), versioning
	assert.NoError(w, w.Meta.UpdateBucket(w.Context(), next, b.Rev))
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

func (w *fixture) put(b *meta.Bucket, key string, n int) *meta.Version {
	w.Helper()
	data := body(key, n)
	_, err := w.Store.Put(w.Context(), b, key, store.PutInput{Body: bytes.NewReader(data), Size: int64(n), Attributes: store.Attributes{Owner: "owner"}})
	assert.NoError(w, err)
	assert.NoError(w, w.Store.Flush(w.Context()))
	return w.head(b, key).Current()
}

func (w *fixture) head(b *meta.Bucket, key string) *meta.Head {
	w.Helper()
	h, err := w.Meta.Read(w.Context(), b.ID, key, meta.ReadOptions{Limit: 100})
	assert.NoError(w, err)
	return &h
}

// upload begins a multipart upload with one part.
func (w *fixture) upload(b *meta.Bucket, key string) *meta.Upload {
	w.Helper()
	u, err := w.Store.CreateUpload(w.Context(), b, key, store.CreateUploadInput{Attributes: store.Attributes{Owner: "owner"}})
	assert.NoError(w, err)
	w.part(b, u, 1)
	return u
}

func (w *fixture) part(b *meta.Bucket, u *meta.Upload, number int) *store.PartResult {
	w.Helper()
	data := body(u.Key, large)
	p, err := w.Store.UploadPart(w.Context(), b, u.Key, store.PartInput{UploadID: u.ID.String(), Number: number, Body: bytes.NewReader(data), Size: large})
	assert.NoError(w, err)
	return p
}

// check runs a check and returns what it has found, a line each.
func (w *fixture) check(o Options) []string {
	w.Helper()
	found, _ := w.checked(o)
	return found
}

func (w *fixture) checked(o Options) ([]string, *Summary) {
	w.Helper()
	var found []string
	o.Store, o.Meta, o.Blobs = w.Store, w.Meta, map[string]blob.Store{"standard": w.blobs, "again": w.blobs}
	o.Now, o.Shares = w.Clock.Now, 3
	o.Found = func(f Finding) error {
		found = append(found, show(f))
		return nil
	}
	summary, err := Run(w.Context(), o)
	assert.NoError(w, err)
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
func (w *fixture) expect(what string, found []string, want ...string) {
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
