package cassandra

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// finals returns the rows that are written into a shard behind the answer,
// where rows says what the changes came to.
//
// A visible row is deleted only once all shards before its own are copied.
// Until then a reader merges the parent, which may show the row still, and
// would take that for the truth if there were no trace in the child of what
// came since. So there a row says that the key is gone. It goes when the
// shard is rewritten: what was deleted under an uncopied parent has no other
// trace anywhere by then.
func (s *Store) finals(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) ([]listingRow, error) {
	uncopied := map[meta.ID]bool{}
	final := make([]listingRow, 0, len(rows))
	for _, r := range rows {
		if r.kind == visible && r.state == stateDeleted {
			settled, err := s.settledIn(ctx, bucket, shard, r.key, uncopied)
			if err != nil {
				return nil, err
			}
			if !settled && !s.breaks(ruleDeletionLeavesRow) {
				r.state = stateGone
			}
		}
		final = append(final, r)
	}
	return final, nil
}

// follow writes deletions that were written into a shard once more, into the
// shards that have the keys by now, as far as is known: if the shard was being
// replaced, its pending row has been copied there, and would stay until somebody
// repairs it. A deletion may come late and go anywhere: it ends what is older
// than itself, nothing else. (A live row may not: there may have been a later
// deletion whose trace is in the old shard alone.)
func (s *Store) follow(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) error {
	into := map[meta.ID][]listingRow{}
	for _, r := range rows {
		if r.kind != visible || r.state == stateLive && !s.breaks(ruleLiveRowsStay) {
			continue
		}
		if now := s.shards.locate(bucket, r.key); partitionOf(now) != partitionOf(shard) {
			if r.state == stateGone {
				r.state = stateDeleted
			}
			into[now] = append(into[now], r)
		}
	}
	for now, rows := range into {
		final, err := s.finals(ctx, bucket, now, rows)
		if err != nil {
			return err
		}
		if err := s.putRows(ctx, bucket, now, final); err != nil {
			return err
		}
	}
	return nil
}

// settledIn tells whether all shards before shard, on the way to key, are
// known to be copied, as far as key is concerned. It gathers those that are
// not.
func (s *Store) settledIn(ctx context.Context, bucket meta.BucketID, shard meta.ID, key string, uncopied map[meta.ID]bool) (bool, error) {
	for at := s.shards.first(bucket, key).shard; at != shard; {
		if uncopied[at] {
			return false, nil
		}
		seal, err := s.readSeal(ctx, bucket, at)
		switch {
		case err != nil:
			return false, err
		case !seal.sealed:
			return true, nil // shard is not below it, so before it, and copied
		case seal.copied:
			s.shards.learn(bucket, key, at, seal)
			at = s.shards.first(bucket, key).shard
		case seal.cuts(at) && seal.child(key) == seal.right:
			at = seal.right // whose rows need not be copied
		default:
			uncopied[at] = true
			return false, nil
		}
	}
	return true, nil
}
