package store

import (
	"sync"

	"github.com/pithos/pithos/meta"
)

// newKeys predicts, by bucket, that the next key to be written is new. In a
// bucket that mostly takes new keys (backups, logs, names made of the content)
// writes then do not read the key's head: they assume that there is none, and
// the commit, which checks that anyway, refuses a wrong assumption.
type newKeys struct {
	mu      sync.Mutex
	streaks map[meta.BucketID]int // how many writes in a row were of new keys
}

const (
	// minStreak is the streak after which the next key is predicted to be new. A
	// wrong prediction costs a refused commit, about three times what reading the
	// head costs, and ends the streak.
	minStreak = 32
	// maxStreaks bounds the number of buckets that are remembered.
	maxStreaks = 10_000
)

// observe counts a write of a key that was new, or was not.
func (n *newKeys) observe(bucket meta.BucketID, isNew bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !isNew {
		delete(n.streaks, bucket)
		return
	}
	if n.streaks == nil || len(n.streaks) >= maxStreaks {
		n.streaks = map[meta.BucketID]int{}
	}
	n.streaks[bucket]++
}

// predictNew reports whether the next key of a bucket is assumed to be new.
func (n *newKeys) predictNew(bucket meta.BucketID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.streaks[bucket] >= minStreak
}
