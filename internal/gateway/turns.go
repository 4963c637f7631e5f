package gateway

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// leastTurns are let through even where all fail: somebody has to find out
// that the engine is back.
const leastTurns = 8

// turns lets a number of requests through at a time. As many as that wait in
// line; those that come then are turned away.
//
// The number follows the engine's health, as TCP follows a network's: each
// request that found the engine unavailable takes a fiftieth off, each that
// was served brings some back.
type turns struct {
	most int

	mu      sync.Mutex
	limit   float64
	running int
	line    []chan struct{} // closed when it is one's turn
}

func newTurns(most int) *turns { return &turns{most: most, limit: float64(most)} }

// take waits for a turn until ctx ends, and reports whether there was one.
func (t *turns) take(ctx context.Context) bool {
	t.mu.Lock()
	if t.running < int(t.limit) && len(t.line) == 0 {
		t.running++
		t.mu.Unlock()
		return true
	}
	if len(t.line) >= t.most || ctx.Err() != nil {
		t.mu.Unlock()
		return false
	}
	mine := make(chan struct{})
	t.line = append(t.line, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
		return !t.giveUp(mine)
	}
}

// giveUp leaves the line, and reports whether one's turn had not come yet.
func (t *turns) giveUp(mine chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, c := range t.line {
		if c == mine {
			t.line = append(t.line[:i], t.line[i+1:]...)
			return true
		}
	}
	return false
}

// leave ends a turn.
func (t *turns) leave(unavailable bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	if unavailable {
		t.limit = max(t.limit*0.98, min(leastTurns, float64(t.most)))
	} else {
		t.limit = min(t.limit+math.Sqrt(t.limit)/8, float64(t.most))
	}
	for t.running < int(t.limit) && len(t.line) > 0 {
		close(t.line[0])
		t.line = t.line[1:]
		t.running++
	}
}

// mean is a moving mean, safe for concurrent use.
type mean struct{ bits atomic.Uint64 }

func (m *mean) set(v int64) { m.bits.Store(math.Float64bits(float64(v))) }
func (m *mean) get() int64  { return int64(math.Float64frombits(m.bits.Load())) }

// add counts v as a sixteenth of the mean. Of two at once one may be lost.
func (m *mean) add(v int64) {
	was := math.Float64frombits(m.bits.Load())
	m.bits.Store(math.Float64bits(was + (float64(v)-was)/16))
}
