package listing

import (
	"context"
	"errors"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// The directory is the table listing_map. It has the ranges of shards, so that a
// gateway that starts need not follow all splits from the root: keys that are
// written in order make a long chain of them. A row stays true, as every range
// does; an old or missing row costs reads. A row's timestamp is its distance from
// the root: of two rows the later range stays.
const (
	selectRangeAt     = `SELECT low, high, shard_id, gen FROM @.listing_map WHERE bucket_id = ? AND low <= ? ORDER BY low DESC LIMIT 1`
	selectRangesAfter = `SELECT low, high, shard_id, gen FROM @.listing_map WHERE bucket_id = ? AND low > ? LIMIT ?`
	putRange          = `INSERT INTO @.listing_map (bucket_id, low, high, shard_id, gen) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`
	deleteRange       = `DELETE FROM @.listing_map USING TIMESTAMP ? WHERE bucket_id = ? AND low = ?`
)

// directoryPage is how many ranges are read after the one that covers the key.
const directoryPage = 500

// loadDirectory adds the ranges at key and after it to the cache. An error costs
// reads, nothing else.
func (s *Index) loadDirectory(ctx context.Context, bucket meta.BucketID, key string) {
	var facts []shardRange
	scan := func(row gocql.Scanner) error {
		var r shardRange
		var shard []byte
		err := row.Scan(&r.low, &r.high, &shard, &r.gen)
		r.shard = cql.ID(shard)
		if err == nil && (r.high == "" || r.low < r.high) {
			facts = append(facts, r)
		}
		return err
	}
	err := s.QueryRows(ctx, s.Consistency, 1, scan, selectRangeAt, bucket[:], key)
	if err == nil {
		err = s.QueryRows(ctx, s.Consistency, directoryPage, scan, selectRangesAfter, bucket[:], key, directoryPage)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Debug("reading the shard directory failed", zap.Error(err))
	}
	s.shards.addRanges(bucket, facts)
}

// publishChildren writes the ranges of the children of r's shard.
func (s *Index) publishChildren(ctx context.Context, bucket meta.BucketID, r shardRange, seal seal) error {
	if r.gen == 0 && r.shard != rootShard {
		return nil // the shard's range is not known here
	}
	var batch []gocql.BatchEntry
	for _, c := range seal.children(r) {
		batch = append(batch, c.statement(bucket))
	}
	return s.ExecBatch(ctx, batch)
}

func (r *shardRange) statement(bucket meta.BucketID) gocql.BatchEntry {
	return cql.Statement(putRange, bucket[:], r.low, r.high, r.shard[:], r.gen, int64(r.gen))
}

// publishMerged replaces the rows that publishChildren wrote for the shards of a
// run by one.
func (s *Index) publishMerged(ctx context.Context, bucket meta.BucketID, run []shardRange, child meta.ID) error {
	one := s.shards.rangeOf(bucket, run[0].low)
	if len(run) < 2 || one.shard != child {
		return nil
	}
	one.gen++
	batch := []gocql.BatchEntry{one.statement(bucket)}
	for _, r := range run[1:] {
		batch = append(batch, cql.Statement(deleteRange, int64(one.gen), bucket[:], r.low))
	}
	return s.ExecBatch(ctx, batch)
}
