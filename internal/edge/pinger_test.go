package edge

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOnePingAnswersAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPinger()
		var pings atomic.Int64
		broken := errors.New("broken")
		ask := func(want error) {
			t.Helper()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					err := p.do(t.Context(), func(context.Context) error {
						pings.Add(1)
						time.Sleep(time.Second / 2)
						return want
					})
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				})
			}
			all.Wait()
		}
		ask(broken)
		ask(broken) // still known
		if n := pings.Load(); n != 1 {
			t.Errorf("%d pings, want 1", n)
		}
		time.Sleep(pingLasts + 1)
		ask(nil)
		if n := pings.Load(); n != 2 {
			t.Errorf("%d pings, want 2", n)
		}
	})
}

// A caller that leaves does not end the ping of the others, and one that waits
// for an engine that hangs is answered in time.
func TestPingsOfThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPinger()
		hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		left, leave := context.WithCancel(t.Context())
		go func() { _ = p.do(left, hangs) }() // its answer is not wanted any more
		synctest.Wait()
		leave()
		start := time.Now()
		if err := p.do(t.Context(), hangs); err == nil || time.Since(start) > pingTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(2 * pingTimeout)
	})
}
