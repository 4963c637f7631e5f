package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandratest"
)

func TestOutageEndsByItself(t *testing.T) {
	ring := cassandratest.StartOwn(t)
	keyspace := createTable(t, ring.Cluster, connect(t, ring.Cluster, func(c *gocql.ClusterConfig) { c.Timeout = time.Minute }))
	s := hasty(t, ring.Cluster, keyspace)
	data := bytes.Repeat([]byte("pithos"), 30_000)
	ref := untilWritten(t, s, data) // a fresh server may be slow at first
	ring.Nodes[0].Pause(t)

	if _, err := write(t, s, data); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("write: %v, want ErrUnavailable", err)
	}
	if _, err := read(t.Context(), s, ref); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("read: %v, want ErrUnavailable", err)
	}
	if err := s.Delete(t.Context(), ref.ID); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Delete: %v, want ErrUnavailable", err)
	}
	err := s.Walk(t.Context(), func(blob.Info) error { return nil })
	if !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Walk: %v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, ref, 0, ref.Size)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // while the read is under way: the server will not answer it
	if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled read: %v, want context.Canceled", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}

	ring.Nodes[0].Resume(t)
	ref = untilWritten(t, s, data)
	var got []byte
	untilAnswered(t, func() (err error) { got, err = read(t.Context(), s, ref); return err })
	if !bytes.Equal(got, data) {
		t.Errorf("read after the outage: %d bytes", len(got))
	}
}

// hasty opens a store that gives up soon.
func hasty(t *testing.T, c cassandratest.Cluster, keyspace string) *Store {
	t.Helper()
	cfg := gocql.NewCluster(c.Hosts...)
	cfg.Port, cfg.Consistency, cfg.Timeout = c.Port, gocql.LocalQuorum, 300*time.Millisecond
	var session *gocql.Session
	untilAnswered(t, func() (err error) {
		if session, err = cfg.CreateSession(); err != nil {
			err = fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
		}
		return err
	})
	t.Cleanup(session.Close)
	s, err := New(session, keyspace, Options{ChunkBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// untilWritten writes data as soon as the server takes it.
func untilWritten(t *testing.T, s *Store, data []byte) (ref blob.Ref) {
	t.Helper()
	untilAnswered(t, func() (err error) { ref, err = write(t, s, data); return err })
	return ref
}

// untilAnswered repeats what a server has no answer for in time: one that has
// just begun, or goes on, may be slow.
func untilAnswered(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; {
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, blob.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func read(ctx context.Context, s *Store, ref blob.Ref) ([]byte, error) {
	r, err := s.Open(ctx, ref, 0, ref.Size)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}
