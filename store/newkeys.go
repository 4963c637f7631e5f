package store

import (
	"sync"

	"github.com/pithos/pithos/meta"
)

// newKeys remembers of each bucket how many writes in a row came upon a key
// that had never been. A bucket that mostly takes new keys (backups, logs,
// what is named by its content) is spared reading their heads: a write takes
// the key for new, and the commit, which checks that, says if it was not.
type newKeys struct {
	mu  sync.Mutex
	row map[meta.BucketID]int
}

const (
	// minStreak is how many it takes to guess. A wrong guess costs a refused
	// commit, some three times what a read costs, and the count begins anew.
	minStreak = 32
	// maxStreaks bounds the buckets that are remembered.
	maxStreaks = 10_000
)

// observe counts a key of a bucket that was new, or was not.
func (n *newKeys) observe(bucket meta.BucketID, isNew bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !isNew {
		delete(n.row, bucket)
		return
	}
	if n.row == nil || len(n.row) >= maxStreaks {
		n.row = map[meta.BucketID]int{}
	}
	n.row[bucket]++
}

// predictNew tells whether the next key of a bucket is to be taken for new.
func (n *newKeys) predictNew(bucket meta.BucketID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.row[bucket] >= minStreak
}
