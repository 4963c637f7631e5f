package listing

import "sync/atomic"

// Counts is the work that a store has done asynchronously since it was opened.
type Counts struct {
	// Splits is the number of shards that were replaced. Repairs is the number
	// of pending rows that were repaired because their change had not done it.
	Splits, Repairs int64
	// Behind is how many listing rows wait to be written asynchronously, or are
	// being written.
	Behind int64
}

// counters are the parts of Counts that only grow.
type counters struct{ splits, repairs atomic.Int64 }

// Counts returns how much asynchronous work the store has done.
func (s *Index) Counts() Counts {
	return Counts{Splits: s.counts.splits.Load(), Repairs: s.counts.repairs.Load(), Behind: int64(s.writer.inflight.Count())}
}
