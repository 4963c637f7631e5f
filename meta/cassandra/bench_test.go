package cassandra

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// BenchmarkPut makes PUTs of new keys with inline payloads, BenchmarkPlain the plain
// writes of chunks. Together they show up to which size a payload is better kept in its
// version's row.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, bucket := benchStore(b)
			payload := make([]byte, size)
			var n atomic.Int64
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if err := cqltest.PutInline(b.Context(), s, bucket, fmt.Sprint("k", n.Add(1)), payload); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func benchStore(b *testing.B) (*Store, meta.BucketID) {
	c, keyspace := cqltest.NewKeyspace(b)
	s := newStore(b, cqltest.NewSession(b, c, keyspace), keyspace, Options{})
	return s, createBucket(b, s, "bucket").ID
}

func BenchmarkPlain(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, 128 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, _ := benchStore(b)
			doc := make([]byte, size)
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					id := meta.NewID()
					if err := s.db.Exec(b.Context(), putPart, id[:], 1, doc, int64(1)); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
