package listing

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// compactHead inspects the beginning of a shard from which keys were deleted. If
// two of three rows there are deleted, it splits the shard in place above them. If
// the whole shard has little more than what was deleted, it rewrites the shard.
// Either way one or two rows are copied per deletion, so it can run after every few
// of them: a listing from the beginning of the bucket never scans many tombstones,
// however many keys are deleted there, and however fast.
//
// done reports that there is nothing more to do for the shard.
func (s *Index) compactHead(ctx context.Context, t task, r shardRange) (done bool, err error) {
	deleted := slices.DeleteFunc(t.deletedKeys, func(key string) bool { return !r.covers(key) })
	slices.Sort(deleted)
	if len(deleted) == 0 {
		return false, nil
	}
	deleted = deleted[:min(len(deleted), maxCompact)]
	most := 2*len(deleted) + 1
	live, _, err := s.keysAfter(ctx, t.bucket, r, r.low, most)
	if err != nil {
		return false, err
	}
	if len(live) < most {
		all, err := s.sampleKeys(ctx, t.bucket, r, 0) // includes what is left of deleted keys that have a history
		if err != nil {
			return false, err
		}
		if all.rows <= min(2*most, s.o.ShardRows/2) {
			return true, s.rewrite(ctx, t.bucket, r, all.rows, 1, min(s.o.ShardRows/mergeDivisor, 2*len(deleted)+4*s.maintainer.tombstoneThreshold))
		}
	}
	at, below, early := s.leadingTombstones(deleted, live)
	switch {
	case below >= max(s.maintainer.tombstoneThreshold/2, 1):
		return true, s.splitInPlace(ctx, t, r, at, deleted[below:], 2*s.maintainer.tombstoneThreshold)
	case early:
		s.maintainer.recheckLater(t, deleted)
		return true, nil
	}
	return false, nil
}

// liveKey is the key of a visible row that is not in state gone.
type liveKey struct {
	key   string
	young bool // a change of it may be running
}

// leadingTombstones returns the live key below which most keys are deleted, at
// least two of three, and how many those are. Both lists are sorted. early reports
// that there may be more in a moment: a row whose change is running is not moved,
// because its final row would be lost.
func (s *Index) leadingTombstones(deleted []string, live []liveKey) (at string, below int, early bool) {
	for i, r := range live {
		if n := sort.SearchStrings(deleted, r.key); n > below && i <= n/2 {
			at, below = r.key, n
		}
		if r.young {
			return at, below, true
		}
	}
	return at, below, false
}

// compactBefore inspects a page that scanned many tombstones. If they are between
// the page's beginning and the first live key, they and everything before them are
// moved away.
func (s *Index) compactBefore(ctx context.Context, t task, r shardRange) (done bool, err error) {
	from := max(t.key, r.low)
	live, tombstones, err := s.keysAfter(ctx, t.bucket, r, from, 1)
	if err != nil || tombstones < max(t.scanned/2, 1) {
		return false, err
	}
	at := from // all that follows is deleted
	if len(live) > 0 {
		at = live[0].key
	}
	if at <= r.low {
		return false, nil
	}
	small := 0
	if from == r.low {
		small = 2 * s.maintainer.tombstoneThreshold
	}
	err = s.splitInPlace(ctx, t, r, at, nil, small)
	if after := s.shards.rangeOf(t.bucket, at); err == nil && len(live) == 0 {
		s.maintainer.enqueueFresh(task{bucket: t.bucket, key: at, shard: after.shard, reason: reasonSparse})
	}
	return true, err
}

// keysAfter returns the first keys of a shard's visible rows from from on, at most
// limit, and how many tombstones were scanned, if Cassandra warned of them.
func (s *Index) keysAfter(ctx context.Context, bucket meta.BucketID, r shardRange, from string, limit int) (kept []liveKey, tombstones int, err error) {
	part := partitionOf(r.shard)
	tombstones, err = s.QueryCountingTombstones(ctx, s.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
		var key string
		var state *int8
		var rev *int64
		err := row.Scan(&key, &state, &rev)
		if err != nil || !r.covers(key) || state != nil && *state == stateGone {
			return err
		}
		young := state != nil && *state == statePending && rev != nil && s.o.Now().Sub(time.UnixMicro(*rev)) < s.o.RepairAfter
		kept = append(kept, liveKey{key, young})
		return nil
	}, keysFrom, bucket[:], part[:], visible, from, limit)
	return kept, tombstones, err
}

// splitInPlace splits a shard in place at a key. The rows below the key go into one
// shard together with the neighbour before it, if that has at most maxRows rows. deleted
// are deleted keys above the key.
func (s *Index) splitInPlace(ctx context.Context, t task, r shardRange, at string, deleted []string, maxRows int) error {
	if _, ok := successor(r.shard); !ok {
		return s.split(ctx, t.bucket, r.low, at)
	}
	run, err := s.withSmallPredecessor(ctx, t.bucket, r, maxRows)
	if err != nil {
		return err
	}
	if err := s.replace(ctx, t.bucket, run, at); err != nil {
		return err
	}
	for _, old := range run[:len(run)-1] {
		s.maintainer.forget(t.bucket, old.shard)
	}
	s.maintainer.transferStats(t.bucket, r.shard, s.shards.rangeOf(t.bucket, at).shard, at, deleted)
	return nil
}

// withSmallPredecessor returns r, preceded by its neighbour if that has at most maxRows
// rows.
func (s *Index) withSmallPredecessor(ctx context.Context, bucket meta.BucketID, r shardRange, maxRows int) ([]shardRange, error) {
	if r.low == "" || maxRows == 0 {
		return []shardRange{r}, nil
	}
	before, seal, err := s.leafBefore(ctx, bucket, r.low)
	if err != nil || seal.sealed || before.high != r.low {
		return []shardRange{r}, err
	}
	if s.maintainer.knownRows(bucket, before.shard) > 4*maxRows {
		return []shardRange{r}, nil
	}
	keys, err := s.sampleKeys(ctx, bucket, before, maxRows+1)
	if err != nil || keys.rows > maxRows {
		return []shardRange{r}, err
	}
	return []shardRange{before, r}, nil
}
