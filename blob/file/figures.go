package file

import "github.com/cockroachdb/pebble/v2"

// Figures tells how the database of the small blobs stands. The store must be
// open.
func (s *Store) Figures() *pebble.Metrics { return s.small.Metrics() }
