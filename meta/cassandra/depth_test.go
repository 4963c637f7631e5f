package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// latencyDB is a database each of whose statements takes a second of the test's own time.
// So the seconds that an operation takes are its serial round trips.
type latencyDB struct {
	*fake
	mu         sync.Mutex
	statements int
	payloads   map[string][]byte
}

const roundTrip = time.Second

func (d *latencyDB) roundTrip() {
	d.mu.Lock()
	d.statements++
	d.mu.Unlock()
	time.Sleep(roundTrip)
}

func (d *latencyDB) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.statements
}

func ofQueue(stmt string) bool { return strings.Contains(stmt, "@.gc") }

func (d *latencyDB) QueryRow(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (bool, error) {
	d.roundTrip()
	switch {
	case stmt == selectBucket:
		config, err := meta.Marshal(meta.BucketConfig{})
		if err != nil {
			return false, err
		}
		return true, assign(dest, []any{d.bucket[:], int64(1), string(d.state), "owner", int64(1), config})
	case stmt == selectEntry:
		return true, assign(dest, []any{false, []byte{0xa0}})
	case ofQueue(stmt):
		return false, nil
	}
	return d.fake.QueryRow(ctx, c, dest, stmt, args...)
}

func (d *latencyDB) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	d.roundTrip()
	if stmt != selectHeadPayload {
		return d.fake.QueryRows(ctx, c, page, row, stmt, args...)
	}
	d.fake.mu.Lock()
	rows := d.headRows(args)
	d.fake.mu.Unlock()
	for _, r := range rows {
		d.mu.Lock()
		body := d.payloads[args[1].(string)]
		d.mu.Unlock()
		if err := row(fakeScanner(append(r, body))); err != nil {
			return err
		}
	}
	return nil
}

func (d *latencyDB) QueryCountingTombstones(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (int, error) {
	d.roundTrip()
	return d.fake.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
}

func (d *latencyDB) Exec(ctx context.Context, stmt string, args ...any) error {
	return d.ExecBatch(ctx, []gocql.BatchEntry{cql.Statement(stmt, args...)})
}

func (d *latencyDB) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	d.roundTrip()
	if ofQueue(batch[0].Stmt) {
		return nil
	}
	return d.fake.ExecBatch(ctx, batch)
}

func (d *latencyDB) CAS(ctx context.Context, batch ...gocql.BatchEntry) (bool, error) {
	d.roundTrip()
	keep := func(key, payload any) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.payloads[key.(string)], _ = payload.([]byte)
	}
	first := batch[0]
	if ofQueue(first.Stmt) {
		return true, nil
	}
	if a := first.Args; first.Stmt == addInlineKnown || first.Stmt == addInlineUnknown {
		keep(a[7], a[5])
		without := append(append([]any{}, a[:5]...), a[6:]...)
		batch = []gocql.BatchEntry{cql.Statement(map[string]string{addInlineKnown: addVersionKnown, addInlineUnknown: addVersionUnknown}[first.Stmt], without...)}
	}
	for _, e := range batch[1:] {
		if e.Stmt == putVersion {
			keep(e.Args[1], e.Args[4])
		}
	}
	return d.fake.CAS(ctx, batch...)
}

// chunks is a blob store with the same latency, and one chunk per blob.
type chunks struct {
	d  *latencyDB
	mu sync.Mutex
	of map[blob.ID][]byte
}

type chunkWriter struct {
	bytes.Buffer
	c  *chunks
	id blob.ID
}

func (c *chunks) Create(_ context.Context, id blob.ID) (blob.Writer, error) {
	return &chunkWriter{c: c, id: id}, nil
}

func (w *chunkWriter) Commit() (blob.Ref, error) {
	w.c.d.roundTrip()
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.of[w.id] = w.Bytes()
	return blob.Ref{ID: w.id, Size: int64(w.Len()), Chunk: 1 << 20, Block: 1}, nil
}

func (w *chunkWriter) Abort() {}

func (c *chunks) Open(_ context.Context, ref blob.Ref, offset, length int64) (io.ReadCloser, error) {
	c.d.roundTrip()
	c.mu.Lock()
	defer c.mu.Unlock()
	return io.NopCloser(bytes.NewReader(c.of[ref.ID][offset : offset+length])), nil
}

func (c *chunks) Delete(context.Context, blob.ID) error             { c.d.roundTrip(); return nil }
func (c *chunks) Walk(context.Context, func(blob.Info) error) error { return nil }

