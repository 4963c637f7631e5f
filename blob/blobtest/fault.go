package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/blobfault"
)

// RunFaults tests what clients rely on while operations fail, before or after
// they were applied, and that a slow store keeps the contract.
func RunFaults(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Run("EachFailureIsReportedAndCanBeCleanedUp", func(t *testing.T) { testEachFault(t, open(t)) })
	t.Run("RandomFailuresLoseAndLeaveNothing", func(t *testing.T) { testRandomFaults(t, open(t)) })
	t.Run("SlowStore", func(t *testing.T) {
		slow := func(blobfault.Op) blobfault.Fault {
			if rand.IntN(100) > 0 { // there are writes of a single byte
				return blobfault.Fault{}
			}
			return blobfault.Fault{Latency: time.Duration(rand.IntN(1000)) * time.Microsecond}
		}
		Run(t, func(t *testing.T) blob.Store { return blobfault.Wrap(open(t), slow) })
	})
}

// testEachFault strikes each operation of a blob's life once, before and
// after, and checks that the error is seen and that Delete removes the rest.
func testEachFault(t *testing.T, s blob.Store) {
	chunk, block := geometry(t, s)
	data := content(30, 2*block+chunk+1)
	broken := errors.New("struck")
	ops := []blobfault.Op{blobfault.Create, blobfault.Write, blobfault.Commit, blobfault.Open, blobfault.Read, blobfault.Delete}
	for _, op := range ops {
		for when, fault := range map[string]blobfault.Fault{"before": {Before: broken}, "after": {After: broken}} {
			for _, nth := range []int{1, 2} {
				plan, struck := blobfault.Nth(op, nth, fault)
				faulty := blobfault.Wrap(s, plan)
				id := blob.NewID()
				settled := watchGoroutines(t)
				ctx, die := context.WithCancel(t.Context())
				err := life(ctx, faulty, id, data)
				die()
				settled() // a writer that is still at it may outrun the Delete
				if struck() != errors.Is(err, broken) {
					t.Errorf("%s of %s no. %d: a blob's life ends with %v", when, op, nth, err)
				}
				if err := s.Delete(t.Context(), id); err != nil {
					t.Errorf("Delete after a fault: %v", err)
				}
				if n, ok := walk(t, s)[id]; ok {
					t.Errorf("%s of %s no. %d: %d bytes are left", when, op, nth, n)
				}
			}
		}
	}
}

// life writes, reads and deletes a blob, and stops at the first error.
func life(ctx context.Context, s blob.Store, id blob.ID, data []byte) error {
	w, err := s.Create(ctx, id)
	if err != nil {
		return err
	}
	for p := data; len(p) > 0; {
		n, err := w.Write(p[:(len(p)+1)/2])
		if err != nil {
			return err // neither committed nor aborted: as a crash leaves it
		}
		p = p[n:]
	}
	ref, err := w.Commit()
	if err != nil {
		return err
	}
	got, err := readRange(ctx, s, ref, 0, ref.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("other bytes than were written")
	}
	return s.Delete(ctx, id)
}

// testRandomFaults lets one operation in eight fail. Whatever was answered
// with success must hold.
func testRandomFaults(t *testing.T, s blob.Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex
	lost := fmt.Errorf("%w: at random", blob.ErrUnavailable)
	plan := func(blobfault.Op) blobfault.Fault {
		mu.Lock()
		defer mu.Unlock()
		return [16]blobfault.Fault{{Before: lost}, {After: lost}}[rnd.IntN(16)]
	}
	chunk, _ := geometry(t, s)
	faulty := blobfault.Wrap(s, plan)
	committed, unknown := make(map[blob.Ref][]byte), []blob.ID(nil)
	for i := range uint64(60) {
		id, data := blob.NewID(), content(seed+i, 1+int64(i*i)*chunk/500)
		ref, err := write1(t.Context(), faulty, id, data)
		switch {
		case err == nil:
			committed[ref] = data
		case errors.Is(err, blob.ErrUnavailable):
			unknown = append(unknown, id)
		default:
			t.Fatalf("write: %v", err)
		}
		for ref, data := range committed { // any one of them
			got, err := readRange(t.Context(), faulty, ref, 0, ref.Size)
			if err == nil && !bytes.Equal(got, data) || err != nil && !errors.Is(err, blob.ErrUnavailable) {
				t.Fatalf("read of a committed blob: %v", err)
			}
			break
		}
	}
	for _, id := range unknown {
		for err := lost; err != nil; {
			err = faulty.Delete(t.Context(), id)
		}
	}
	found := walk(t, s)
	for ref, data := range committed {
		wantWhole(t, s, ref, data)
		delete(found, ref.ID)
	}
	if len(found) != 0 {
		t.Errorf("%d blobs are left that were deleted", len(found))
	}
}

func write1(ctx context.Context, s blob.Store, id blob.ID, data []byte) (blob.Ref, error) {
	w, err := s.Create(ctx, id)
	if err != nil {
		return blob.Ref{}, err
	}
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return blob.Ref{}, err
	}
	return w.Commit()
}
