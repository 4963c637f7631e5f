package listing

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	// The row at kind -1 is inserted with the seal, for readSeal.
	sealShard = `UPDATE @.listing SET split_key = ?, left_id = ?, right_id = ?, copied = false WHERE bucket_id = ? AND shard_id = ? IF split_key = null`
	sealRow   = `INSERT INTO @.listing (bucket_id, shard_id, kind, key) VALUES (?, ?, -1, '')`
	markShard = `UPDATE @.listing SET copied = true WHERE bucket_id = ? AND shard_id = ? IF left_id = ?`
	dropRows  = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind >= 0`

	// The ids of the shards that a shard replaces, if there are several. If a key is
	// given, the last of them is split in place there, not replaced completely.
	putParents    = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, doc) VALUES (?, ?, -2, ?, ?)`
	selectParents = `SELECT key, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -2 LIMIT 1`
)

// errKeyOutside refuses to split a shard at a key outside it, or at its bounds: it may
// just have been split there.
var errKeyOutside = errors.New("split key is outside the shard")

// errSealedByOther says that another gateway has sealed the shard, and is replacing
// it.
var errSealedByOther = errors.New("shard is being replaced by another gateway")

// split replaces the shard that covers key by two, which meet at the key at. It is safe
// at any time, concurrently with others, and when it is interrupted at any step: the
// next gateway that meets the shard completes it. A shard is never split before its
// parents are copied completely into it: otherwise late rows would go into a sealed
// shard and never further down.
func (s *Index) split(ctx context.Context, bucket meta.BucketID, key, at string) error {
	r, seal, err := s.leaf(ctx, bucket, key)
	if err != nil {
		return cql.Wrap(err, "split shard")
	}
	if at <= r.low || r.high != "" && at >= r.high {
		return fmt.Errorf("split shard at %q: %w", at, errKeyOutside)
	}
	if seal.sealed {
		return cql.Wrap(s.copyShard(ctx, bucket, r, seal), "finish split of shard")
	}
	want := newSeal(at, newShardID(), newShardID())
	seal, err = s.sealAfterParents(ctx, bucket, r.shard, want)
	if err == nil && seal.left != want.left {
		err = errSealedByOther
	}
	if err != nil {
		return cql.Wrap(err, "split shard")
	}
	return cql.Wrap(s.copyShard(ctx, bucket, r, seal), "split shard")
}

func newSeal(at string, left, right meta.ID) seal {
	return seal{sealed: true, at: at, left: left, right: right}
}

// replace replaces a run of neighbouring shards by one: a fresh partition without
// tombstones. The new shard names the run from the start, so that it is not split
// before all of them are copied into it, or were sealed to something else. They are
// sealed from the first to the last, and one that is already sealed ends the run: what
// the new shard covers has no gap.
//
// If at is not "", the last shard of the run is split in place there.
func (s *Index) replace(ctx context.Context, bucket meta.BucketID, run []shardRange, at string) error {
	child := newShardID()
	for _, r := range run {
		if err := s.finishParents(ctx, bucket, r.shard); err != nil {
			return cql.Wrap(err, "finish merge into shard")
		}
	}
	if len(run) > 1 {
		var parents []byte
		for _, r := range run {
			parents = append(parents, r.shard[:]...)
		}
		if err := s.Exec(ctx, putParents, bucket[:], child[:], at, parents); err != nil {
			return cql.Wrap(err, "record merge")
		}
	}
	won, err := s.sealRun(ctx, bucket, run, at, child)
	if err != nil {
		return cql.Wrap(err, "seal shards")
	}
	for i, seal := range won {
		if err := s.copyShard(ctx, bucket, run[i], seal); err != nil {
			return cql.Wrap(err, "replace shards")
		}
	}
	return cql.Wrap(s.publishMerged(ctx, bucket, run[:len(won)], child), "replace shards")
}

// mergeSeal is the seal of one of several shards that child replaces. The last one is
// split in place if at is not "".
func mergeSeal(shard meta.ID, last bool, at string, child meta.ID) (seal, error) {
	if !last || at == "" {
		return newSeal("", child, child), nil
	}
	right, ok := successor(shard)
	if !ok {
		return seal{}, fmt.Errorf("shard %x cannot be split in place", shard[:])
	}
	return newSeal(at, child, right), nil
}

// sealRun seals shards to one child, up to the first that is sealed to something else.
func (s *Index) sealRun(ctx context.Context, bucket meta.BucketID, run []shardRange, at string, child meta.ID) (won []seal, err error) {
	for i, r := range run {
		want, err := mergeSeal(r.shard, i == len(run)-1, at, child)
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
		return nil, errSealedByOther
	}
	return won, nil
}

