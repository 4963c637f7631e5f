package engine

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// chunkWriter notes how long the slices are that it is given.
type chunkWriter struct {
	bytes.Buffer
	lengths []int
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	w.lengths = append(w.lengths, len(p))
	return w.Buffer.Write(p)
}

// TestABodyIsWrittenFromTheEnginesOwnMemory opens both engines as serve does.
// Whole chunks are written, one write each: no decorator in between copies
// them with a buffer of its own.
func TestABodyIsWrittenFromTheEnginesOwnMemory(t *testing.T) {
	onEngines(t, func(t *testing.T, cfg *config.Config) {
		options := OpenOptions{Observe: edge.NewServer(cfg, zap.NewNop(), nil).Observer()}
		e := opened(t, cfg, options)
		b, err := e.Store.CreateBucket(t.Context(), store.CreateBucketInput{Name: "direct", Owner: "t"})
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 3*(512<<10)+1000)
		_, _ = rand.NewChaCha8([32]byte{}).Read(body) // never fails
		_, err = e.Store.Put(t.Context(), b, "k", store.PutInput{Attributes: store.Attributes{Owner: "t"}, Body: bytes.NewReader(body), Size: int64(len(body))})
		if err != nil {
			t.Fatal(err)
		}
		o, err := e.Store.Get(t.Context(), b, "k", store.GetInput{})
		if err != nil {
			t.Fatal(err)
		}
		w := &chunkWriter{}
		if _, err := io.Copy(w, o.Body); err != nil || o.Body.Close() != nil || !bytes.Equal(w.Bytes(), body) {
			t.Fatalf("%d bytes came, %v", w.Len(), err)
		}
		h, err := e.Meta.Read(t.Context(), b.ID, "k", meta.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seg := h.Current().Segments[0]
		r, err := options.observedBlobs(e.Blobs)[seg.Store].Open(t.Context(), blob.Ref{ID: seg.Blob, Size: seg.Bytes, Chunk: seg.Chunk, Block: seg.Block}, 0, seg.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := r.(io.WriterTo); !ok {
			t.Error("an observed reader does not write from the engine's memory")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		chunk := int(seg.Chunk)
		if n, want := len(w.lengths), (len(body)+chunk-1)/chunk; n != want || chunk <= 64<<10 {
			t.Errorf("a body of %d chunks of %d bytes came in %d writes: %v", want, chunk, n, w.lengths[:min(n, 10)])
		}
		for name, s := range options.observedBlobs(e.Blobs) {
			if _, ok := s.(blob.Inspector); !ok {
				t.Errorf("the observed store %s cannot be looked into any more", name)
			}
		}
	})
}

// onEngines runs a test on each engine, installed and empty.
func onEngines(t *testing.T, test func(*testing.T, *config.Config)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, configuration(t, "embedded: {directory: "+t.TempDir()+"}\n"))
	})
	t.Run("cassandra", func(t *testing.T) {
		c, at := cluster(t)
		test(t, installed(t, configuration(t, "bucketstore: {"+at+", keyspace: "+c.Keyspace(t)+"}\n")))
	})
}
