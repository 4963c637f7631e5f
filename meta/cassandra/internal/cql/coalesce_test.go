package cql

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCoalescedCallBeginsAfterItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var statements, asked atomic.Int32
		g := NewCoalescer(func(_ context.Context, _ string, q []time.Time) (time.Time, error) {
			statements.Add(1)
			asked.Add(int32(len(q)))
			began := time.Now()
			time.Sleep(10 * time.Millisecond)
			return began, nil
		})
		var group sync.WaitGroup
		const callers = 300
		for range callers {
			time.Sleep(time.Millisecond / 3)
			group.Go(func() {
				now := time.Now()
				began, err := g.Do(t.Context(), "x", now)
				if err != nil || began.Before(now) {
					t.Errorf("asked at %v, answered by what began at %v, %v", now, began, err)
				}
				if took := time.Since(now); took > 20*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		}
		group.Wait()
		if asked.Load() != callers || statements.Load() > 50 {
			t.Errorf("%d statements for %d callers of %d", statements.Load(), asked.Load(), callers)
		}
		synctest.Wait()
		if len(g.flights) != 0 {
			t.Errorf("%d flights are left", len(g.flights))
		}
	})
}

func TestCoalescedCallSurvivesACancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("failed")
		g := NewCoalescer(func(ctx context.Context, name string, q []int) (int, error) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			if slices.Contains(q, -1) {
				return 0, failed
			}
			return len(q), nil
		})
		for range concurrentCalls {
			go g.Do(t.Context(), "x", 0) // keep the flight busy
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := g.Do(ctx, "x", 1); !errors.Is(err, context.Canceled) {
				t.Errorf("the cancelled caller got %v", err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			if n, err := g.Do(t.Context(), "x", 2); n != 2 || err != nil {
				t.Errorf("the other caller got %d, %v", n, err)
			}
		})
		group.Go(func() {
			if _, err := g.Do(t.Context(), "y", -1); !errors.Is(err, failed) {
				t.Errorf("another key got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		group.Wait()
	})
}
