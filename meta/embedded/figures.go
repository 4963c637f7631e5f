package embedded

import "github.com/cockroachdb/pebble/v2"

// Figures tells how the database stands. The store must be open.
func (s *Store) Figures() *pebble.Metrics { return s.db.Metrics() }
