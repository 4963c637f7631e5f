package listing

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	dropPartition = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ?`
	dropDirectory = `DELETE FROM @.listing_map USING TIMESTAMP ? WHERE bucket_id = ?`

	walkListings    = `SELECT DISTINCT bucket_id, shard_id FROM @.listing WHERE token(bucket_id, shard_id) > ? AND token(bucket_id, shard_id) <= ?`
	walkDirectories = `SELECT DISTINCT bucket_id FROM @.listing_map WHERE token(bucket_id) > ? AND token(bucket_id) <= ?`
)

// DropListing implements [meta.Listings]. What is left of an empty listing are
// signposts, the directory, and pending rows of changes that failed.
//
// Everything is deleted at the highest timestamp, so that late writes stay deleted
// too, and from the leaves to the root: after a crash, the next attempt still finds
// the way to what is left.
func (s *Index) DropListing(ctx context.Context, part meta.ListingPart) error {
	parts, err := s.partitionsUnder(ctx, part)
	if err != nil {
		return cql.Wrap(err, "drop listing")
	}
	for i := len(parts) - 1; i >= 0; i-- {
		if err := s.Exec(ctx, dropPartition, int64(cql.MaxTimestamp), part.Bucket[:], parts[i][:]); err != nil {
			return cql.Wrap(err, "drop listing")
		}
	}
	if part.Part != rootShard {
		return nil
	}
	return cql.Wrap(s.Exec(ctx, dropDirectory, int64(cql.MaxTimestamp), part.Bucket[:]), "drop directory of listing")
}

// partitionsUnder follows all seals from a shard, and returns the partitions, each
// after those that lead to it.
func (s *Index) partitionsUnder(ctx context.Context, part meta.ListingPart) (parts []meta.ID, err error) {
	known, met := map[meta.ID]bool{}, map[meta.ID]bool{part.Part: true}
	for next := []meta.ID{part.Part}; len(next) > 0; {
		shard := next[0]
		next = next[1:]
		if p := partitionOf(shard); !known[p] {
			known[p] = true
			parts = append(parts, p)
		}
		seal, err := s.readSeal(ctx, part.Bucket, shard)
		if err != nil {
			return nil, err
		}
		for _, child := range []meta.ID{seal.left, seal.right} {
			if seal.sealed && !met[child] {
				met[child] = true
				next = append(next, child)
			}
		}
	}
	return parts, nil
}

// WalkListings visits the partitions of listings, and the roots of those that have a directory.
func (s *Index) WalkListings(ctx context.Context, share meta.Share, visit func(meta.ListingPart) error) error {
	err := s.WalkTable(ctx, share, func(row gocql.Scanner) error {
		var bucket, shard []byte
		if err := row.Scan(&bucket, &shard); err != nil {
			return err
		}
		return visit(meta.ListingPart{Bucket: cql.ID(bucket), Part: cql.ID(shard)})
	}, walkListings)
	if err != nil {
		return cql.Wrap(err, "walk listings")
	}
	return cql.Wrap(s.WalkTable(ctx, share, func(row gocql.Scanner) error {
		var bucket []byte
		if err := row.Scan(&bucket); err != nil {
			return err
		}
		return visit(meta.ListingPart{Bucket: cql.ID(bucket), Part: rootShard})
	}, walkDirectories), "walk directories of listings")
}
