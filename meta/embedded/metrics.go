package embedded

import "github.com/cockroachdb/pebble/v2"

// Metrics returns the metrics of the database. The store must be open.
func (s *Store) Metrics() *pebble.Metrics { return s.db.Metrics() }