// TestRoundTripsOfOperations records the cost of S3's operations through the store: the
// statements before the answer, the serial round trips among them, and the statements
// after the answer. A GET counts up to its first byte. The bucket is cached, as it is for
// a second. "go test -run TestRoundTripsOfOperations -update" writes the golden file.
func TestRoundTripsOfOperations(t *testing.T) {
	var out strings.Builder
	fmt.Fprintf(&out, "%-32s %6s %10s %7s\n", "operation", "serial", "statements", "async")
	small, large := "body", strings.Repeat("b", 1<<20)
	put := func(body string) func(*store.Store, context.Context, *meta.Bucket) error {
		return func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
			_, err := s.Put(ctx, b, "key", store.PutInput{Body: strings.NewReader(body), Size: int64(len(body))})
			return err
		}
	}
	get := func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
		o, err := s.Get(ctx, b, "key", store.GetInput{})
		if err == nil {
			_, err = o.Body.Read(make([]byte, 1))
		}
		return err
	}
	nothing := func(*store.Store, context.Context, *meta.Bucket) error { return nil }
	for _, op := range []struct {
		name        string
		before, run func(*store.Store, context.Context, *meta.Bucket) error
	}{
		{"PUT of a new key, inline", nothing, put(small)},
		{"PUT over a key, inline", put(small), put(small)},
		{"PUT of a new key, one chunk", nothing, put(large)},
		{"PUT over a key, one chunk", put(large), put(large)},
		{"PUT of a new key, If-None-Match", nothing, func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
			_, err := s.Put(ctx, b, "key", store.PutInput{Body: strings.NewReader(small), Size: int64(len(small)),
				Conditions: store.Conditions{IfNoneMatch: []string{"*"}}})
			return err
		}},
		{"PUT among new keys, inline", fortyNew, put(small)},
		{"PUT among new keys, one chunk", fortyNew, put(large)},
		{"PUT among new keys, over one", both(put(small), fortyNew), put(small)},
		{"GET, inline", put(small), get},
		{"GET, chunks", put(large), get},
		{"HEAD", put(large), func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
			_, err := s.Head(ctx, b, "key", store.GetInput{})
			return err
		}},
		{"DELETE, inline", put(small), removeKey},
		{"DELETE, chunks", put(large), removeKey},
		{"LIST of a page", put(small), func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
			_, err := s.List(ctx, b, store.ListInput{Limit: 1000})
			return err
		}},
	} {
		serial, before, async := costOf(t, op.before, op.run)
		fmt.Fprintf(&out, "%-32s %6d %10d %7d\n", op.name, serial, before, async)
	}
	golden(t, "testdata/operations.txt", out.String())
}

// fortyNew puts so many new keys that the next one is expected to be new.
func fortyNew(s *store.Store, ctx context.Context, b *meta.Bucket) error {
	for i := range 40 {
		if _, err := s.Put(ctx, b, fmt.Sprint("new", i), store.PutInput{Body: strings.NewReader("body"), Size: 4}); err != nil {
			return err
		}
	}
	return nil
}

func both(first, then func(*store.Store, context.Context, *meta.Bucket) error) func(*store.Store, context.Context, *meta.Bucket) error {
	return func(s *store.Store, ctx context.Context, b *meta.Bucket) error {
		return errors.Join(first(s, ctx, b), then(s, ctx, b))
	}
}

func removeKey(s *store.Store, ctx context.Context, b *meta.Bucket) error {
	_, err := s.Delete(ctx, b, "key", store.DeleteInput{})
	return err
}

// costOf runs an operation after a preparation, and returns its cost.
func costOf(t *testing.T, before, run func(*store.Store, context.Context, *meta.Bucket) error) (serial, statements, async int) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithValue(t.Context(), actorKey{}, &actor{immortal: true})
		d := &latencyDB{fake: newFake(1), payloads: map[string][]byte{}}
		o, err := Options{}.withDefaults()
		must(t, err)
		m := newOn(testDB(d), testDB(d), o)
		c := &chunks{d: d, of: map[blob.ID][]byte{}}
		s, err := store.New(store.Options{Meta: m, Blobs: map[string]blob.Store{"c": c},
			Classes: map[string]string{store.ClassStandard: "c"}, BucketCache: time.Hour})
		must(t, err)
		b, err := s.Bucket(ctx, "bucket")
		must(t, err)
		// The time bucket of the queue is marked active once in ten minutes.
		_, err = s.Put(ctx, b, "another", store.PutInput{Body: strings.NewReader(strings.Repeat("b", 1<<20)), Size: 1 << 20})
		must(t, err)
		must(t, before(s, ctx, b))
		must(t, s.Flush(ctx))
		time.Sleep(10 * time.Second)
		n, begin := d.count(), time.Now()
		must(t, run(s, ctx, b))
		serial, statements = int(time.Since(begin)/roundTrip), d.count()-n
		must(t, s.Flush(ctx))
		time.Sleep(time.Minute)
		async = d.count() - n - statements
		must(t, m.Close())
	})
	return serial, statements, async
}

var _ cql.Database = (*latencyDB)(nil)
