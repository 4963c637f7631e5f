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
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
	"github.com/pithos/pithos/store"
)

// latencyDB is a database each of whose statements takes a second of the test's own time.
// So the seconds that an operation takes are its serial round trips.
type latencyDB struct {
	*cqltest.DB
	mu         sync.Mutex
	statements int
}

const roundTrip = time.Second

func (d *latencyDB) roundTrip() {
	time.Sleep(roundTrip) // counted at its end: what begins with the answer comes after it
	d.mu.Lock()
	d.statements++
	d.mu.Unlock()
}

func (d *latencyDB) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.statements
}

func (d *latencyDB) QueryRow(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (bool, error) {
	d.roundTrip()
	return d.DB.QueryRow(ctx, c, dest, stmt, args...)
}

func (d *latencyDB) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	d.roundTrip()
	return d.DB.QueryRows(ctx, c, page, row, stmt, args...)
}

func (d *latencyDB) QueryCountingTombstones(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (int, error) {
	d.roundTrip()
	return d.DB.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
}

func (d *latencyDB) Exec(ctx context.Context, stmt string, args ...any) error {
	d.roundTrip()
	return d.DB.Exec(ctx, stmt, args...)
}

func (d *latencyDB) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	d.roundTrip()
	return d.DB.ExecBatch(ctx, batch)
}

func (d *latencyDB) CAS(ctx context.Context, batch ...gocql.BatchEntry) (bool, error) {
	d.roundTrip()
	return d.DB.CAS(ctx, batch...)
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
		ctx := t.Context()
		d := &latencyDB{DB: cqltest.New(1)}
		d.NoCrashes = true
		id := meta.NewID()
		config, err := meta.Marshal(meta.BucketConfig{})
		cqltest.Must(t, err)
		d.Apply(putBucketName, id[:], "bucket")
		d.Apply(insertBucket, "bucket", id[:], int64(1), string(meta.BucketActive), "owner", int64(1), config, "", "")
		o, err := Options{}.withDefaults()
		cqltest.Must(t, err)
		m := newOn(cqltest.Default(d), cqltest.Default(d), o)
		c := &chunks{d: d, of: map[blob.ID][]byte{}}
		s, err := store.New(store.Options{Meta: m, Blobs: map[string]blob.Store{"c": c},
			Classes: map[string]string{store.ClassStandard: "c"}, BucketCache: time.Hour})
		cqltest.Must(t, err)
		b, err := s.Bucket(ctx, "bucket")
		cqltest.Must(t, err)
		// The time bucket of the queue is marked active once in ten minutes.
		_, err = s.Put(ctx, b, "another", store.PutInput{Body: strings.NewReader(strings.Repeat("b", 1<<20)), Size: 1 << 20})
		cqltest.Must(t, err)
		cqltest.Must(t, before(s, ctx, b))
		cqltest.Must(t, s.Flush(ctx))
		time.Sleep(10 * time.Second)
		n, begin := d.count(), time.Now()
		cqltest.Must(t, run(s, ctx, b))
		serial, statements = int(time.Since(begin)/roundTrip), d.count()-n
		cqltest.Must(t, s.Flush(ctx))
		time.Sleep(time.Minute)
		async = d.count() - n - statements
		cqltest.Must(t, m.Close())
	})
	return serial, statements, async
}

var _ cql.Database = (*latencyDB)(nil)
