package cassandra

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// trim looks at the head of a shard from which keys were deleted. Where two of
// three rows are dead there, the head is cut off. If the whole shard has little
// more to show than what was deleted, it is written anew. Either way a row or
// two are copied for each deletion, so it may be done for every few of them: a
// listing from the beginning of the bucket never has many tombstones to pass,
// however many keys are deleted there, and however fast.
//
// done tells that there is nothing more to do for the shard.
func (s *Store) trim(ctx context.Context, t task, r region) (done bool, err error) {
	gone := slices.DeleteFunc(t.gone, func(key string) bool { return !r.covers(key) })
	slices.Sort(gone)
	if len(gone) == 0 {
		return false, nil
	}
	gone = gone[:min(len(gone), maxLook)]
	most := 2*len(gone) + 1
	live, _, err := s.keysAfter(ctx, t.bucket, r, r.low, most)
	if err != nil {
		return false, err
	}
	if len(live) < most {
		all, err := s.sample(ctx, t.bucket, r, 0) // also what is left of deleted keys that have a history
		if err != nil {
			return false, err
		}
		if all.rows <= min(2*most, s.o.ShardRows/2) {
			return true, s.renew(ctx, t.bucket, r, all.rows, 1, min(s.o.ShardRows/runShare, 2*len(gone)+4*s.watch.few))
		}
	}
	at, below, early := s.deadHead(gone, live)
	switch {
	case below >= max(s.watch.few/2, 1):
		return true, s.cut(ctx, t, r, at, gone[below:], 2*s.watch.few)
	case early:
		s.watch.later(t, gone)
		return true, nil
	}
	return false, nil
}

// keptRow is a visible row that is not gone.
type keptRow struct {
	key   string
	young bool // a change of it may be under way
}

// deadHead returns the live key below which most keys are gone, two of three at
// least, and how many that are; both lists are in order. early tells that
// there may be more in a moment: a change that is under way stays where it is,
// for what comes behind it would be lost.
func (s *Store) deadHead(gone []string, live []keptRow) (at string, below int, early bool) {
	for i, r := range live {
		if n := sort.SearchStrings(gone, r.key); n > below && i <= n/2 {
			at, below = r.key, n
		}
		if r.young {
			return at, below, true
		}
	}
	return at, below, false
}

// divert looks at a page that had to pass many tombstones. If they are between
// its beginning and the first key that is alive, what is before them is moved
// away, and they with it.
func (s *Store) divert(ctx context.Context, t task, r region) (done bool, err error) {
	from := max(t.key, r.low)
	live, dead, err := s.keysAfter(ctx, t.bucket, r, from, 1)
	if err != nil || dead < max(t.passed/2, 1) {
		return false, err
	}
	at := from // all that follows is dead
	if len(live) > 0 {
		at = live[0].key
	}
	if at <= r.low {
		return false, nil
	}
	small := 0
	if from == r.low {
		small = 2 * s.watch.few
	}
	err = s.cut(ctx, t, r, at, nil, small)
	if after := s.shards.first(t.bucket, at); err == nil && len(live) == 0 {
		s.watch.again(task{bucket: t.bucket, key: at, shard: after.shard, why: sparse})
	}
	return true, err
}

// keysAfter returns the first keys of a shard's visible rows from from on, at
// most so many, and how many tombstones were passed, if they were many.
func (s *Store) keysAfter(ctx context.Context, bucket meta.BucketID, r region, from string, most int) (kept []keptRow, dead int, err error) {
	part := partitionOf(r.shard)
	dead, err = s.eachWarned(ctx, s.o.Consistency, maxPage, func(row gocql.Scanner) error {
		var key string
		var state *int8
		var rev *int64
		err := row.Scan(&key, &state, &rev)
		if err != nil || !r.covers(key) || state != nil && *state == stateGone {
			return err
		}
		young := state != nil && *state == statePending && rev != nil && s.o.Now().Sub(time.UnixMicro(*rev)) < s.o.RepairAfter
		kept = append(kept, keptRow{key, young})
		return nil
	}, keysFrom, bucket[:], part[:], visible, from, most)
	return kept, dead, err
}

// cut cuts a shard at a key. What is below goes into one shard with the
// neighbour before it, if that has few rows. gone are keys above that were
// deleted.
func (s *Store) cut(ctx context.Context, t task, r region, at string, gone []string, few int) error {
	if _, ok := remainder(r.shard); !ok {
		return s.split(ctx, t.bucket, r.low, at)
	}
	run, err := s.withSmallBefore(ctx, t.bucket, r, few)
	if err != nil {
		return err
	}
	if err := s.replace(ctx, t.bucket, run, at); err != nil {
		return err
	}
	for _, old := range run[:len(run)-1] {
		s.watch.forget(t.bucket, old.shard)
	}
	s.watch.cut(t.bucket, r.shard, s.shards.first(t.bucket, at).shard, at, gone)
	return nil
}

// withSmallBefore returns r, and before it its neighbour if that has few rows.
func (s *Store) withSmallBefore(ctx context.Context, bucket meta.BucketID, r region, few int) ([]region, error) {
	if r.low == "" || few == 0 {
		return []region{r}, nil
	}
	before, seal, err := s.leafBefore(ctx, bucket, r.low)
	if err != nil || seal.sealed || before.high != r.low {
		return []region{r}, err
	}
	if s.watch.known(bucket, before.shard) > 4*few {
		return []region{r}, nil
	}
	keys, err := s.sample(ctx, bucket, before, few+1)
	if err != nil || keys.rows > few {
		return []region{r}, err
	}
	return []region{before, r}, nil
}
