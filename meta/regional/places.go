package regional

import (
	"sync"

	"github.com/pithos/pithos/meta"
)

// places remembers which store has a bucket or an upload, which never
// changes. What was not asked for during two generations is forgotten.
type places struct {
	mu          sync.Mutex
	recent, old map[meta.ID]meta.Store
}

// generation is how many places are remembered before older ones are
// forgotten: far more than a collector's pass is about.
const generation = 100_000

func (p *places) get(id meta.ID) (meta.Store, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if store, ok := p.recent[id]; ok {
		return store, true
	}
	store, ok := p.old[id]
	if ok {
		p.set(id, store)
	}
	return store, ok
}

// put remembers a place, unless another is known.
func (p *places) put(id meta.ID, store meta.Store) {
	if _, known := p.get(id); known {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(id, store)
}

func (p *places) set(id meta.ID, store meta.Store) {
	if p.recent == nil || len(p.recent) >= generation {
		p.recent, p.old = map[meta.ID]meta.Store{}, p.recent
	}
	p.recent[id] = store
}
