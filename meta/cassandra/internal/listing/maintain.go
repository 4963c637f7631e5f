package listing

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// maintainShard inspects a shard that a counter or a reader has reported, and splits,
// rewrites or merges it if a threshold is exceeded. It returns the number of rows of
// the shard, -1 if that is unknown.
//
//   - More rows than Options.ShardRows: it is split in two.
//   - Tombstones at its beginning: they are split off (see compactHead).
//   - Half as many tombstones as rows: it is rewritten, together with neighbours that
//     have few rows too. So a range that was emptied becomes one shard, however many
//     it was, and two rows are copied per deletion.
//   - A page scanned many tombstones, though few compared to the shard's rows: if they
//     are adjacent, everything before them is moved away; otherwise the shard is split
//     in two.
func (s *Index) maintainShard(ctx context.Context, t task) (rows int, err error) {
	r, seal, err := s.leaf(ctx, t.bucket, t.key)
	switch {
	case err != nil:
		return -1, err
	case seal.sealed && t.reason == reasonUncopied && r.shard == t.shard:
		return -1, s.copyShard(ctx, t.bucket, r, seal)
	case seal.sealed:
		s.maintainer.recordUncopied(t.bucket, t.key, r.shard)
		return -1, nil
	case r.shard != t.shard || t.reason == reasonUncopied:
		return -1, nil // the shard has been replaced
	}
	switch t.reason {
	case reasonShrunk:
		done, err := s.compactHead(ctx, t, r)
		if done || err != nil || t.rows > 2*t.tombstones {
			return -1, err
		}
	case reasonTombstones:
		if done, err := s.compactBefore(ctx, t, r); done || err != nil {
			return -1, err
		}
	}
	return s.maintainBySize(ctx, t, r)
}

// maintainBySize reads all keys of a shard and decides what to do.
func (s *Index) maintainBySize(ctx context.Context, t task, r shardRange) (rows int, err error) {
	keys, err := s.sampleKeys(ctx, t.bucket, r, 0)
	if err != nil {
		return -1, err
	}
	switch most := s.o.ShardRows / mergeDivisor; {
	case keys.rows > s.o.ShardRows:
		err = s.splitBySample(ctx, t.bucket, r, keys, t.recent)
	case t.reason == reasonTombstones && keys.rows > 4*t.tombstones:
		err = s.splitBySample(ctx, t.bucket, r, keys, nil)
	case t.reason == reasonTombstones, t.tombstones >= s.maintainer.tombstoneThreshold && 2*t.tombstones >= keys.rows:
		err = s.rewrite(ctx, t.bucket, r, keys.rows, 1, min(most, 2*t.tombstones+4*s.maintainer.tombstoneThreshold))
	case t.reason == reasonSparse:
		err = s.rewrite(ctx, t.bucket, r, keys.rows, 2, most)
	}
	return keys.rows, err
}

// splitBySample splits a shard at a key of its sample.
func (s *Index) splitBySample(ctx context.Context, bucket meta.BucketID, r shardRange, keys keySample, recent []string) error {
	at, below := keys.splitKey(r, recent)
	if at == "" {
		return nil // a single key cannot be split
	}
	if err := s.split(ctx, bucket, r.low, at); err != nil {
		if errors.Is(err, errKeyOutside) {
			return nil // it was split in the meantime
		}
		return err
	}
	s.maintainer.forget(bucket, r.shard)
	for _, part := range []struct {
		key  string
		rows int
	}{{r.low, below}, {at, keys.rows - below}} {
		child := s.shards.rangeOf(bucket, part.key)
		s.maintainer.setRows(bucket, child.shard, part.rows)
		if part.rows > 2*s.o.ShardRows {
			s.maintainer.enqueueFresh(task{bucket: bucket, key: part.key, shard: child.shard, reason: reasonGrown})
		}
	}
	return nil
}

// rewrite replaces a shard by a fresh one, together with its neighbours as long as all
// of them have at most limit rows. It does nothing with fewer than least shards.
func (s *Index) rewrite(ctx context.Context, bucket meta.BucketID, r shardRange, rows, least, limit int) error {
	run, rows, err := s.neighbours(ctx, bucket, r, rows, limit)
	if err != nil || len(run) < least {
		return err
	}
	if err := s.replace(ctx, bucket, run, ""); err != nil {
		return err
	}
	for _, old := range run {
		s.maintainer.forget(bucket, old.shard)
	}
	s.maintainer.setRows(bucket, s.shards.rangeOf(bucket, r.low).shard, rows)
	return nil
}

const (
	// maxMerge is how many shards one shard replaces at most.
	maxMerge = 64
	// mergeDivisor: shards are merged up to this fraction of ShardRows, so that
	// what was merged is not split again soon.
	mergeDivisor = 4
)

