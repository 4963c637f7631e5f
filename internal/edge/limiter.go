package edge

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// leastTurns are let through even where all fail: some request has to find out
// that the engine is back.
const leastTurns = 8

// turns lets a number of requests through at a time. As many as that wait in
// line; those that come then are turned away.
//
// The number follows the engine's health, as TCP follows a network's: each
// request that found the engine unavailable takes a fiftieth off, each that
// was served brings some back.
type turns struct {
	*pool
	most int

	mu    sync.Mutex
	limit float64
}

func newTurns(most int) *turns {
	return &turns{pool: newPool(int64(most), int64(most)), most: most, limit: float64(most)}
}

// outcome is what a turn says of the engine.
type outcome int

const (
	engineServed outcome = iota
	engineUnavailable
	engineUnknown // the gateway answered
)

// leave ends a turn.
func (t *turns) leave(o outcome, c callers) {
	t.give(1, c)
	t.mu.Lock()
	defer t.mu.Unlock()
	before := int64(t.limit)
	switch o {
	case engineUnavailable:
		t.limit = max(t.limit*0.98, min(leastTurns, float64(t.most)))
	case engineServed:
		t.limit = min(t.limit+math.Sqrt(t.limit)/8, float64(t.most))
	}
	if now := int64(t.limit); now != before {
		t.resize(now)
	}
}

// take waits for a turn until ctx ends, and reports whether there was one.
func (t *turns) take(ctx context.Context, c callers) bool { return t.pool.take(ctx, 1, 0, c) }

// mean is a moving mean, safe for concurrent use.
type mean struct{ bits atomic.Uint64 }

func (m *mean) set(v int64) { m.bits.Store(math.Float64bits(float64(v))) }
func (m *mean) get() int64  { return int64(math.Float64frombits(m.bits.Load())) }

// add counts v as a sixteenth of the mean. Of two at once one may be lost.
func (m *mean) add(v int64) {
	was := math.Float64frombits(m.bits.Load())
	m.bits.Store(math.Float64bits(was + (float64(v)-was)/16))
}
