package cassandra

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// look looks at a shard that was noticed, and replaces or cuts it if that
// pays. It returns how many rows the shard has, or had; -1 where that is not
// known.
//
//   - More rows than Options.ShardRows: two shards.
//   - Tombstones at its head: these are cut off (see trim).
//   - Half as many tombstones as rows: one fresh shard, together with
//     neighbours that have few rows too. So a range that was emptied becomes
//     one shard, however many it was, and for each deletion two rows are
//     copied.
//   - A page read many tombstones, though few for the shard's rows: what is
//     before them is moved away, if they lie together; else two halves.
func (s *Store) look(ctx context.Context, t task) (rows int, err error) {
	r, seal, err := s.leaf(ctx, t.bucket, t.key)
	switch {
	case err != nil:
		return -1, err
	case seal.sealed && t.why == open && r.shard == t.shard:
		return -1, s.copyShard(ctx, t.bucket, r, seal)
	case seal.sealed:
		s.watch.unfinished(t.bucket, t.key, r.shard)
		return -1, nil
	case r.shard != t.shard || t.why == open:
		return -1, nil // somebody else has replaced it
	}
	switch t.why {
	case shrunk:
		done, err := s.trim(ctx, t, r)
		if done || err != nil || t.rows > 2*t.dead {
			return -1, err
		}
	case dead:
		if done, err := s.divert(ctx, t, r); done || err != nil {
			return -1, err
		}
	}
	return s.weigh(ctx, t, r)
}

// weigh reads all keys of a shard to see what is best done about it.
func (s *Store) weigh(ctx context.Context, t task, r region) (rows int, err error) {
	keys, err := s.sample(ctx, t.bucket, r, 0)
	if err != nil {
		return -1, err
	}
	switch most := s.o.ShardRows / runShare; {
	case keys.rows > s.o.ShardRows:
		err = s.halve(ctx, t.bucket, r, keys, t.recent)
	case t.why == dead && keys.rows > 4*t.dead:
		err = s.halve(ctx, t.bucket, r, keys, nil)
	case t.why == dead, t.dead >= s.watch.few && 2*t.dead >= keys.rows:
		err = s.renew(ctx, t.bucket, r, keys.rows, 1, min(most, 2*t.dead+4*s.watch.few))
	case t.why == sparse:
		err = s.renew(ctx, t.bucket, r, keys.rows, 2, most)
	}
	return keys.rows, err
}

// halve splits a shard by what is known of its keys.
func (s *Store) halve(ctx context.Context, bucket meta.BucketID, r region, keys sampled, recent []string) error {
	at, below := keys.cut(r, recent)
	if at == "" {
		return nil // one key is not split
	}
	if err := s.split(ctx, bucket, r.low, at); err != nil {
		if errors.Is(err, errOutside) {
			return nil // it was split meanwhile
		}
		return err
	}
	s.watch.forget(bucket, r.shard)
	for _, part := range []struct {
		key  string
		rows int
	}{{r.low, below}, {at, keys.rows - below}} {
		child := s.shards.first(bucket, part.key)
		s.watch.expects(bucket, child.shard, part.rows)
		if part.rows > 2*s.o.ShardRows {
			s.watch.again(task{bucket: bucket, key: part.key, shard: child.shard, why: grown})
		}
	}
	return nil
}

// renew replaces a shard, with its neighbours as long as all together have at
// most so many rows, by one. It does nothing with fewer than least shards.
func (s *Store) renew(ctx context.Context, bucket meta.BucketID, r region, rows, least, most int) error {
	run, rows, err := s.neighbours(ctx, bucket, r, rows, most)
	if err != nil || len(run) < least {
		return err
	}
	if err := s.replace(ctx, bucket, run, ""); err != nil {
		return err
	}
	for _, old := range run {
		s.watch.forget(bucket, old.shard)
	}
	s.watch.expects(bucket, s.shards.first(bucket, r.low).shard, rows)
	return nil
}

const (
	// maxRun is how many shards one replaces at most.
	maxRun = 64
	// runShare says that shards are joined up to this part of the rows at
	// which one is split: what was joined is not split soon.
	runShare = 4
)

// neighbours returns the shards around r that are best replaced together with
// it, in order, r among them, and how many rows they have: at most so many,
// but for r.
func (s *Store) neighbours(ctx context.Context, bucket meta.BucketID, r region, rows, most int) ([]region, int, error) {
	run := []region{r}
	fits := func(n region, seal seal) (bool, error) {
		if seal.sealed || rows > most || len(run) == maxRun {
			return false, nil
		}
		if s.watch.known(bucket, n.shard) > 4*(most-rows+s.watch.few) {
			return false, nil // by far
		}
		keys, err := s.sample(ctx, bucket, n, most-rows+1)
		if err != nil || rows+keys.rows > most {
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

// leafBefore is leaf for the keys right below low.
func (s *Store) leafBefore(ctx context.Context, bucket meta.BucketID, low string) (region, seal, error) {
	for {
		r, _ := s.shards.before(bucket, low)
		seal, err := s.readSeal(ctx, bucket, r.shard)
		if err != nil || !seal.copied {
			return r, seal, err
		}
		if !s.shards.learn(bucket, r.low, r.shard, seal) {
			return r, seal, nil // somebody else has taken it in: not now
		}
	}
}

// sampled is a shard's keys, thinned out.
type sampled struct {
	rows int // all of them, or as many as were asked for
	keys []string
	step int // rows for each of keys
}

// maxSample bounds the keys that are kept.
const maxSample = 4096

const keysFrom = `SELECT key, state, rev FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key >= ? LIMIT ?`

// sample reads the keys of a shard's rows: all, or about the first most of
// each kind if most is not 0.
func (s *Store) sample(ctx context.Context, bucket meta.BucketID, r region, most int) (sampled, error) {
	all := sampled{step: 1}
	begin := ""
	if cutsOf(r.shard) > 0 {
		begin = r.low // below are tombstones
	}
	part := partitionOf(r.shard)
	for _, kind := range []int8{visible, history} {
		for low, n := begin, 0; most == 0 || n < most; {
			page := 0
			err := s.each(ctx, s.o.Consistency, maxPage, func(row gocql.Scanner) error {
				var state *int8
				var rev *int64
				err := row.Scan(&low, &state, &rev)
				if page++; state == nil || *state != stateGone {
					all.add(low)
				}
				return err
			}, keysFrom, bucket[:], part[:], kind, low, maxPage)
			if err != nil {
				return all, err
			}
			if page < maxPage {
				break
			}
			n, low = n+page, low+"\x00"
		}
	}
	slices.Sort(all.keys)
	return all, nil
}

func (k *sampled) add(key string) {
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

// cut returns where to split, and about how many rows are below; "" where
// there is nowhere.
//
// In the middle, unless the keys written last are all within an eighth of
// the rows at either end: so it is with timestamps, and with numbers that count
// down. Then what does not grow any more is cut off, nearly full as it is, and
// the shard where the bucket grows begins anew with few rows. So no shard is
// left half full, and each row is copied once.
func (k *sampled) cut(r region, recent []string) (at string, below int) {
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