// neighbours returns the shards around r that are best replaced together with it, in
// order and including r, and the number of their rows: at most limit, except for r.
func (s *Index) neighbours(ctx context.Context, bucket meta.BucketID, r shardRange, rows, limit int) ([]shardRange, int, error) {
	run := []shardRange{r}
	fits := func(n shardRange, seal seal) (bool, error) {
		if seal.sealed || rows > limit || len(run) == maxMerge {
			return false, nil
		}
		if s.maintainer.knownRows(bucket, n.shard) > 4*(limit-rows+s.maintainer.tombstoneThreshold) {
			return false, nil // it certainly has too many rows
		}
		keys, err := s.sampleKeys(ctx, bucket, n, limit-rows+1)
		if err != nil || rows+keys.rows > limit {
			return false, err
		}
		rows += keys.rows
		return true, nil
	}
	for high := r.high; high != ""; {
		n, seal, err := s.leaf(ctx, bucket, high)
		if err != nil {
			return nil, 0, err
		}
		ok, err := fits(n, seal)
		if err != nil {
			return nil, 0, err
		}
		if !ok || n.low != high {
			break
		}
		run, high = append(run, n), n.high
	}
	for low := r.low; low != ""; {
		n, seal, err := s.leafBefore(ctx, bucket, low)
		if err != nil {
			return nil, 0, err
		}
		ok, err := fits(n, seal)
		if err != nil {
			return nil, 0, err
		}
		if !ok || n.high != low {
			break
		}
		run, low = slices.Insert(run, 0, n), n.low
	}
	return run, rows, nil
}

// leafBefore is leaf for the keys just below low.
func (s *Index) leafBefore(ctx context.Context, bucket meta.BucketID, low string) (shardRange, seal, error) {
	for {
		r, _ := s.shards.rangeBefore(bucket, low)
		seal, err := s.readSeal(ctx, bucket, r.shard)
		if err != nil || !seal.copied {
			return r, seal, err
		}
		if !s.shards.update(bucket, r.low, r.shard, seal) {
			return r, seal, nil // the cache was updated by another goroutine: not now
		}
	}
}

// keySample is a sample of a shard's keys.
type keySample struct {
	rows int // the number of rows read
	keys []string
	step int // rows per key of the sample
}

// maxSample bounds the keys in a sample.
const maxSample = 4096

const keysFrom = `SELECT key, state, rev FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? LIMIT ?`

// sampleKeys reads the keys of a shard's rows: all of them, or about the first limit of
// each kind if limit is not 0.
func (s *Index) sampleKeys(ctx context.Context, bucket meta.BucketID, r shardRange, limit int) (keySample, error) {
	all := keySample{step: 1}
	begin := ""
	if inPlaceSplits(r.shard) > 0 {
		begin = r.low // there are only tombstones below
	}
	part := partitionOf(r.shard)
	for _, kind := range []int8{visible, history} {
		for low, n := begin, 0; limit == 0 || n < limit; {
			page := 0
			err := s.QueryRows(ctx, s.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
				var state *int8
				var rev *int64
				err := row.Scan(&low, &state, &rev)
				if page++; state == nil || *state != stateGone {
					all.add(low)
				}
				return err
			}, keysFrom, bucket[:], part[:], kind, low, cql.MaxPageRows)
			if err != nil {
				return all, err
			}
			if page < cql.MaxPageRows {
				break
			}
			n, low = n+page, low+"\x00"
		}
	}
	slices.Sort(all.keys)
	return all, nil
}

func (k *keySample) add(key string) {
	if k.rows%k.step == 0 {
		k.keys = append(k.keys, key)
	}
	k.rows++
	if len(k.keys) < maxSample {
		return
	}
	for i := range len(k.keys) / 2 {
		k.keys[i] = k.keys[2*i]
	}
	k.keys, k.step = k.keys[:len(k.keys)/2], 2*k.step
}

// splitKey returns the key at which to split, and about how many rows are below it;
// "" if there is none.
//
// It is the middle, unless the keys written last are all within an eighth of the rows
// at either end, as they are with timestamps and with numbers that count down. Then the
// part that does not grow is split off nearly full, and the shard where the bucket
// grows begins with few rows. So no shard is left half full, and each row is copied
// once.
func (k *keySample) splitKey(r shardRange, recent []string) (at string, below int) {
	n := len(k.keys)
	i := n / 2
	if len(recent) > 0 && n >= recentKeys {
		switch first, last := slices.Min(recent), slices.Max(recent); {
		case first >= k.keys[n-n/8]:
			i, _ = slices.BinarySearch(k.keys, first)
		case last < k.keys[n/8]:
			i, _ = slices.BinarySearch(k.keys, last)
			i++
		}
	}
	for i = min(i, n-1); i > 0 && i < n; i++ {
		if at := k.keys[i]; strings.Compare(at, r.low) > 0 && at > k.keys[0] && (r.high == "" || at < r.high) {
			return at, i * k.step
		}
	}
	return "", 0
}
