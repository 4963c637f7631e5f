package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
)

func testConcurrent(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			for j, size := range []int64{100, chunk + int64(i), 300 << 10, block + 1} {
				if err := roundTrip(t.Context(), s, content(uint64(i*10+j), size)); err != nil {
					return fmt.Errorf("blob of %d bytes: %w", size, err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if left := walk(t, s); len(left) != 0 {
		t.Errorf("%d blobs are left", len(left))
	}
}

// roundTrip writes a blob, reads it from several goroutines and deletes it.
func roundTrip(ctx context.Context, s blob.Store, data []byte) error {
	w, err := s.Create(ctx, blob.NewID())
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	ref, err := w.Commit()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for range 3 {
		g.Go(func() error {
			got, err := readRange(ctx, s, ref, 0, ref.Size)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("other bytes than were written")
			}
			return err
		})
	}
	return errors.Join(g.Wait(), s.Delete(context.WithoutCancel(ctx), ref.ID))
}

func testCancelWrite(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	leak := watchGoroutines(t)
	for _, size := range []int64{10, 2*block + chunk} {
		id := blob.NewID()
		ctx, cancel := context.WithCancel(t.Context())
		w, err := s.Create(ctx, id)
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		data := content(20, size)
		write(t, w, data, 1<<20)
		cancel()
		promptly(t, "Write after a cancel", func() {
			for err == nil {
				_, err = w.Write(data)
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Write after a cancel: %v, want context.Canceled", err)
		}
		promptly(t, "Abort after a cancel", w.Abort)
		if n, ok := walk(t, s)[id]; ok {
			t.Errorf("%d bytes are left of a cancelled and aborted write", n)
		}
	}
	leak()
}

func testCancelRead(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	ref := put(t, s, content(21, 4*block+chunk))
	leak := watchGoroutines(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, ref, 0, ref.Size)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatalf("Read: %v", err)
	}
	cancel()
	promptly(t, "Read after a cancel", func() { _, err = io.Copy(io.Discard, r) })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Read after a cancel: %v, want context.Canceled", err)
	}
	promptly(t, "Close after a cancel", func() { err = r.Close() })
	if err != nil {
		t.Errorf("Close: %v", err)
	}
	leak()
}

func testCancelledBefore(t *testing.T, s blob.Store) {
	data := content(22, 10)
	ref := put(t, s, data)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w, err := s.Create(ctx, blob.NewID()); err == nil {
		if _, err := w.Commit(); err == nil {
			t.Error("Commit succeeds with a cancelled context")
		}
	}
	if _, err := readRange(ctx, s, ref, 0, ref.Size); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v, want context.Canceled", err)
	}
	if err := s.Delete(ctx, ref.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v, want context.Canceled", err)
	}
	visit := func(blob.Info) error { return nil }
	if err := s.Walk(ctx, visit); !errors.Is(err, context.Canceled) {
		t.Errorf("Walk: %v, want context.Canceled", err)
	}
	wantWhole(t, s, ref, data)
}

// watchGoroutines returns a function that fails the test unless as few
// goroutines run in the blob packages as did before.
func watchGoroutines(t *testing.T) func() {
	t.Helper()
	before, _ := blobGoroutines()
	return func() {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			now, stacks := blobGoroutines()
			if now <= before {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines more than before:\n%s", now-before, stacks)
			}
		}
	}
}

func blobGoroutines() (n int, stacks string) {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for _, stack := range strings.Split(string(buf), "\n\n") {
		if strings.Contains(stack, "pithos/blob") {
			found = append(found, stack)
		}
	}
	return len(found), strings.Join(found, "\n\n")
}

// testRandom runs operations at random and compares with a map.
func testRandom(t *testing.T, s blob.Store, seed uint64) {
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	chunk, block := geometry(t, s)
	m := model{t: t, s: s, rnd: rand.New(rand.NewPCG(seed, 1)), chunk: chunk, block: block, blobs: make(map[blob.Ref][]byte)}
	for range 150 {
		m.step()
	}
	found := walk(t, s)
	for ref, data := range m.blobs {
		wantWhole(t, s, ref, data)
		if found[ref.ID] != ref.Size {
			t.Errorf("Walk finds %d bytes of %d", found[ref.ID], ref.Size)
		}
		delete(found, ref.ID)
	}
	if len(found) != 0 {
		t.Errorf("Walk finds blobs that were aborted or deleted: %v", found)
	}
}

type model struct {
	t            *testing.T
	s            blob.Store
	rnd          *rand.Rand
	chunk, block int64
	blobs        map[blob.Ref][]byte
}

func (m *model) step() {
	switch n := m.rnd.IntN(10); {
	case n < 4:
		m.write()
	case n < 8:
		m.read()
	default:
		m.remove()
	}
}

func (m *model) write() {
	largest := []int64{100, 10 << 10, 3 * m.chunk, 2 * m.block}[m.rnd.IntN(4)]
	data := content(m.rnd.Uint64(), 1+m.rnd.Int64N(largest))
	w := create(m.t, m.s, blob.NewID())
	for p := data; len(p) > 0; {
		k := 1 + m.rnd.IntN(len(p))
		write(m.t, w, p[:k], k)
		p = p[k:]
	}
	if m.rnd.IntN(5) == 0 {
		w.Abort()
		return
	}
	m.blobs[commit(m.t, w, len(data))] = data
}

func (m *model) read() {
	for ref, data := range m.blobs {
		offset := m.rnd.Int64N(ref.Size)
		wantRange(m.t, m.s, ref, data, offset, m.rnd.Int64N(ref.Size-offset+1))
		return
	}
}

func (m *model) remove() {
	for ref := range m.blobs {
		if err := m.s.Delete(m.t.Context(), ref.ID); err != nil {
			m.t.Fatalf("Delete: %v", err)
		}
		wantGone(m.t, m.s, ref)
		delete(m.blobs, ref)
		return
	}
}
