package cql

import (
	"context"
	"sync"
	"time"
)

// Inflight counts work that is queued or running, and waits until there is none.
type Inflight struct {
	mu   sync.Mutex
	n    int
	idle chan struct{}
}

func (t *Inflight) Add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += n
	if t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

func (t *Inflight) Wait(ctx context.Context) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Go runs f asynchronously, for at most timeout.
func (t *Inflight) Go(timeout time.Duration, f func(context.Context)) {
	t.Add(1)
	go func() {
		defer t.Add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		f(ctx)
	}()
}

// Count returns how much work there is.
func (t *Inflight) Count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}
