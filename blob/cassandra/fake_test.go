package cassandra

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobtest"
	"github.com/pithos/pithos/internal/cassandratest"
)

// replicas is a table in memory whose reads can be made to go wrong.
type replicas struct {
	mu             sync.Mutex
	rows           map[rowKey]row
	reads          []string                                 // of which kind they were, in order
	onRead         func(nth int, quorum bool, r *row) error // called for each read
	insertErr      func(n int) error                        // called for each insert, counted from 1
	inserts        int
	inFlight, most atomic.Int64
	copiesOf       int            // how many copies there are; 0 is one
	wrong          map[int][]byte // copies that are not as they were written; nil: missing
}

type rowKey struct {
	id blob.ID
	at position
}

type row struct {
	sum     int64
	data    []byte
	written int64
}

func (f *replicas) insert(ctx context.Context, id blob.ID, at position, sum int64, data []byte) error {
	n := f.inFlight.Add(1)
	defer f.inFlight.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.most.Store(max(f.most.Load(), n))
	f.inserts++
	if f.insertErr != nil {
		if err := f.insertErr(f.inserts); err != nil {
			return err
		}
	}
	if f.rows == nil {
		f.rows = make(map[rowKey]row)
	}
	f.rows[rowKey{id, at}] = row{sum: sum, data: append([]byte(nil), data...)}
	return ctx.Err()
}

func (f *replicas) read(ctx context.Context, id blob.ID, at position, quorum bool) (int64, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads = append(f.reads, map[bool]string{true: "quorum", false: "one"}[quorum])
	r, ok := f.rows[rowKey{id, at}]
	if !ok {
		return 0, nil, errMissing
	}
	r.data = bytes.Clone(r.data)
	if f.onRead != nil {
		if err := f.onRead(len(f.reads), quorum, &r); err != nil {
			return 0, nil, err
		}
	}
	return r.sum, r.data, ctx.Err()
}

func (f *replicas) hasBlock(_ context.Context, id blob.ID, block int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.rows {
		if key.id == id && key.at.block == block {
			return true, nil
		}
	}
	return false, nil
}

func (f *replicas) deleteBlock(_ context.Context, id blob.ID, block int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range f.rows {
		if key.id == id && key.at.block == block {
			delete(f.rows, key)
		}
	}
	return nil
}

func (f *replicas) list(ctx context.Context, page *tokenPage) ([]stored, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	page.begun = true
	if page.high != 1<<63-1 { // all rows are in the last part of this ring
		return nil, ctx.Err()
	}
	var out []stored
	for key, r := range f.rows {
		out = append(out, stored{key.id, key.at.block, sizeOf(r.sum)})
	}
	slices.SortFunc(out, func(a, b stored) int { return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.block, b.block)) })
	return out, ctx.Err()
}

func fakeStore(t *testing.T, o Options) (*Store, *replicas) {
	t.Helper()
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	f := &replicas{}
	return &Store{db: f, opts: o}, f
}

func TestStoreKeepsTheContractUnderFaults(t *testing.T) {
	blobtest.RunFaults(t, func(t *testing.T) blob.Store {
		s, _ := fakeStore(t, Options{ChunkBytes: 16 << 10, BlockChunks: 4})
		return s
	})
}

func write(t *testing.T, s *Store, data []byte) (blob.Ref, error) {
	t.Helper()
	w, err := s.Create(t.Context(), blob.NewID())
	if err != nil {
		return blob.Ref{}, err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return blob.Ref{}, err
	}
	return w.Commit()
}

