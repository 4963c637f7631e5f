package embedded

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/meta"
)

// BenchmarkPut overwrites keys with inline bodies, on a real disk, synced.
func BenchmarkPut(b *testing.B) {
	for _, size := range []int{0, 4 << 10, 16 << 10, 32 << 10, 64 << 10} {
		for _, workers := range []int{1, 32} {
			b.Run(fmt.Sprintf("inline=%dKiB/workers=%d", size>>10, workers), func(b *testing.B) {
				s := openDir(b)
				bucket := newBucket(b, s)
				body := string(bytes.Repeat([]byte{'x'}, size))
				var n atomic.Int64
				b.SetBytes(int64(size))
				b.SetParallelism(max(1, workers/2))
				run := func() error {
					return put(s, bucket.ID, fmt.Sprint("k", n.Add(1)), 0, 10, nil, body)
				}
				b.ResetTimer()
				if workers == 1 {
					for b.Loop() {
						if err := run(); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := run(); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// filled returns a store whose bucket has n keys with so many versions each,
// then deleted if so asked.
func filled(b *testing.B, n, versions int, deleted bool) (*Store, meta.BucketID) {
	s := openDir(b).(*Store)
	bucket := newBucket(b, s)
	batch := s.db.NewBatch()
	for i := range n {
		key := fmt.Sprintf("k%08d", i)
		var old head
		var put []meta.Version
		for seq := int64(1); seq <= int64(versions); seq++ {
			put = append(put, meta.Version{Seq: seq, ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 1000})
		}
		c := meta.Change{Rev: int64(versions) + 1, Put: put, History: versions > 1, Entry: meta.EntryOf(key, &put[len(put)-1])}
		if err := s.fillChange(batch, bucket.ID, key, old, c); err != nil {
			b.Fatal(err)
		}
		if batch.Len() > 1<<20 || i == n-1 {
			if err := batch.Commit(nil); err != nil {
				b.Fatal(err)
			}
			batch = s.db.NewBatch()
		}
	}
	if deleted {
		for i := range n {
			key := fmt.Sprintf("k%08d", i)
			old, err := s.head(bucket.ID, key)
			if err != nil {
				b.Fatal(err)
			}
			v := meta.Version{Seq: old.rev + 1, DeleteMarker: true}
			c := meta.Change{IfRev: old.rev, Rev: v.Seq, Put: []meta.Version{v}, History: true}
			if err := s.fillChange(batch, bucket.ID, key, old, c); err != nil {
				b.Fatal(err)
			}
			if batch.Len() > 1<<20 || i == n-1 {
				if err := batch.Commit(nil); err != nil {
					b.Fatal(err)
				}
				batch = s.db.NewBatch()
			}
		}
	}
	return s, bucket.ID
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", n), func(b *testing.B) {
			s, bucket := filled(b, n, 1, false)
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				h, err := s.Read(context.Background(), bucket, fmt.Sprintf("k%08d", i), meta.ReadOptions{})
				if err != nil || h.Current() == nil {
					b.Fatal(h, err)
				}
			}
		})
	}
}

// BenchmarkScan lists pages of 1,000: each case costs its page, whatever the
// bucket holds beside it.
func BenchmarkScan(b *testing.B) {
	for _, c := range []struct {
		name     string
		n, per   int
		deleted  bool
		wantKeys int
	}{
		{"keys=2000", 2000, 1, false, 1000},
		{"keys=200000", 200_000, 1, false, 1000},
		{"keys=2000,versions=100", 2000, 100, false, 1000},
		{"keys=200000,deleted", 200_000, 1, true, 0},
	} {
		s, bucket := filled(b, c.n, c.per, c.deleted)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				entries, _, err := s.Scan(context.Background(), bucket, meta.ScanOptions{Limit: 1000})
				if err != nil || len(entries) != c.wantKeys {
					b.Fatal(len(entries), err)
				}
			}
		})
		b.Run(c.name+",all", func(b *testing.B) {
			for b.Loop() {
				keys, _, err := s.Scan(context.Background(), bucket, meta.ScanOptions{Limit: 1000, All: true})
				if err != nil || len(keys) != 1000 {
					b.Fatal(len(keys), err)
				}
			}
		})
	}
}
