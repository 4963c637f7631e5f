package cassandra

import (
	"context"
	"slices"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	uploadsFrom   = `SELECT key, upload_id FROM @.upload_by_bucket WHERE bucket_id = ? AND slot = ? AND (key, upload_id) > (?, ?) LIMIT ?`
	uploadsWithin = `SELECT key, upload_id FROM @.upload_by_bucket WHERE bucket_id = ? AND slot = ? AND (key, upload_id) > (?, ?) AND (key) < (?) LIMIT ?`
)

// indexedUploads reads the names after at and below the key to, from all partitions. It
// returns, in order, those up to the first bound of a partition that may have more: at
// least one name, unless end is true.
func (s *Store) indexedUploads(ctx context.Context, bucket meta.BucketID, at uploadName, to string, limit int) (names []uploadName, end bool, err error) {
	n := min(limit/4+4, cql.MaxPageRows)
	var slots [uploadPartitions][]uploadName
	g, gctx := errgroup.WithContext(ctx)
	for i := range slots {
		g.Go(func() (err error) {
			slots[i], err = s.uploadsOfPartition(gctx, bucket, int8(i), at, to, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	var bound *uploadName // the first position after which a partition may have more
	for _, found := range slots {
		names = append(names, found...)
		if len(found) == n && (bound == nil || found[n-1].compare(*bound) < 0) {
			bound = &found[n-1]
		}
	}
	slices.SortFunc(names, uploadName.compare)
	if bound == nil {
		return names, true, nil
	}
	i, _ := slices.BinarySearchFunc(names, *bound, uploadName.compare)
	return names[:i+1], false, nil
}

func (s *Store) uploadsOfPartition(ctx context.Context, bucket meta.BucketID, slot int8, at uploadName, to string, n int) ([]uploadName, error) {
	var names []uploadName
	scan := func(row gocql.Scanner) error {
		var u uploadName
		var id []byte
		err := row.Scan(&u.key, &id)
		u.id = cql.ID(id)
		names = append(names, u)
		return err
	}
	if to == "" {
		err := s.db.QueryRows(ctx, s.db.Consistency, n, scan, uploadsFrom, bucket[:], slot, at.key, at.id[:], n)
		return names, err
	}
	err := s.db.QueryRows(ctx, s.db.Consistency, n, scan, uploadsWithin, bucket[:], slot, at.key, at.id[:], to, n)
	return names, err
}
