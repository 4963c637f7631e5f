package cassandra

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// divide tells which final rows may be written into their shard now, and which
// have to wait; others are of no use any more.
//
// A deletion of a visible row waits until all shards before its own are
// copied: its pending row is the only trace that it leaves in that shard, and
// a reader that still merges the parent would take the parent's row for the
// truth. Until then readers look at the key's head, as at any pending row.
func (s *Store) divide(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) (may, wait []listingRow, err error) {
	uncopied := map[meta.ID]bool{}
	for _, r := range rows {
		ok := r.kind != visible || r.state != stateDeleted
		if !ok {
			if ok, err = s.settledIn(ctx, bucket, shard, r.key, uncopied); err != nil {
				return nil, nil, err
			}
		}
		if ok {
			may = append(may, r)
		} else {
			wait = append(wait, r)
		}
	}
	if len(wait) == 0 {
		return may, nil, nil
	}
	// Perhaps that shard is gone too, with the pending rows copied from it.
	own, err := s.readSeal(ctx, bucket, shard)
	if err != nil || own.copied {
		return may, nil, err
	}
	return may, wait, nil
}

// settledIn tells whether all shards before shard, on the way to key, are
// known to be copied. It gathers those that are not.
func (s *Store) settledIn(ctx context.Context, bucket meta.BucketID, shard meta.ID, key string, uncopied map[meta.ID]bool) (bool, error) {
	for {
		r := s.shards.first(bucket, key)
		if r.shard == shard || uncopied[r.shard] {
			return r.shard == shard, nil
		}
		seal, err := s.readSeal(ctx, bucket, r.shard)
		if err != nil {
			return false, err
		}
		if !seal.copied {
			uncopied[r.shard] = true
			return false, nil
		}
		s.shards.learn(bucket, key, r.shard, seal)
	}
}
