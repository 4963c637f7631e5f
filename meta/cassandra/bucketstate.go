package cassandra

import (
	"context"
	"errors"
	"fmt"
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
//
// Nothing depends on that row being in the keyspace, or even the cluster, of
// the listing. A change has its pending row acknowledged and then sends this
// read; whoever deletes the bucket has the state acknowledged and then reads
// the rows. If this read misses the state it was sent before the state was
// acknowledged, hence the pending row was acknowledged before the rows were
// read. That takes two promises, each of one place alone: a read that begins
// after a write was acknowledged sees it. Both keep it by quorums that
// overlap: Paxos commits a bucket's row, and this reads it, at the
// consistency of the buckets; rows are written and read at that of the
// listing. Where the outcome of a Paxos round is unknown, its author finds
// out by a serial read before going on.
func (s *Store) checkBucket(ctx context.Context, id meta.BucketID) error {
	name, err := s.bucketName(ctx, id)
	if err != nil {
		return err
	}
	var now []byte
	var state string
	found, err := s.buckets.one(ctx, s.buckets.consistency, []any{&now, &state}, `SELECT id, state FROM @.bucket WHERE name = ?`, name)
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

// bucketName returns the name of a life of a bucket; ErrBucketGone where none
// is known.
func (s *Store) bucketName(ctx context.Context, id meta.BucketID) (string, error) {
	name, known := s.names.get(id)
	if known {
		return name, nil
	}
	found, err := s.buckets.one(ctx, s.buckets.consistency, []any{&name}, selectBucketName, id[:])
	if err != nil {
		return "", err
	}
	if !found {
		return "", meta.ErrBucketGone
	}
	s.names.learn(id, name)
	return name, nil
}

// BucketByID returns the bucket of that life; [meta.ErrNotFound] where it has
// ended, or never began.
func (s *Store) BucketByID(ctx context.Context, id meta.BucketID) (meta.Bucket, error) {
	name, err := s.bucketName(ctx, id)
	var b meta.Bucket
	found := false
	if err == nil {
		b, found, err = s.readBucket(ctx, s.buckets.consistency, name)
	}
	if errors.Is(err, meta.ErrBucketGone) || err == nil && (!found || b.ID != id) {
		return meta.Bucket{}, fmt.Errorf("bucket %s: %w", id, meta.ErrNotFound)
	}
	return b, wrap(err, "bucket %s", id)
}
