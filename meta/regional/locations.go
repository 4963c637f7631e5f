package regional

import (
	"sync"

	"github.com/pithos/pithos/meta"
)

// locations remembers which store has a bucket or an upload, which never
// changes. An id that was not asked for during two generations is forgotten.
type locations struct {
	mu          sync.Mutex
	recent, old map[meta.ID]meta.Store
}

// generation is the number of ids after which older ones are forgotten: far
// more than a pass of the collector reads.
const generation = 100_000

func (l *locations) get(id meta.ID) (meta.Store, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if store, ok := l.recent[id]; ok {
		return store, true
	}
	store, ok := l.old[id]
	if ok {
		l.set(id, store)
	}
	return store, ok
}

// put remembers the store of an id, unless one is known.
func (l *locations) put(id meta.ID, store meta.Store) {
	if _, known := l.get(id); known {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(id, store)
}

func (l *locations) set(id meta.ID, store meta.Store) {
	if l.recent == nil || len(l.recent) >= generation {
		l.recent, l.old = map[meta.ID]meta.Store{}, l.recent
	}
	l.recent[id] = store
}
