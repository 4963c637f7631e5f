package bench

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/pithos/pithos/blob"
	blobcassandra "github.com/pithos/pithos/blob/cassandra"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
	"github.com/pithos/pithos/schema"
	"github.com/pithos/pithos/store"
)

// BenchmarkInline compares objects that are kept in the row of their version
// with such as have a chunk of their own, by size: what is faster to write and
// to read decides InlineMax.
func BenchmarkInline(b *testing.B) {
	c := cassandratest.Start(b)
	apart, inline := newStore(b, c, 1), newStore(b, c, 1<<20)
	for _, size := range []int{1 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		body := content(size)
		for _, workers := range []int{8} {
			b.Run(fmt.Sprintf("put/%dKiB/workers=%d", size>>10, workers), func(b *testing.B) {
				compare(b, workers, side{"apart", apart.putter(body)}, side{"inline", inline.putter(body)})
			})
			b.Run(fmt.Sprintf("get/%dKiB/workers=%d", size>>10, workers), func(b *testing.B) {
				compare(b, workers, side{"apart", apart.getter(b, body)}, side{"inline", inline.getter(b, body)})
			})
		}
	}
}

type ownStore struct {
	*store.Store
	bucket string
}

// newStore opens a store that keeps up to inlineMax bytes in the row.
func newStore(b *testing.B, c cassandratest.Cluster, inlineMax int) *ownStore {
	session, err := cassandra.Open(b.Context(), cassandra.Config{Hosts: c.Hosts, Port: c.Port})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(session.Close)
	keyspace := c.Keyspace(b)
	for _, role := range []schema.Role{schema.Meta, schema.Blob} {
		if _, err := schema.Apply(b.Context(), session, keyspace, role, schema.Replication{}); err != nil {
			b.Fatal(err)
		}
	}
	m, err := metacassandra.New(session, keyspace, metacassandra.Options{InlineMax: inlineMax})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close() }) // the keyspace goes next
	blobs, err := blobcassandra.New(session, keyspace, blobcassandra.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.New(store.Options{Meta: m, Blobs: map[string]blob.Store{"blobs": blobs}, Classes: map[string]string{store.ClassStandard: "blobs"}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(b.Context(), store.CreateBucketInput{Name: "bench", Owner: "owner"}); err != nil {
		b.Fatal(err)
	}
	return &ownStore{s, "bench"}
}

func (s *ownStore) put(ctx context.Context, key string, body []byte) error {
	b, err := s.Bucket(ctx, s.bucket)
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, b, key, store.PutInput{Body: bytes.NewReader(body), Size: int64(len(body))})
	return err
}

func (s *ownStore) putter(body []byte) operation {
	return func(ctx context.Context, n int64) error { return s.put(ctx, key(n), body) }
}

func (s *ownStore) getter(b *testing.B, body []byte) operation {
	name := fmt.Sprintf("read/%d/", len(body))
	for i := range 100 {
		if err := s.put(b.Context(), fmt.Sprint(name, i), body); err != nil {
			b.Fatal(err)
		}
	}
	return func(ctx context.Context, n int64) error {
		bucket, err := s.Bucket(ctx, s.bucket)
		if err != nil {
			return err
		}
		o, err := s.Get(ctx, bucket, fmt.Sprint(name, n%100), store.GetInput{})
		if err != nil {
			return err
		}
		return consume(o.Body, int64(len(body)))
	}
}