func TestFirstReadsFallBack(t *testing.T) {
	flip := func(r *row) error { r.data[0] ^= 1; return nil }
	missing := func(*row) error { return errMissing }
	timeout := func(*row) error { return &gocql.RequestErrReadTimeout{} }
	fine := func(*row) error { return nil }
	tests := []struct {
		name  string
		reads []func(*row) error // what each read meets
		want  error
		kinds []string
	}{
		{"right at once", []func(*row) error{fine}, nil, []string{"one"}},
		{"missing on one replica", []func(*row) error{missing, fine}, nil, []string{"one", "quorum"}},
		{"missing everywhere", []func(*row) error{missing, missing}, blob.ErrNotFound, []string{"one", "quorum"}},
		{"corrupt on one replica", []func(*row) error{flip, fine}, nil, []string{"one", "one"}},
		{"right only at a quorum", []func(*row) error{flip, flip, flip, fine}, nil, []string{"one", "one", "one", "quorum"}},
		{"corrupt everywhere", []func(*row) error{flip, flip, flip, flip}, blob.ErrCorrupt, []string{"one", "one", "one", "quorum"}},
		{"corrupt, then missing", []func(*row) error{flip, missing, missing}, blob.ErrNotFound, []string{"one", "one", "quorum"}},
		{"slow once", []func(*row) error{timeout, fine}, nil, []string{"one", "one"}},
		{"slow for ever", []func(*row) error{timeout, timeout, timeout, timeout}, blob.ErrUnavailable, []string{"one", "one", "one", "one"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, f := fakeStore(t, Options{})
			ref, err := write(t, s, []byte("some bytes"))
			if err != nil {
				t.Fatal(err)
			}
			f.onRead = func(nth int, _ bool, r *row) error {
				if nth > len(test.reads) {
					t.Errorf("read no. %d: want only %d", nth, len(test.reads))
					return nil
				}
				return test.reads[nth-1](r)
			}
			data, err := s.fetch(t.Context(), ref, 0)
			if !errors.Is(err, test.want) || err == nil && string(data) != "some bytes" {
				t.Errorf("%q, %v; want %v", data, err, test.want)
			}
			if got := f.reads; !equal(got, test.kinds) {
				t.Errorf("reads %v, want %v", got, test.kinds)
			}
		})
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestChunksInTheWrongPlaceAreNoticed(t *testing.T) {
	s, f := fakeStore(t, Options{ChunkBytes: 1024})
	ref, err := write(t, s, make([]byte, 3*1024)) // chunks of equal bytes
	if err != nil {
		t.Fatal(err)
	}
	first, second := rowKey{ref.ID, position{0, 0}}, rowKey{ref.ID, position{0, 1}}
	f.rows[first], f.rows[second] = f.rows[second], f.rows[first]
	if _, err := s.fetch(t.Context(), ref, 0); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("swapped chunks: %v, want ErrCorrupt", err)
	}
}

// tooMuch is what a node answers that has too much to do.
type tooMuch struct{ gocql.RequestError }

func (tooMuch) Code() int     { return gocql.ErrCodeOverloaded }
func (tooMuch) Error() string { return "overloaded" }

func TestWritesAreRetriedAndThenUnavailable(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		fails   int
		want    error
		inserts int
	}{
		{"a timeout goes by", &gocql.RequestErrWriteTimeout{}, 1, nil, 2},
		{"no quorum for a while", &gocql.RequestErrUnavailable{}, 3, nil, 4},
		{"no quorum for long", &gocql.RequestErrUnavailable{}, 99, blob.ErrUnavailable, 4},
		{"no connection", gocql.ErrNoConnections, 99, blob.ErrUnavailable, 4},
		{"too much to do for a while", tooMuch{}, 3, nil, 4},
		{"too much to do for long", tooMuch{}, 99, blob.ErrOverloaded, 4},
		{"session closed", gocql.ErrSessionClosed, 99, gocql.ErrSessionClosed, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, f := fakeStore(t, Options{})
			f.insertErr = func(n int) error {
				if n <= test.fails {
					return test.err
				}
				return nil
			}
			_, err := write(t, s, []byte("x"))
			if !errors.Is(err, test.want) || f.inserts != test.inserts {
				t.Errorf("%v after %d inserts, want %v after %d", err, f.inserts, test.want, test.inserts)
			}
		})
	}
}

func TestWriterStaysWithinItsWindow(t *testing.T) {
	s, f := fakeStore(t, Options{ChunkBytes: 1024, Window: 3, BlockChunks: 3})
	if _, err := write(t, s, make([]byte, 500*1024)); err != nil {
		t.Fatal(err)
	}
	if n := f.most.Load(); n > 3 {
		t.Errorf("%d chunks in flight, want at most 3", n)
	}
}

// A writer that dies leaves a gap where chunks of its window did not arrive.
func TestDeletePassesTheGapOfADeadWriter(t *testing.T) {
	s, f := fakeStore(t, Options{ChunkBytes: 1024, Window: 4, BlockChunks: 4})
	for first := range 12 {
		ref, err := write(t, s, make([]byte, 16*1024))
		if err != nil {
			t.Fatal(err)
		}
		for n := first; n < first+4; n++ {
			delete(f.rows, rowKey{ref.ID, positionOf(int64(n), 4)})
		}
		if err := s.Delete(t.Context(), ref.ID); err != nil {
			t.Fatal(err)
		}
		if len(f.rows) != 0 {
			t.Errorf("gap from chunk %d on: %d chunks are left", first, len(f.rows))
		}
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, o := range []Options{
		{ChunkBytes: 1}, {ChunkBytes: -1}, {ChunkBytes: 1 << 30}, {Window: -1}, {Window: 100},
		{ReadAhead: -2}, {BlockChunks: 3}, {BlockChunks: -1}, {Window: 8, BlockChunks: 7},
	} {
		if _, err := New(nil, "pithos", o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, keyspace := range []string{"", "a b", `a"`, "1a", "a.b"} {
		if _, err := New(nil, keyspace, Options{}); err == nil {
			t.Errorf("keyspace %q is taken", keyspace)
		}
	}
}

func TestStoreWithoutItsTableIsNoOutage(t *testing.T) {
	c := cassandratest.Start(t)
	s, err := New(connect(t, c), c.CreateKeyspace(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write(t, s, []byte("x")); err == nil || errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("write without a table: %v, want an error that is not ErrUnavailable", err)
	}
}
