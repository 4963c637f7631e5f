package cassandra

import (
	"context"
	"fmt"
	"testing"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobtest"
	"github.com/pithos/pithos/internal/cassandratest"
)

func BenchmarkStore(b *testing.B) {
	for _, chunk := range []int{256 << 10, 512 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("chunk=%dKiB", chunk>>10), func(b *testing.B) {
			blobtest.Bench(b, openStore(b, Options{ChunkBytes: chunk}))
		})
	}
}

// BenchmarkBare moves the same rows by gocql alone, as many at once as the
// store has in flight: what the store's own work is to be compared with.
func BenchmarkBare(b *testing.B) {
	const chunk = 512 << 10
	c := cassandratest.Start(b)
	session := connect(b, c)
	t := newCQL(session, createTable(b, c, session), gocql.LocalOne)
	for _, size := range []int{4 << 10, 1 << 20, 64 << 20} {
		data := make([]byte, min(chunk, size))
		chunks := max(1, size/chunk)
		each := func(ctx context.Context, f func(context.Context, position) error) error {
			g, ctx := errgroup.WithContext(ctx)
			g.SetLimit(4)
			for n := range chunks {
				g.Go(func() error { return f(ctx, positionOf(int64(n), 64)) })
			}
			return g.Wait()
		}
		run := func(b *testing.B, f func(context.Context, position) error) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := each(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		}
		id := blob.NewID()
		b.Run(fmt.Sprintf("Insert/%dKiB", size>>10), func(b *testing.B) {
			run(b, func(ctx context.Context, at position) error { return t.insert(ctx, id, at, 0, data) })
		})
		b.Run(fmt.Sprintf("Select/%dKiB", size>>10), func(b *testing.B) {
			run(b, func(ctx context.Context, at position) error {
				_, _, err := t.read(ctx, id, at, false)
				return err
			})
		})
	}
}
