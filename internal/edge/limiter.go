package edge

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// minLimit is the least that a limiter lets through, even if all requests fail:
// some request has to find out that the engine works again.
const minLimit = 8

// limiter bounds how many requests run at the same time. As many as that may
// wait for a slot; requests beyond that are refused.
//
// The limit follows the health of the engine, as the window of TCP follows the
// network: each request that found the engine unavailable lowers it by a
// fiftieth, each that was served raises it a little.
type limiter struct {
	*pool
	max int

	mu    sync.Mutex
	limit float64
}

func newLimiter(limit int) *limiter {
	return &limiter{pool: newPool(int64(limit), int64(limit)), max: limit, limit: float64(limit)}
}

// outcome is what a request says of the engine.
type outcome int

const (
	engineServed outcome = iota
	engineUnavailable
	engineUnknown // the gateway answered
)

// acquire waits for a slot until ctx ends, and reports whether it got one.
func (l *limiter) acquire(ctx context.Context, c callers) bool { return l.take(ctx, 1, 0, c) }

// release returns a slot.
func (l *limiter) release(o outcome, c callers) {
	l.give(1, c)
	l.mu.Lock()
	defer l.mu.Unlock()
	before := int64(l.limit)
	switch o {
	case engineUnavailable:
		l.limit = max(l.limit*0.98, min(minLimit, float64(l.max)))
	case engineServed:
		l.limit = min(l.limit+math.Sqrt(l.limit)/8, float64(l.max))
	}
	if now := int64(l.limit); now != before {
		l.resize(now)
	}
}

// mean is a moving mean, safe for concurrent use.
type mean struct{ bits atomic.Uint64 }

func (m *mean) set(v int64) { m.bits.Store(math.Float64bits(float64(v))) }
func (m *mean) get() int64  { return int64(math.Float64frombits(m.bits.Load())) }

// add counts v as a sixteenth of the mean. Of two concurrent values one may be
// lost.
func (m *mean) add(v int64) {
	was := math.Float64frombits(m.bits.Load())
	m.bits.Store(math.Float64bits(was + (float64(v)-was)/16))
}
