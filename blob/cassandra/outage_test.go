package cassandra

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandratest"
)

func TestOutageEndsByItself(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Cassandra of its own")
	}
	ring := cassandratest.StartOwn(t)
	keyspace := createTable(t, ring.Cluster, connect(t, ring.Cluster, func(c *gocql.ClusterConfig) { c.Timeout = time.Minute }))
	session := connect(t, ring.Cluster, func(c *gocql.ClusterConfig) { c.Timeout = 300 * time.Millisecond })
	s, err := New(session, keyspace, Options{ChunkBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
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
	err = s.Walk(t.Context(), func(blob.Info) error { return nil })
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
	if got, err := read(t.Context(), s, ref); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read after the outage: %d bytes, %v", len(got), err)
	}
}

// untilWritten writes data as soon as the server takes it.
func untilWritten(t *testing.T, s *Store, data []byte) blob.Ref {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		ref, err := write(t, s, data)
		if err == nil {
			return ref
		}
		if !errors.Is(err, blob.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("write: %v", err)
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
