package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	insertBucket       = `INSERT INTO @.bucket (name, id, rev, state, owner, created, config, region, location) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS`
	selectBucket       = `SELECT id, rev, state, owner, created, config FROM @.bucket WHERE name = ?`
	selectListedBucket = `SELECT id, owner, created, region, location FROM @.bucket WHERE name = ?`
	updateBucket       = `UPDATE @.bucket SET rev = ?, state = ?, config = ? WHERE name = ? IF id = ? AND rev = ?`
	removeBucket       = `DELETE FROM @.bucket WHERE name = ? IF id = ? AND rev = ?`

	// Index rows belong to one life of a bucket: they are written once and deleted
	// once. So two constant timestamps are enough, without a clock.
	putBucketOwner    = `INSERT INTO @.bucket_by_owner (shelf, name, id) VALUES (?, ?, ?) USING TIMESTAMP 1`
	deleteBucketOwner = `DELETE FROM @.bucket_by_owner USING TIMESTAMP 2 WHERE shelf = ? AND name = ? AND id = ?`
	selectBucketOwner = `SELECT name, id FROM @.bucket_by_owner WHERE shelf = ? AND name > ? LIMIT ?`
	putBucketName     = `INSERT INTO @.bucket_by_id (id, name) VALUES (?, ?) USING TIMESTAMP 1`
	deleteBucketName  = `DELETE FROM @.bucket_by_id USING TIMESTAMP 2 WHERE id = ?`
	selectBucketName  = `SELECT name FROM @.bucket_by_id WHERE id = ?`
)

// allOwners is the partition of the index that has all buckets.
const allOwners = "*"

// ownerPartition returns the partition of an owner's buckets.
func ownerPartition(owner string) string { return "=" + owner }

// CreateBucket implements [meta.Buckets]. The indexes are written first, so that no
// bucket is missing in them; readers compare them with the bucket's own row.
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	config, err := meta.Marshal(b.Config)
	if err != nil {
		return meta.Bucket{}, err
	}
	if err := s.index(ctx, b, putBucketOwner, cql.Statement(putBucketName, b.ID[:], b.Name)); err != nil {
		return meta.Bucket{}, cql.Wrap(err, "create bucket %q", b.Name)
	}
	insert := cql.Statement(insertBucket, b.Name, b.ID[:], b.Rev, string(b.State), b.Owner, b.Created.UnixMicro(), config, b.Config.Region, b.Config.Location)
	for try := range cql.MaxTries {
		applied, err := s.buckets.CAS(ctx, insert)
		if applied {
			s.names.learn(b.ID, b.Name)
			return b, nil
		}
		if errors.Is(err, cql.ErrNotApplied) {
			return meta.Bucket{}, cql.Wrap(err, "create bucket %q", b.Name)
		}
		was, found, err := s.readBucket(ctx, s.buckets.Serial, b.Name)
		switch {
		case err != nil:
			return meta.Bucket{}, fmt.Errorf("create bucket %q: %w: %w", b.Name, meta.ErrUnknownOutcome, err)
		case found && was.ID == b.ID:
			s.names.learn(b.ID, b.Name)
			return was, nil
		case found:
			s.unindex(b)
			return was, fmt.Errorf("create bucket %q: %w", b.Name, meta.ErrExists)
		}
		if err := cql.Backoff(ctx, try); err != nil {
			break
		}
	}
	return meta.Bucket{}, fmt.Errorf("create bucket %q: %w", b.Name, meta.ErrUnknownOutcome)
}

// index writes to both indexes by owner, and makes one more write.
func (s *Store) index(ctx context.Context, b meta.Bucket, stmt string, more gocql.BatchEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.buckets.Exec(gctx, more.Stmt, more.Args...) })
	g.Go(func() error { return s.buckets.Exec(gctx, stmt, allOwners, b.Name, b.ID[:]) })
	g.Go(func() error { return s.buckets.Exec(gctx, stmt, ownerPartition(b.Owner), b.Name, b.ID[:]) })
	return g.Wait()
}

// unindex asynchronously removes a bucket from the indexes that is gone, or was never
// created. If that fails, what is left costs listings a read.
func (s *Store) unindex(b meta.Bucket) {
	s.background.Go(3*s.db.Timeout, func(ctx context.Context) {
		if err := s.index(ctx, b, deleteBucketOwner, cql.Statement(deleteBucketName, b.ID[:])); err != nil {
			s.o.Log.Warn("removing the index rows of a deleted bucket failed: " + err.Error())
		}
	})
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	var b meta.Bucket
	var found bool
	var err error
	if name != "" && meta.CheckText(name) == nil { // Cassandra refuses others as keys
		b, found, err = s.readBucket(ctx, s.buckets.Consistency, name)
	}
	if err == nil && !found {
		err = meta.ErrNotFound
	}
	if err != nil {
		return meta.Bucket{}, cql.Wrap(err, "bucket %q", name)
	}
	s.names.learn(b.ID, b.Name)
	return b, nil
}

func (s *Store) readBucket(ctx context.Context, c gocql.Consistency, name string) (meta.Bucket, bool, error) {
	var id, config []byte
	var created int64
	var state string
	b := meta.Bucket{Name: name}
	found, err := s.buckets.QueryRow(ctx, c, []any{&id, &b.Rev, &state, &b.Owner, &created, &config}, selectBucket, name)
	if err != nil || !found {
		return meta.Bucket{}, false, err
	}
	b.ID, b.State, b.Created = cql.ID(id), meta.BucketState(state), time.UnixMicro(created).UTC()
	return b, true, meta.Unmarshal(config, &b.Config)
}

