package cassandra

import (
	"context"
	"sync"
)

// gatherers is how many statements of one name a gather has under way. With
// one a caller would wait half a statement longer on average; with many,
// little would be gathered.
const gatherers = 2

// gather makes one statement of what several callers ask for at the same time
// under one name. What it promises is what each would have had alone: the
// statement that answers a caller begins after the caller asked. (So a caller
// that wants to see what was written before it asks, does.)
//
// Callers that come while enough statements are under way wait for the next
// one together. A caller alone pays nothing.
type gather[N comparable, Q, A any] struct {
	do func(ctx context.Context, name N, asked []Q) (A, error)

	mu    sync.Mutex
	lanes map[N]*lane[Q, A]
}

// lane is what goes on under one name.
type lane[Q, A any] struct {
	running int
	next    *party[Q, A]
}

// party are callers that wait for one statement.
type party[Q, A any] struct {
	ctx    context.Context // of the first, but for its end
	asked  []Q
	done   chan struct{}
	answer A
	err    error
}

func newGather[N comparable, Q, A any](do func(ctx context.Context, name N, asked []Q) (A, error)) *gather[N, Q, A] {
	return &gather[N, Q, A]{do: do, lanes: map[N]*lane[Q, A]{}}
}

// ask has a statement made for q, and returns its answer.
func (g *gather[N, Q, A]) ask(ctx context.Context, name N, q Q) (answer A, err error) {
	g.mu.Lock()
	l := g.lanes[name]
	if l == nil {
		l = &lane[Q, A]{}
		g.lanes[name] = l
	}
	if l.running < gatherers {
		l.running++
		g.mu.Unlock()
		defer g.ended(name, l)
		return g.do(ctx, name, []Q{q})
	}
	p := l.next
	if p == nil {
		p = &party[Q, A]{ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
		l.next = p
	}
	p.asked = append(p.asked, q)
	g.mu.Unlock()
	select {
	case <-p.done:
		return p.answer, p.err
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
}

// ended lets those that wait have their turn.
func (g *gather[N, Q, A]) ended(name N, l *lane[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := l.next
	if p == nil {
		if l.running--; l.running == 0 {
			delete(g.lanes, name)
		}
		return
	}
	l.next = nil
	go func() {
		defer g.ended(name, l)
		defer close(p.done)
		p.answer, p.err = g.do(p.ctx, name, p.asked)
	}()
}
