package cassandra

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// bucketNames caches the name of each life of a bucket, which never changes.
type bucketNames struct {
	mu   sync.RWMutex
	byID map[meta.BucketID]string
}

const maxNames = 100_000

func (n *bucketNames) learn(id meta.BucketID, name string) {
	if _, known := n.get(id); known {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byID == nil || len(n.byID) >= maxNames {
		n.byID = map[meta.BucketID]string{}
	}
	n.byID[id] = name
}

func (n *bucketNames) get(id meta.BucketID) (string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	name, ok := n.byID[id]
	return name, ok
}

// checkBucket reads, uncached, whether the bucket accepts writes. Creating, updating and
// removing a bucket change the same row by Paxos.
//
// That row may be in another keyspace, or another cluster, than the listing. A change
// waits until its pending row is acknowledged and then sends this read. The deletion of
// a bucket waits until the new state is acknowledged and then reads the rows. If this
// read misses the state, it was sent before the state was acknowledged; so the pending
// row was acknowledged before the rows were read. This takes two guarantees, each in one
// keyspace only: a read that begins after a write was acknowledged sees it. Both hold
// because of overlapping quorums: Paxos commits a bucket's row, and this function reads
// it, at the consistency of the buckets; listing rows are written and read at that of
// the listing. If the outcome of a Paxos round is unknown, the caller finds it out by a
// serial read before it continues.
func (s *Store) checkBucket(ctx context.Context, id meta.BucketID) error {
	name, err := s.bucketName(ctx, id)
	if err != nil {
		return err
	}
	var now []byte
	var state string
	found, err := s.buckets.QueryRow(ctx, s.buckets.Consistency, []any{&now, &state}, `SELECT id, state FROM @.bucket WHERE name = ?`, name)
	switch {
	case err != nil:
		return err
	case !found || cql.ID(now) != id:
		return meta.ErrBucketGone
	case meta.BucketState(state) != meta.BucketActive:
		return meta.ErrBucketDeleting
	}
	return nil
}

// bucketName returns the name of a life of a bucket; ErrBucketGone if none is known.
func (s *Store) bucketName(ctx context.Context, id meta.BucketID) (string, error) {
	name, known := s.names.get(id)
	if known {
		return name, nil
	}
	found, err := s.buckets.QueryRow(ctx, s.buckets.Consistency, []any{&name}, selectBucketName, id[:])
	if err != nil {
		return "", err
	}
	if !found {
		return "", meta.ErrBucketGone
	}
	s.names.learn(id, name)
	return name, nil
}

// BucketByID returns the bucket with that id; [meta.ErrNotFound] if that life has ended,
// or never began.
func (s *Store) BucketByID(ctx context.Context, id meta.BucketID) (meta.Bucket, error) {
	name, err := s.bucketName(ctx, id)
	var b meta.Bucket
	found := false
	if err == nil {
		b, found, err = s.readBucket(ctx, s.buckets.Consistency, name)
	}
	if errors.Is(err, meta.ErrBucketGone) || err == nil && (!found || b.ID != id) {
		return meta.Bucket{}, fmt.Errorf("bucket %s: %w", id, meta.ErrNotFound)
	}
	return b, cql.Wrap(err, "bucket %s", id)
}
