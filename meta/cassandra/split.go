package cassandra

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

const (
	// The row at kind -1 comes with the seal, for readSeal.
	sealShard = `UPDATE @.listing SET split_key = ?, left_id = ?, right_id = ?, copied = false WHERE bucket_id = ? AND shard_id = ? IF split_key = null`
	sealRow   = `INSERT INTO @.listing (bucket_id, shard_id, kind, key) VALUES (?, ?, -1, '')`
	markShard = `UPDATE @.listing SET copied = true WHERE bucket_id = ? AND shard_id = ? IF left_id = ?`
	dropRows  = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind >= 0`

	// The shards that a shard replaces, if they are several: their ids.
	// The last of them may be cut, at that key, in place of replaced whole.
	putParents  = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, doc) VALUES (?, ?, -2, ?, ?)`
	readParents = `SELECT key, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -2 LIMIT 1`
)

// errOutside refuses to split a shard at a key that it cannot be split at:
// its own bounds, where it may just have been split, or beyond them.
var errOutside = errors.New("key is not inside the shard")

// errTaken says that somebody else decided first what becomes of a shard, and
// is at it.
var errTaken = errors.New("shard is being replaced by somebody else")

// split replaces the shard that covers key by two, which meet at the key at.
// It is safe at any time, by several at once, and when it dies at any step:
// whoever comes next completes it. A shard is never split before it was copied
// whole from its parents: what came late would come into a sealed shard, and
// never further down.
func (s *Store) split(ctx context.Context, bucket meta.BucketID, key, at string) error {
	r, seal, err := s.leaf(ctx, bucket, key)
	if err != nil {
		return wrap(err, "split shard")
	}
	if at <= r.low || r.high != "" && at >= r.high {
		return fmt.Errorf("split shard at %q: %w", at, errOutside)
	}
	if seal.sealed {
		return wrap(s.copyShard(ctx, bucket, r, seal), "finish split of shard")
	}
	want := sealTo(at, newShard(), newShard())
	seal, err = s.decide(ctx, bucket, r.shard, want)
	if err == nil && seal.left != want.left {
		err = errTaken
	}
	if err != nil {
		return wrap(err, "split shard")
	}
	return wrap(s.copyShard(ctx, bucket, r, seal), "split shard")
}

func sealTo(at string, left, right meta.ID) seal {
	return seal{sealed: true, at: at, left: left, right: right}
}

// replace replaces a run of neighbouring shards by one: a fresh partition
// without tombstones. The new shard says from the start which those are, so
// that nobody splits it before all of them are copied, or were lost to
// somebody else's decision. They are sealed from the first to the last, and
// one that is lost ends the run: what the new shard covers has no gap.
//
// With a key at, the last of the run is cut there.
func (s *Store) replace(ctx context.Context, bucket meta.BucketID, run []region, at string) error {
	child := newShard()
	for _, r := range run {
		if err := s.finishParents(ctx, bucket, r.shard); err != nil {
			return wrap(err, "finish what a shard replaces")
		}
	}
	if len(run) > 1 {
		var parents []byte
		for _, r := range run {
			parents = append(parents, r.shard[:]...)
		}
		if err := s.write(ctx, putParents, bucket[:], child[:], at, parents); err != nil {
			return wrap(err, "announce shard")
		}
	}
	won, err := s.sealRun(ctx, bucket, run, at, child)
	if err != nil {
		return wrap(err, "seal shards")
	}
	for i, seal := range won {
		if err := s.copyShard(ctx, bucket, run[i], seal); err != nil {
			return wrap(err, "replace shards")
		}
	}
	return wrap(s.pointToOne(ctx, bucket, run[:len(won)], child), "replace shards")
}

// sealTogether is the seal of one of several shards that child replaces. The
// last is cut if there is a key to cut it at.
func sealTogether(shard meta.ID, last bool, at string, child meta.ID) (seal, error) {
	if !last || at == "" {
		return sealTo("", child, child), nil
	}
	right, ok := remainder(shard)
	if !ok {
		return seal{}, fmt.Errorf("shard %x cannot be cut", shard[:])
	}
	return sealTo(at, child, right), nil
}

// sealRun seals shards to one child, up to the first that is lost.
func (s *Store) sealRun(ctx context.Context, bucket meta.BucketID, run []region, at string, child meta.ID) (won []seal, err error) {
	for i, r := range run {
		want, err := sealTogether(r.shard, i == len(run)-1, at, child)
		if err != nil {
			return nil, err
		}
		now, err := s.seal(ctx, bucket, r.shard, want)
		if err != nil {
			return nil, err
		}
		if now.left != child {
			if s.breaks(ruleRunHasNoGap) {
				continue
			}
			break
		}
		won = append(won, now)
	}
	if len(won) == 0 {
		return nil, errTaken
	}
	return won, nil
}

// decide seals a shard, after all that it replaces is copied.
func (s *Store) decide(ctx context.Context, bucket meta.BucketID, shard meta.ID, want seal) (seal, error) {
	if err := s.finishParents(ctx, bucket, shard); err != nil {
		return seal{}, err
	}
	return s.seal(ctx, bucket, shard, want)
}

