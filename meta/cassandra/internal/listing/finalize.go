package listing

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// finalRows returns the rows to write into a shard asynchronously, where rows are
// the results of the changes.
//
// A visible row is deleted only after all ancestors of its shard are copied. Until
// then a reader merges the parent's rows, which may still include the key, and
// would take them for current if the child had no trace of the deletion. So until
// then a row in state gone is written instead. It disappears when the shard is
// rewritten: a key deleted under an uncopied parent has no other trace by then.
func (s *Index) finalRows(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) ([]listingRow, error) {
	uncopied := map[meta.ID]bool{}
	final := make([]listingRow, 0, len(rows))
	for _, r := range rows {
		if r.kind == visible && r.state == stateDeleted {
			settled, err := s.ancestorsCopied(ctx, bucket, shard, r.key, uncopied)
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

// forwardDeletes writes deletions once more, into the shards that have the keys
// now, as far as is known. If their shard was being replaced, the pending rows have
// been copied and would stay until a listing repairs them. A deletion may be late
// and go into any shard: it only removes what is older than itself. A live row must
// not be forwarded: there may have been a later deletion whose trace is only in the
// old shard.
func (s *Index) forwardDeletes(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) error {
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
		final, err := s.finalRows(ctx, bucket, now, rows)
		if err != nil {
			return err
		}
		if err := s.putRows(ctx, bucket, now, final); err != nil {
			return err
		}
	}
	return nil
}

// ancestorsCopied reports whether all ancestors of shard, on the path to key, are
// known to be copied, as far as key is concerned. It adds the others to uncopied.
func (s *Index) ancestorsCopied(ctx context.Context, bucket meta.BucketID, shard meta.ID, key string, uncopied map[meta.ID]bool) (bool, error) {
	for at := s.shards.rangeOf(bucket, key).shard; at != shard; {
		if uncopied[at] {
			return false, nil
		}
		seal, err := s.readSeal(ctx, bucket, at)
		switch {
		case err != nil:
			return false, err
		case !seal.sealed:
			return true, nil // at is a leaf, so shard is one of its ancestors and copied
		case seal.copied:
			s.shards.update(bucket, key, at, seal)
			at = s.shards.rangeOf(bucket, key).shard
		case seal.inPlace(at) && seal.child(key) == seal.right:
			at = seal.right // the rows of this child stay in place
		default:
			uncopied[at] = true
			return false, nil
		}
	}
	return true, nil
}
