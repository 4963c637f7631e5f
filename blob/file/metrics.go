package file

import "github.com/cockroachdb/pebble/v2"

// Metrics returns the metrics of the database of small blobs. The store must be
// open.
func (s *Store) Metrics() *pebble.Metrics { return s.small.Metrics() }
