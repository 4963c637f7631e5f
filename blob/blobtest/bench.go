package blobtest

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/pithos/pithos/blob"
)

// Bench measures writing and reading whole blobs, one after another and by
// sixteen clients at once.
func Bench(b *testing.B, s blob.Store) {
	for _, size := range []int64{4 << 10, 64 << 10, 256 << 10, 1 << 20, 64 << 20} {
		data := content(1, size)
		name := fmt.Sprintf("%dKiB", size>>10)
		b.Run("Write/"+name, func(b *testing.B) { serial(b, size, writer(s, data)) })
		b.Run("Write16/"+name, func(b *testing.B) { parallel(b, size, writer(s, data)) })
		ref, err := write1(b.Context(), s, blob.NewID(), data)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("Read/"+name, func(b *testing.B) { serial(b, size, reader(s, ref)) })
		b.Run("Read16/"+name, func(b *testing.B) { parallel(b, size, reader(s, ref)) })
	}
}

func writer(s blob.Store, data []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		id := blob.NewID()
		if _, err := write1(ctx, s, id, data); err != nil {
			return err
		}
		if len(data) < 1<<20 {
			return nil
		}
		return s.Delete(ctx, id) // or the disk fills up
	}
}

func reader(s blob.Store, ref blob.Ref) func(context.Context) error {
	return func(ctx context.Context) error {
		r, err := s.Open(ctx, ref, 0, ref.Size)
		if err != nil {
			return err
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != ref.Size {
			return fmt.Errorf("read %d of %d bytes: %w", n, ref.Size, err)
		}
		return r.Close()
	}
}

func serial(b *testing.B, size int64, f func(context.Context) error) {
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if err := f(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func parallel(b *testing.B, size int64, f func(context.Context) error) {
	b.SetBytes(size)
	b.ReportAllocs()
	b.SetParallelism(8) // times two processors or more
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
