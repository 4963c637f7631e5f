package embedded

import (
	"bytes"
	"context"
	"hash/maphash"
	"slices"
	"sync"
)

const stripeCount = 2048

var seed = maphash.MakeSeed()

// stripes are locks by name. Two names may share a lock: to lock several names of
// one set, use rlockAll or lockAll.
type stripes [stripeCount]sync.RWMutex

func stripeOf(name []byte) int {
	return int(maphash.Bytes(seed, name) % stripeCount)
}

func (s *stripes) lock(name []byte) (unlock func()) {
	m := &s[stripeOf(name)]
	m.Lock()
	return m.Unlock
}

func (s *stripes) rlock(name []byte) (unlock func()) {
	m := &s[stripeOf(name)]
	m.RLock()
	return m.RUnlock
}

// indexes returns the stripes of the names in the order of locking.
func indexes(names [][]byte) []int {
	idx := make([]int, len(names))
	for i, name := range names {
		idx[i] = stripeOf(name)
	}
	slices.Sort(idx)
	return slices.Compact(idx)
}

func (s *stripes) lockAll(names [][]byte) (unlock func()) {
	idx := indexes(names)
	for _, i := range idx {
		s[i].Lock()
	}
	return func() {
		for _, i := range idx {
			s[i].Unlock()
		}
	}
}

func (s *stripes) rlockAll(names [][]byte) (unlock func()) {
	idx := indexes(names)
	for _, i := range idx {
		s[i].RLock()
	}
	return func() {
		for _, i := range idx {
			s[i].RUnlock()
		}
	}
}

// flights are the changes that are applied and not yet synced. Pebble shows a
// change to iterators a moment before it is synced; an iteration that may have
// seen one waits for it before it returns, so that no result is undone by a crash.
// (Reads of single rows share a lock with their changes instead.)
type flights struct {
	mu  sync.Mutex
	all map[*flight]struct{}
}

type flight struct {
	key    []byte
	landed chan struct{}
}

// start adds a change of the row key; the function it returns removes it.
func (f *flights) start(key []byte) (end func()) {
	fl := &flight{key: key, landed: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[*flight]struct{}{}
	}
	f.all[fl] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.all, fl)
		close(fl.landed)
	}
}

// wait waits for the changes from lo on and before hi, or to the end if hi is nil.
func (f *flights) wait(ctx context.Context, lo, hi []byte) error {
	for _, fl := range f.between(lo, hi) {
		select {
		case <-fl.landed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *flights) between(lo, hi []byte) []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []*flight
	for fl := range f.all {
		if bytes.Compare(fl.key, lo) >= 0 && (hi == nil || bytes.Compare(fl.key, hi) < 0) {
			found = append(found, fl)
		}
	}
	return found
}
