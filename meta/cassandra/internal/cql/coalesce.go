package cql

import (
	"context"
	"sync"
)

// concurrentCalls is how many calls with one key a coalescer runs at the same
// time. With one, a caller would wait half a call longer on average; with many,
// little would be coalesced.
const concurrentCalls = 2

// Coalescer makes one call for several callers that ask with the same key at the
// same time. Each caller gets the guarantee of a call of its own: the call that
// answers it begins after it asked. So a caller sees what was written before it
// asked.
//
// A caller that arrives while concurrentCalls are running waits for the next
// call, together with others that arrive. A caller alone waits for nothing.
type Coalescer[N comparable, Q, A any] struct {
	call func(ctx context.Context, name N, asked []Q) (A, error)

	mu      sync.Mutex
	flights map[N]*flight[Q, A]
}

// flight is the state of one key.
type flight[Q, A any] struct {
	running int
	next    *waiters[Q, A]
}

// waiters are the callers that share the next call.
type waiters[Q, A any] struct {
	ctx      context.Context // of the first caller, without its cancellation
	requests []Q
	done     chan struct{}
	answer   A
	err      error
}

func NewCoalescer[N comparable, Q, A any](do func(ctx context.Context, name N, asked []Q) (A, error)) *Coalescer[N, Q, A] {
	return &Coalescer[N, Q, A]{call: do, flights: map[N]*flight[Q, A]{}}
}

// Do has q answered by a call, and returns its answer.
func (g *Coalescer[N, Q, A]) Do(ctx context.Context, name N, q Q) (answer A, err error) {
	g.mu.Lock()
	l := g.flights[name]
	if l == nil {
		l = &flight[Q, A]{}
		g.flights[name] = l
	}
	if l.running < concurrentCalls {
		l.running++
		g.mu.Unlock()
		defer g.finished(name, l)
		return g.call(ctx, name, []Q{q})
	}
	p := l.next
	if p == nil {
		p = &waiters[Q, A]{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
		l.next = p
	}
	p.requests = append(p.requests, q)
	g.mu.Unlock()
	select {
	case <-p.done:
		return p.answer, p.err
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
}

// finished starts the call for the callers that wait.
func (g *Coalescer[N, Q, A]) finished(name N, l *flight[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := l.next
	if p == nil {
		if l.running--; l.running == 0 {
			delete(g.flights, name)
		}
		return
	}
	l.next = nil
	go func() {
		defer g.finished(name, l)
		defer close(p.done)
		p.answer, p.err = g.call(p.ctx, name, p.requests)
	}()
}