// UpdateBucket implements [meta.Buckets].
func (s *Store) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	config, err := meta.Marshal(b.Config)
	if err != nil {
		return err
	}
	update := cql.Statement(updateBucket, b.Rev, string(b.State), config, b.Name, b.ID[:], ifRev)
	done := func(was meta.Bucket) bool {
		now, err := meta.Marshal(was.Config)
		return err == nil && was.Rev == b.Rev && was.State == b.State && bytes.Equal(now, config)
	}
	return cql.Wrap(s.casBucket(ctx, b, ifRev, update, done), "update bucket %q", b.Name)
}

// RemoveBucket implements [meta.Buckets].
func (s *Store) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	remove := cql.Statement(removeBucket, b.Name, b.ID[:], b.Rev)
	err := s.casBucket(ctx, b, b.Rev, remove, nil)
	if err == nil {
		s.unindex(b)
	}
	return cql.Wrap(err, "remove bucket %q", b.Name)
}

// casBucket makes a conditional change of a bucket's row. done reports whether a row
// shows the change; nil: the change removes the row.
func (s *Store) casBucket(ctx context.Context, b meta.Bucket, ifRev int64, change gocql.BatchEntry, done func(meta.Bucket) bool) error {
	unknown := false
	for try := range cql.MaxTries {
		applied, err := s.buckets.CAS(ctx, change)
		if applied || errors.Is(err, cql.ErrNotApplied) && !unknown {
			return err
		}
		unknown = unknown || err != nil
		was, found, readErr := s.readBucket(ctx, s.buckets.Serial, b.Name)
		gone := !found || was.ID != b.ID // or the name has another life
		switch {
		case readErr != nil && unknown:
			return fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, readErr)
		case readErr != nil:
			return readErr
		case gone && unknown && done == nil, !gone && unknown && done != nil && done(was):
			return nil
		case !found:
			return meta.ErrNotFound
		case gone, was.Rev != ifRev:
			return meta.ErrConflict
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return err
		}
	}
	return meta.ErrUnknownOutcome
}

// ListBuckets implements [meta.Buckets]. It reads the names from the index, and the
// buckets' own rows.
func (s *Store) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	if err := meta.CheckText(owner, after); err != nil {
		return nil, cql.Wrap(err, "list buckets")
	}
	var list []meta.Bucket
	limit = min(limit, cql.MaxLimit)
	shelf := allOwners
	if owner != "" {
		shelf = ownerPartition(owner)
	}
	for more := true; more && len(list) < limit; {
		names, err := s.readIndex(ctx, shelf, after, limit)
		if err != nil {
			return nil, cql.Wrap(err, "list buckets")
		}
		found, err := s.readBuckets(ctx, names)
		if err != nil {
			return nil, cql.Wrap(err, "list buckets")
		}
		list = append(list, found...)
		if more = len(names) == limit; more {
			after = names[len(names)-1].name
		}
	}
	return list[:min(len(list), max(limit, 0))], nil
}

type indexedBucket struct {
	name string
	ids  []meta.BucketID
}

// readIndex reads a page of the index: up to limit names, each with the ids of its lives
// that have a row.
func (s *Store) readIndex(ctx context.Context, shelf, after string, limit int) ([]indexedBucket, error) {
	var names []indexedBucket
	n := limit + 64 // left by crashes; more than these hide a name's last lives
	rows := 0
	err := s.buckets.QueryRows(ctx, s.buckets.Consistency, n, func(row gocql.Scanner) error {
		var name string
		var id []byte
		if err := row.Scan(&name, &id); err != nil {
			return err
		}
		rows++
		if k := len(names); k > 0 && names[k-1].name == name {
			names[k-1].ids = append(names[k-1].ids, cql.ID(id))
		} else {
			names = append(names, indexedBucket{name: name, ids: []meta.BucketID{cql.ID(id)}})
		}
		return nil
	}, selectBucketOwner, shelf, after, n)
	return names[:min(len(names), limit)], err
}

// readListedBucket reads what a listing shows of a bucket. A bucket of an older program,
// which did not store the region in a column, is read whole.
func (s *Store) readListedBucket(ctx context.Context, name string) (meta.Bucket, bool, error) {
	var id []byte
	var created int64
	var region *string
	b := meta.Bucket{Name: name}
	found, err := s.buckets.QueryRow(ctx, s.buckets.Consistency, []any{&id, &b.Owner, &created, &region, &b.Config.Location}, selectListedBucket, name)
	if err != nil || !found {
		return meta.Bucket{}, false, err
	}
	if region == nil {
		b, found, err = s.readBucket(ctx, s.buckets.Consistency, name)
		return b.Listed(), found, err
	}
	b.ID, b.Created, b.Config.Region = cql.ID(id), time.UnixMicro(created).UTC(), *region
	return b, true, nil
}

// readBuckets reads the buckets of index rows, in the same order, without those that are
// gone.
func (s *Store) readBuckets(ctx context.Context, rows []indexedBucket) ([]meta.Bucket, error) {
	found := make([]*meta.Bucket, len(rows))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for i, r := range rows {
		g.Go(func() error {
			b, ok, err := s.readListedBucket(gctx, r.name)
			if ok && slices.Contains(r.ids, b.ID) {
				found[i] = &b
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var list []meta.Bucket
	for _, b := range found {
		if b != nil {
			list = append(list, *b)
		}
	}
	return list, nil
}
