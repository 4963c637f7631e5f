package cassandra

import "sync/atomic"

// Counts is what a store has done beside answering, since it was opened.
type Counts struct {
	// Splits are the shards that were replaced by two, Repairs the pending
	// rows that were settled because nobody else did.
	Splits, Repairs int64
	// Behind is how many rows of listings are being written, or wait to be,
	// behind the answers.
	Behind int64
}

// counters are the parts of Counts that grow.
type counters struct{ splits, repairs atomic.Int64 }

// Counts tells what the store has done.
func (s *Store) Counts() Counts {
	return Counts{Splits: s.counts.splits.Load(), Repairs: s.counts.repairs.Load(), Behind: int64(s.behind.tally.count())}
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}
