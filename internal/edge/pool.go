package edge

import (
	"context"
	"slices"
	"sync"
)

// shareRatio is how many times of what is free one caller may hold.
const shareRatio = 4

// pool is a number of requests or of bytes that running requests share.
//
// No caller can use it up: what a caller holds stays below shareRatio times
// what is free (dynamic thresholds, Choudhury and Hahne 1998). One caller alone
// gets 4/5 of the pool, two get 4/9 each, n get 4/(4n+1) each, and a caller that
// holds nothing yet gets from the rest. There is no fixed cap, so a single client
// may use most of an idle gateway.
//
// A request that does not get its part at once waits until its context ends. The
// number of waiting requests is shared in the same way.
type pool struct {
	maxWaiters int64

	mu   sync.Mutex
	size int64
	used int64
	held map[string]int64 // by caller
	// waiters are the requests that wait, waits their number by caller.
	waiters []*waiter
	waits   map[string]int64
}

// callers are the names that a request is accounted to: the address of its
// client, its tenant once it is known, and the network of its client, see
// [proxies.shareOf]. The empty name has no bound.
type callers [3]string

// waiter is a request for a part of the pool.
type waiter struct {
	need    int64 // of what is free
	count   int64 // to be added to what its callers hold
	own     int64 // of what they hold, the part of this request
	callers callers
	granted chan struct{} // closed when granted
}

func newPool(size, maxWaiters int64) *pool {
	return &pool{size: size, maxWaiters: maxWaiters, held: map[string]int64{}, waits: map[string]int64{}}
}

// take takes n more for a request of callers that holds own already, and
// reports whether it got it before ctx ended.
func (p *pool) take(ctx context.Context, n, own int64, c callers) bool {
	return p.request(ctx, &waiter{need: n, count: n, own: own, callers: c})
}

// adopt counts n, which a request holds already, for a further caller too.
func (p *pool) adopt(ctx context.Context, n int64, caller string) bool {
	return p.request(ctx, &waiter{count: n, callers: callers{caller}})
}

// count is adopt where what is held is too little to be refused.
func (p *pool) count(n int64, caller string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	account(p.held, n, callers{caller})
}

// give returns n of what callers hold.
func (p *pool) give(n int64, c callers) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used -= n
	account(p.held, -n, c)
	p.grantWaiters()
}

// resize changes the size. What is held beyond it is not taken back.
func (p *pool) resize(size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size = size
	p.grantWaiters()
}

func (p *pool) state() (size, used, waits int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size, p.used, int64(len(p.waiters))
}

func (p *pool) request(ctx context.Context, w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) == 0 && p.fits(w) {
		p.grant(w)
		return true
	}
	mayWait := ctx.Err() == nil && within(p.waits, p.maxWaiters-int64(len(p.waiters)), &waiter{need: 1, count: 1, callers: w.callers})
	w.granted = make(chan struct{})
	p.waiters = append(p.waiters, w)
	p.grantWaiters()
	if mayWait {
		account(p.waits, 1, w.callers)
		p.mu.Unlock()
		select {
		case <-w.granted:
		case <-ctx.Done():
		}
		p.mu.Lock()
		account(p.waits, -1, w.callers)
	}
	select {
	case <-w.granted:
		return true
	default:
	}
	p.waiters = slices.DeleteFunc(p.waiters, func(o *waiter) bool { return o == w })
	p.grantWaiters() // those that w delayed
	return false
}

// grantWaiters grants, in order, what fits. A caller that holds nothing yet is not
// overtaken while it waits; a caller over its share delays only itself.
func (p *pool) grantWaiters() {
	var over callers // its next request need not be checked
	full := false
	p.waiters = slices.DeleteFunc(p.waiters, func(w *waiter) bool {
		if full && w.need > 0 || over != (callers{}) && w.callers == over {
			return false
		}
		if p.fits(w) {
			p.grant(w)
			close(w.granted)
			return true
		}
		if within(p.held, w.need, w) {
			full = true
		} else {
			over = w.callers
		}
		return false
	})
}

func (p *pool) fits(w *waiter) bool {
	return within(p.held, p.size-p.used, w)
}

func (p *pool) grant(w *waiter) {
	p.used += w.need
	account(p.held, w.count, w.callers)
}

// within reports whether w fits into what is free, and into the share of each
// of its callers. The only request of a caller is always within its share.
func within(held map[string]int64, free int64, w *waiter) bool {
	if w.need > 0 && w.need > free {
		return false
	}
	for _, caller := range w.callers {
		if others := held[caller] - w.own; others > 0 && others+w.own+w.count > shareRatio*(free-w.need) {
			return false
		}
	}
	return true
}

// account adds n to what each caller has.
func account(held map[string]int64, n int64, c callers) {
	for _, caller := range c {
		if caller == "" {
			continue
		}
		if held[caller] += n; held[caller] == 0 {
			delete(held, caller)
		}
	}
}
