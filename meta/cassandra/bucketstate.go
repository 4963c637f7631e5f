package cassandra

import (
	"context"
	"sync"

	"github.com/pithos/pithos/meta"
)

// names remembers the name of each life of a bucket, which never changes.
type names struct {
	mu sync.RWMutex
	of map[meta.BucketID]string
}

const maxNames = 100_000

func (n *names) learn(id meta.BucketID, name string) {
	if _, known := n.get(id); known {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of == nil || len(n.of) >= maxNames {
		n.of = map[meta.BucketID]string{}
	}
	n.of[id] = name
}

func (n *names) get(id meta.BucketID) (string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	name, ok := n.of[id]
	return name, ok
}

// checkBucket tells, uncached, whether the bucket takes writes. The row that
// decides is the one that creating, updating and removing change by Paxos.
func (s *Store) checkBucket(ctx context.Context, id meta.BucketID) error {
	name, known := s.names.get(id)
	if !known {
		found, err := s.one(ctx, s.o.Consistency, []any{&name}, selectBucketName, id[:])
		if err != nil {
			return err
		}
		if !found {
			return meta.ErrBucketGone
		}
		s.names.learn(id, name)
	}
	var now []byte
	var state string
	found, err := s.one(ctx, s.o.Consistency, []any{&now, &state}, `SELECT id, state FROM @.bucket WHERE name = ?`, name)
	switch {
	case err != nil:
		return err
	case !found || idOf(now) != id:
		return meta.ErrBucketGone
	case meta.BucketState(state) != meta.BucketActive:
		return meta.ErrBucketDeleting
	}
	return nil
}
