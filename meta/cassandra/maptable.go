package cassandra

import (
	"context"
	"errors"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// The table listing_map has regions, so that a gateway which starts need not
// follow all splits from the root: keys that come in order make a chain of
// them. Each row was true when it was written and stays true, as any region
// does; a row that is old, or missing, costs reads. Its timestamp is its
// distance from the root: of two rows the later region stays.
const (
	mapAt     = `SELECT low, high, shard_id, gen FROM @.listing_map WHERE bucket_id = ? AND low <= ? ORDER BY low DESC LIMIT 1`
	mapAfter  = `SELECT low, high, shard_id, gen FROM @.listing_map WHERE bucket_id = ? AND low > ? LIMIT ?`
	putMap    = `INSERT INTO @.listing_map (bucket_id, low, high, shard_id, gen) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?`
	deleteMap = `DELETE FROM @.listing_map USING TIMESTAMP ? WHERE bucket_id = ? AND low = ?`
)

// mapAhead is how many regions are read with the one that is looked for.
const mapAhead = 500

// askMap takes in what the table knows of key and of the keys after it. An
// error costs reads, nothing else.
func (s *Store) askMap(ctx context.Context, bucket meta.BucketID, key string) {
	var facts []region
	scan := func(row gocql.Scanner) error {
		var r region
		var shard []byte
		err := row.Scan(&r.low, &r.high, &shard, &r.gen)
		r.shard = idOf(shard)
		if err == nil && (r.high == "" || r.low < r.high) {
			facts = append(facts, r)
		}
		return err
	}
	err := s.each(ctx, s.o.Consistency, 1, scan, mapAt, bucket[:], key)
	if err == nil {
		err = s.each(ctx, s.o.Consistency, mapAhead, scan, mapAfter, bucket[:], key, mapAhead)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.o.Log.Debug("the map of shards was not read", zap.Error(err))
	}
	s.shards.insert(bucket, facts)
}

// pointTo writes down where to find what was copied from the shard of r.
func (s *Store) pointTo(ctx context.Context, bucket meta.BucketID, r region, seal seal) error {
	if r.gen == 0 && r.shard != rootShard {
		return nil // its range is not known here
	}
	var batch []gocql.BatchEntry
	for _, c := range seal.children(r) {
		batch = append(batch, c.statement(bucket))
	}
	return s.writes(ctx, batch)
}

func (r *region) statement(bucket meta.BucketID) gocql.BatchEntry {
	return entry(putMap, bucket[:], r.low, r.high, r.shard[:], r.gen, int64(r.gen))
}

// pointToOne replaces the rows that pointTo wrote for the shards of a run by
// one.
func (s *Store) pointToOne(ctx context.Context, bucket meta.BucketID, run []region, child meta.ID) error {
	one := s.shards.first(bucket, run[0].low)
	if len(run) < 2 || one.shard != child {
		return nil
	}
	one.gen++
	batch := []gocql.BatchEntry{one.statement(bucket)}
	for _, r := range run[1:] {
		batch = append(batch, entry(deleteMap, int64(one.gen), bucket[:], r.low))
	}
	return s.writes(ctx, batch)
}
