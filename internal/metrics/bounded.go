package metrics

import "sync"

// Other is the label value of all names beyond the bound.
const Other = "other"

// bounded maps names to a label's values: the first names are their own values, all
// later ones are Other. So a client that invents names uses no memory, neither
// here nor in Prometheus.
type bounded struct {
	most int

	mu    sync.RWMutex
	known map[string]bool
}

func newBounded(most int) *bounded { return &bounded{most: most, known: map[string]bool{}} }

// value is the label value for a name. The empty name stays empty.
func (b *bounded) value(name string) string {
	switch {
	case name == "":
		return ""
	case b.most == 0:
		return Other
	}
	b.mu.RLock()
	known, full := b.known[name], len(b.known) >= b.most
	b.mu.RUnlock()
	switch {
	case known:
		return name
	case full:
		return Other
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) < b.most {
		b.known[name] = true
	}
	if b.known[name] {
		return name
	}
	return Other
}