// sealAfterParents seals a shard after everything that it replaces is copied into it.
func (s *Index) sealAfterParents(ctx context.Context, bucket meta.BucketID, shard meta.ID, want seal) (seal, error) {
	if err := s.finishParents(ctx, bucket, shard); err != nil {
		return seal{}, err
	}
	return s.seal(ctx, bucket, shard, want)
}

// finishParents completes the replacement of several shards by this one, in the same
// way as its initiator: in order, up to the first that is sealed to something else.
// When it returns nil, no further rows are ever copied into the shard, because every
// other parent is sealed to something else.
func (s *Index) finishParents(ctx context.Context, bucket meta.BucketID, shard meta.ID) error {
	if inPlaceSplits(shard) > 0 || s.breaks(ruleParentsCopiedFirst) {
		return nil // its rows were in the partition before
	}
	var ids []byte
	var at string
	if _, err := s.QueryRow(ctx, s.Consistency, []any{&at, &ids}, selectParents, bucket[:], shard[:]); err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[min(len(ids), len(meta.ID{})):] {
		parent := cql.ID(ids)
		want, err := mergeSeal(parent, len(ids) <= len(meta.ID{}), at, shard)
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
			if err := s.copyShard(ctx, bucket, shardRange{shard: parent}, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// seal decides by which shards a shard is replaced. There is one decision, whatever
// other gateways attempt. It returns that decision.
func (s *Index) seal(ctx context.Context, bucket meta.BucketID, shard meta.ID, want seal) (now seal, err error) {
	change, err := sealStatements(bucket, shard, want)
	if err != nil {
		return now, err
	}
	if inPlaceSplits(shard) > 0 && s.breaks(ruleOwnerChangesWithSeal) {
		change[0].Args[0] = shard[:]
	}
	for try := range cql.MaxTries {
		applied, casErr := s.CAS(ctx, change...)
		if applied {
			return want, nil
		}
		now, err := s.readSealAt(ctx, s.Serial, bucket, shard)
		if err != nil || now.sealed {
			return now, err
		}
		if errors.Is(casErr, cql.ErrNotApplied) {
			return seal{}, casErr
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return seal{}, err
		}
	}
	return seal{}, meta.ErrUnavailable
}

// copyShard copies a sealed shard's rows into its children, with their own timestamps,
// marks it copied and deletes the rows. It may be repeated, also concurrently. It stops
// at the first page that says copied: by then the children's rows may have been deleted,
// and splits may have moved them.
func (s *Index) copyShard(ctx context.Context, bucket meta.BucketID, r shardRange, seal seal) error {
	s.shards.update(bucket, r.low, r.shard, seal)
	if s.breaks(ruleDirectoryAfterCopy) {
		_ = s.publishChildren(ctx, bucket, r, seal)
	}
	begin, err := s.firstKey(ctx, bucket, r.shard)
	if err != nil {
		return err
	}
	high := ""
	if seal.inPlace(r.shard) {
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
	if seal.inPlace(r.shard) && !s.breaks(ruleDropBeforeMark) {
		if err := s.dropSplitOff(ctx, bucket, r.shard, seal); err != nil {
			return err
		}
	}
	if _, err := s.CAS(ctx, markStatement(bucket, r.shard, seal)); err != nil {
		return err // unknown: the next attempt copies and marks it again
	}
	seal.copied = true
	s.counts.splits.Add(1)
	return s.dropShard(ctx, bucket, r, seal)
}

// copyBatch is how many rows one mutation of a copy has.
const copyBatch = 100

// copyRows writes rows into the children.
func (s *Index) copyRows(ctx context.Context, bucket meta.BucketID, seal seal, rows []readRow) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(concurrentBatches)
	into := map[meta.ID][]listingRow{}
	flush := func(child meta.ID) {
		batch := into[child]
		delete(into, child)
		g.Go(func() error { return s.putRows(gctx, bucket, child, batch) })
	}
	for _, r := range rows {
		if r.state == stateDeleted || r.state == stateGone {
			continue // a partial row, left where a cell was written after a deletion; or a gone row that has served its purpose
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

// dropShard deletes a copied shard's rows, late ones too, leaves the signpost, and
// publishes the children in the directory. (After an in-place split the rows have been
// deleted already.)
func (s *Index) dropShard(ctx context.Context, bucket meta.BucketID, r shardRange, seal seal) error {
	s.shards.update(bucket, r.low, r.shard, seal)
	if part := partitionOf(r.shard); !seal.inPlace(r.shard) {
		if err := s.Exec(ctx, dropRows, int64(cql.MaxTimestamp), bucket[:], part[:]); err != nil {
			return err
		}
	}
	return s.publishChildren(ctx, bucket, r, seal)
}
