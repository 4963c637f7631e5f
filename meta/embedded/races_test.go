package embedded

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metatest"
)

// openRacy opens a store whose changes dawdle between check and application.
func openRacy(t testing.TB) meta.Store {
	return openMem(t, vfs.NewMem(), Options{beforeApply: dawdle})
}

func dawdle() {
	for range rand.IntN(30) {
		runtime.Gosched()
	}
}

func TestRacingCallsKeepTheContract(t *testing.T) {
	metatest.Races(t, openRacy, 150)
}

func together(calls ...func()) {
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(func() {
			dawdle()
			call()
		})
	}
	wg.Wait()
}

// Here a claim needs no fence: when it has returned, a change that it guards
// either is there or will never be.
func TestClaimAloneStopsLaterCommits(t *testing.T) {
	ctx := context.Background()
	s := openRacy(t)
	b := newBucket(t, s)
	for range 200 {
		key := meta.NewID().String()
		e := meta.QueueEntry{Due: s.(*Store).opts.Now(), Entry: meta.NewID(), Kind: meta.QueueFresh}
		if err := s.Enqueue(ctx, e); err != nil {
			t.Fatal(err)
		}
		p, err := s.Begin(ctx, b.ID, key, 10, false)
		if err != nil {
			t.Fatal(err)
		}
		var committed error
		var atClaim meta.Head
		together(func() {
			v := meta.Version{Seq: 10}
			committed = p.Commit(ctx, meta.Change{Rev: 10, ID: meta.NewID(), Put: []meta.Version{v}, Entry: meta.EntryOf(key, &v), Guard: []meta.QueueEntry{e}})
		}, func() {
			if err := s.Claim(ctx, e); err != nil {
				t.Error(err)
			}
			atClaim = read(t, s, b.ID, key)
		})
		if seen := len(atClaim.Versions) > 0; seen != (committed == nil) {
			t.Fatalf("after the claim the change was seen: %v; it ended with %v", seen, committed)
		}
	}
}

func TestClaimDoesNotBringBackWhatIsDropped(t *testing.T) {
	ctx := context.Background()
	s := openRacy(t)
	for range 200 {
		e := meta.QueueEntry{Due: s.(*Store).opts.Now(), Entry: meta.NewID(), Kind: meta.QueueFresh}
		if err := s.Enqueue(ctx, e); err != nil {
			t.Fatal(err)
		}
		together(func() {
			if err := s.Claim(ctx, e); err != nil && !errors.Is(err, meta.ErrNotFound) {
				t.Error(err)
			}
		}, func() {
			if err := s.Drop(ctx, e); err != nil {
				t.Error(err)
			}
		})
		due, err := s.Due(ctx, e.Due, 10)
		if err != nil || len(due) > 0 {
			t.Fatalf("after its drop: %+v, %v", due, err)
		}
	}
}

// Close waits for the calls under way; those that come too late are refused.
func TestCloseUnderCalls(t *testing.T) {
	s := openMem(t, vfs.NewMem(), Options{})
	b := newBucket(t, s)
	started := make(chan struct{}, 4)
	work := func() {
		for i := int64(1); ; i++ {
			err := put(s, b.ID, meta.NewID().String(), 0, i, nil, "x")
			if i == 1 {
				started <- struct{}{}
			}
			if errors.Is(err, meta.ErrUnavailable) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}
	together(work, work, func() {
		<-started
		<-started
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