// finishParents completes the replacement of several shards by this one. It
// does as the one who began it would: in order, up to the first that is lost.
// When it returns nil, nothing is ever copied into the shard again that was
// not there, since every other parent is sealed to something else.
func (s *Store) finishParents(ctx context.Context, bucket meta.BucketID, shard meta.ID) error {
	if cutsOf(shard) > 0 || s.breaks(ruleParentsCopiedFirst) {
		return nil // it was there before
	}
	var ids []byte
	var at string
	if _, err := s.one(ctx, s.o.Consistency, []any{&at, &ids}, readParents, bucket[:], shard[:]); err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[min(len(ids), len(meta.ID{})):] {
		parent := idOf(ids)
		want, err := sealTogether(parent, len(ids) <= len(meta.ID{}), at, shard)
		if err != nil {
			return err
		}
		now, err := s.seal(ctx, bucket, parent, want)
		if err != nil {
			return err
		}
		if now.left != shard {
			return nil
		}
		if !now.copied {
			if err := s.copyShard(ctx, bucket, region{shard: parent}, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// seal decides by which shards a shard is replaced: one decision, whoever else
// tries. It returns what was decided.
func (s *Store) seal(ctx context.Context, bucket meta.BucketID, shard meta.ID, want seal) (now seal, err error) {
	change, err := sealing(bucket, shard, want)
	if err != nil {
		return now, err
	}
	if cutsOf(shard) > 0 && s.breaks(ruleOwnerChangesWithSeal) {
		change[0].Args[0] = shard[:]
	}
	for try := range tries {
		applied, casErr := s.cas(ctx, change...)
		if applied {
			return want, nil
		}
		now, err := s.readSealAt(ctx, s.serial(), bucket, shard)
		if err != nil || now.sealed {
			return now, err
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
func (s *Store) copyShard(ctx context.Context, bucket meta.BucketID, r region, seal seal) error {
	s.shards.learn(bucket, r.low, r.shard, seal)
	if s.breaks(ruleMapAfterCopy) {
		_ = s.pointTo(ctx, bucket, r, seal)
	}
	begin, err := s.begin(ctx, bucket, r.shard)
	if err != nil {
		return err
	}
	high := ""
	if seal.cuts(r.shard) {
		high = seal.at
	}
	for _, kind := range []int8{visible, history} {
		for low, end := begin, false; !end; {
			rows, now, err := s.readRows(ctx, bucket, r.shard, kind, low, high, s.copyPage)
			if err != nil {
				return err
			}
			if now.copied && (len(rows) == 0 || !s.breaks(ruleCopyEndsAtMark)) {
				return s.dropShard(ctx, bucket, r, now)
			}
			if err := s.copyRows(ctx, bucket, seal, rows); err != nil {
				return err
			}
			if end = len(rows) < s.copyPage; !end {
				low = rows[len(rows)-1].key + "\x00"
			}
		}
	}
	if seal.cuts(r.shard) && !s.breaks(ruleDropBeforeMark) {
		if err := s.cutOff(ctx, bucket, r.shard, seal); err != nil {
			return err
		}
	}
	if _, err := s.cas(ctx, marking(bucket, r.shard, seal)); err != nil {
		return err // unknown: whoever finishes it copies and marks it again
	}
	seal.copied = true
	s.counts.splits.Add(1)
	return s.dropShard(ctx, bucket, r, seal)
}

// copyBatch is how many rows one mutation of a copy carries.
const copyBatch = 100

// copyRows writes rows into the children.
func (s *Store) copyRows(ctx context.Context, bucket meta.BucketID, seal seal, rows []readRow) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(behindWrite)
	into := map[meta.ID][]listingRow{}
	flush := func(child meta.ID) {
		batch := into[child]
		delete(into, child)
		g.Go(func() error { return s.putRows(gctx, bucket, child, batch) })
	}
	for _, r := range rows {
		if r.state == stateDeleted || r.state == stateGone {
			continue // half a row: a later part was written over a deletion; or all of one that has done its duty
		}
		child := seal.child(r.key)
		if into[child] = append(into[child], r.listingRow); len(into[child]) == copyBatch {
			flush(child)
		}
	}
	for child := range into {
		flush(child)
	}
	return g.Wait()
}

// dropShard deletes a copied shard's rows, also those that arrive late, and
// leaves the signpost. The map of shards is told. (What was cut off is deleted
// by then.)
func (s *Store) dropShard(ctx context.Context, bucket meta.BucketID, r region, seal seal) error {
	s.shards.learn(bucket, r.low, r.shard, seal)
	if part := partitionOf(r.shard); !seal.cuts(r.shard) {
		if err := s.write(ctx, dropRows, int64(endOfTime), bucket[:], part[:]); err != nil {
			return err
		}
	}
	return s.pointTo(ctx, bucket, r, seal)
}
