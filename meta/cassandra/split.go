package cassandra

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

const (
	sealShard = `UPDATE @.listing SET split_key = ?, left_id = ?, right_id = ?, copied = false WHERE bucket_id = ? AND shard_id = ? IF split_key = null`
	markShard = `UPDATE @.listing SET copied = true WHERE bucket_id = ? AND shard_id = ? IF left_id = ?`
	dropRows  = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind >= 0`
)

// errOutside refuses to split a shard at a key that it cannot be split at:
// its own bounds, where it may just have been split, or beyond them.
var errOutside = errors.New("key is not inside the shard")

// split replaces the shard that covers key by two, which meet at the key at.
// It is safe at any time, by several at once, and when it dies at any step:
// the next split of that shard completes it first. A shard is never split
// before it was copied whole from its parent: what came late would come into
// a sealed shard, and never further down.
func (s *Store) split(ctx context.Context, bucket meta.BucketID, key, at string) error {
	r, seal, err := s.leaf(ctx, bucket, key)
	if err != nil {
		return wrap(err, "split shard")
	}
	if at <= r.low || r.high != "" && at >= r.high {
		return fmt.Errorf("split shard at %q: %w", at, errOutside)
	}
	if seal.sealed {
		return wrap(s.copyShard(ctx, bucket, r.shard, seal), "finish split of shard")
	}
	seal, err = s.seal(ctx, bucket, r.shard, at)
	if err != nil {
		return wrap(err, "seal shard")
	}
	return wrap(s.copyShard(ctx, bucket, r.shard, seal), "split shard")
}

// leaf goes from the root down to the shard that has key's rows whole: one
// that is not copied away, and whose parent was.
func (s *Store) leaf(ctx context.Context, bucket meta.BucketID, key string) (region, seal, error) {
	r := region{shard: rootShard}
	for {
		seal, err := s.readSealAlone(ctx, bucket, r.shard)
		if err != nil || !seal.copied {
			return r, seal, err
		}
		s.shards.learn(bucket, r.shard, seal)
		r = seal.descend(r, key)
	}
}

// seal decides that a shard is replaced, and by which: one decision, whoever
// else tries. It returns what was decided.
func (s *Store) seal(ctx context.Context, bucket meta.BucketID, shard meta.ID, at string) (seal, error) {
	left, right := meta.NewID(), meta.NewID()
	change := entry(sealShard, at, left[:], right[:], bucket[:], shard[:])
	for try := range tries {
		_, casErr := s.cas(ctx, change)
		var c sealColumns
		if _, err := s.one(ctx, s.serial(), c.dest(), sealAlone, bucket[:], shard[:]); err != nil {
			return seal{}, err
		}
		if now := c.seal(); now.sealed {
			s.shards.learn(bucket, shard, now)
			return now, nil
		}
		if errors.Is(casErr, errUnsent) {
			return seal{}, casErr
		}
		if err := pause(ctx, try); err != nil {
			return seal{}, err
		}
	}
	return seal{}, meta.ErrUnavailable
}

// copyShard copies a sealed shard's rows into its children, with their own
// timestamps, marks it copied and drops the rows. It may be repeated and done
// by several at once; it stops at the first page that says copied: by then
// the children's rows may have been deleted, and splits may have moved them.
func (s *Store) copyShard(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal) error {
	for _, kind := range []int8{visible, history} {
		for low, end := "", false; !end; {
			rows, now, err := s.readRows(ctx, bucket, shard, kind, low, "", s.copyPage)
			if err != nil {
				return err
			}
			if now.copied {
				return s.dropShard(ctx, bucket, shard, now)
			}
			if err := s.copyRows(ctx, bucket, seal, rows); err != nil {
				return err
			}
			if end = len(rows) < s.copyPage; !end {
				low = rows[len(rows)-1].key + "\x00"
			}
		}
	}
	if _, err := s.cas(ctx, entry(markShard, bucket[:], shard[:], seal.left[:])); err != nil {
		return err // unknown: whoever finishes it copies and marks it again
	}
	seal.copied = true
	s.counts.splits.Add(1)
	return s.dropShard(ctx, bucket, shard, seal)
}

// copyRows writes rows into the children.
func (s *Store) copyRows(ctx context.Context, bucket meta.BucketID, seal seal, rows []readRow) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(behindWrite)
	for _, r := range rows {
		if r.state == stateDeleted {
			continue // half a row: a later part was written over a deletion
		}
		g.Go(func() error {
			return s.putRows(gctx, bucket, seal.child(r.key), []listingRow{r.listingRow})
		})
	}
	return g.Wait()
}

// dropShard deletes a copied shard's rows, also those that arrive late, and
// leaves the signpost.
func (s *Store) dropShard(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal) error {
	s.shards.learn(bucket, shard, seal)
	return s.write(ctx, dropRows, int64(endOfTime), bucket[:], shard[:])
}
