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
)

const (
	insertBucket       = `INSERT INTO @.bucket (name, id, rev, state, owner, created, config, region, location) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS`
	selectBucket       = `SELECT id, rev, state, owner, created, config FROM @.bucket WHERE name = ?`
	selectListedBucket = `SELECT id, owner, created, region, location FROM @.bucket WHERE name = ?`
	updateBucket       = `UPDATE @.bucket SET rev = ?, state = ?, config = ? WHERE name = ? IF id = ? AND rev = ?`
	removeBucket       = `DELETE FROM @.bucket WHERE name = ? IF id = ? AND rev = ?`

	// Rows of the indexes belong to one life of a bucket, so they are written
	// once and deleted once: two fixed timestamps are enough, and no clock.
	putBucketOwner    = `INSERT INTO @.bucket_by_owner (shelf, name, id) VALUES (?, ?, ?) USING TIMESTAMP 1`
	deleteBucketOwner = `DELETE FROM @.bucket_by_owner USING TIMESTAMP 2 WHERE shelf = ? AND name = ? AND id = ?`
	selectBucketOwner = `SELECT name, id FROM @.bucket_by_owner WHERE shelf = ? AND name > ? LIMIT ?`
	putBucketName     = `INSERT INTO @.bucket_by_id (id, name) VALUES (?, ?) USING TIMESTAMP 1`
	deleteBucketName  = `DELETE FROM @.bucket_by_id USING TIMESTAMP 2 WHERE id = ?`
	selectBucketName  = `SELECT name FROM @.bucket_by_id WHERE id = ?`
)

// everybody is the partition of the index that has all buckets.
const everybody = "*"

// ownerShelf is the partition of an owner's buckets.
func ownerShelf(owner string) string { return "=" + owner }

// CreateBucket implements [meta.Buckets]. The indexes are written first, so
// that no bucket is missing in them; readers compare with the bucket itself.
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	config, err := meta.Marshal(b.Config)
	if err != nil {
		return meta.Bucket{}, err
	}
	if err := s.index(ctx, b, putBucketOwner, entry(putBucketName, b.ID[:], b.Name)); err != nil {
		return meta.Bucket{}, wrap(err, "create bucket %q", b.Name)
	}
	insert := entry(insertBucket, b.Name, b.ID[:], b.Rev, string(b.State), b.Owner, b.Created.UnixMicro(), config, b.Config.Region, b.Config.Location)
	for try := range tries {
		applied, err := s.buckets.cas(ctx, insert)
		if applied {
			s.names.learn(b.ID, b.Name)
			return b, nil
		}
		if errors.Is(err, errUnsent) {
			return meta.Bucket{}, wrap(err, "create bucket %q", b.Name)
		}
		was, found, err := s.readBucket(ctx, s.buckets.serial, b.Name)
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
		if err := pause(ctx, try); err != nil {
			break
		}
	}
	return meta.Bucket{}, fmt.Errorf("create bucket %q: %w", b.Name, meta.ErrUnknownOutcome)
}

// index writes to both indexes by owner, and makes one write more.
func (s *Store) index(ctx context.Context, b meta.Bucket, stmt string, more gocql.BatchEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.buckets.write(gctx, more.Stmt, more.Args...) })
	g.Go(func() error { return s.buckets.write(gctx, stmt, everybody, b.Name, b.ID[:]) })
	g.Go(func() error { return s.buckets.write(gctx, stmt, ownerShelf(b.Owner), b.Name, b.ID[:]) })
	return g.Wait()
}

// unindex takes a bucket that is gone, or never was, out of the indexes,
// behind the answer. What is left of a failure there costs listings a read.
func (s *Store) unindex(b meta.Bucket) {
	s.behind.do(func(ctx context.Context) {
		if err := s.index(ctx, b, deleteBucketOwner, entry(deleteBucketName, b.ID[:])); err != nil {
			s.o.Log.Warn("index row of a bucket that is gone: " + err.Error())
		}
	})
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	var b meta.Bucket
	var found bool
	var err error
	if name != "" && meta.CheckText(name) == nil { // which Cassandra refuses as keys
		b, found, err = s.readBucket(ctx, s.buckets.consistency, name)
	}
	if err == nil && !found {
		err = meta.ErrNotFound
	}
	if err != nil {
		return meta.Bucket{}, wrap(err, "bucket %q", name)
	}
	s.names.learn(b.ID, b.Name)
	return b, nil
}

func (s *Store) readBucket(ctx context.Context, c gocql.Consistency, name string) (meta.Bucket, bool, error) {
	var id, config []byte
	var created int64
	var state string
	b := meta.Bucket{Name: name}
	found, err := s.buckets.one(ctx, c, []any{&id, &b.Rev, &state, &b.Owner, &created, &config}, selectBucket, name)
	if err != nil || !found {
		return meta.Bucket{}, false, err
	}
	b.ID, b.State, b.Created = idOf(id), meta.BucketState(state), time.UnixMicro(created).UTC()
	return b, true, meta.Unmarshal(config, &b.Config)
}

// UpdateBucket implements [meta.Buckets].
func (s *Store) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	config, err := meta.Marshal(b.Config)
	if err != nil {
		return err
	}
	update := entry(updateBucket, b.Rev, string(b.State), config, b.Name, b.ID[:], ifRev)
	done := func(was meta.Bucket) bool {
		now, err := meta.Marshal(was.Config)
		return err == nil && was.Rev == b.Rev && was.State == b.State && bytes.Equal(now, config)
	}
	return wrap(s.changeBucket(ctx, b, ifRev, update, done), "update bucket %q", b.Name)
}

// RemoveBucket implements [meta.Buckets].
func (s *Store) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	remove := entry(removeBucket, b.Name, b.ID[:], b.Rev)
	err := s.changeBucket(ctx, b, b.Rev, remove, nil)
	if err == nil {
		s.unindex(b)
	}
	return wrap(err, "remove bucket %q", b.Name)
}

// changeBucket makes a conditional change of a bucket's row. done tells
// whether a row shows it; nil: the row is to be gone.
func (s *Store) changeBucket(ctx context.Context, b meta.Bucket, ifRev int64, change gocql.BatchEntry, done func(meta.Bucket) bool) error {
	unknown := false
	for try := range tries {
		applied, err := s.buckets.cas(ctx, change)
		if applied || errors.Is(err, errUnsent) && !unknown {
			return err
		}
		unknown = unknown || err != nil
		was, found, readErr := s.readBucket(ctx, s.buckets.serial, b.Name)
		gone := !found || was.ID != b.ID // or in another life
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
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	return meta.ErrUnknownOutcome
}

// ListBuckets implements [meta.Buckets]. The index gives the names; what
// counts are the buckets' own rows.
func (s *Store) ListBuckets(ctx context.Context, owner, after string, limit int) ([]meta.Bucket, error) {
	if err := meta.CheckText(owner, after); err != nil {
		return nil, wrap(err, "list buckets")
	}
	var list []meta.Bucket
	limit = min(limit, maxLimit)
	shelf := everybody
	if owner != "" {
		shelf = ownerShelf(owner)
	}
	for more := true; more && len(list) < limit; {
		names, err := s.indexed(ctx, shelf, after, limit)
		if err != nil {
			return nil, wrap(err, "list buckets")
		}
		found, err := s.readBuckets(ctx, names)
		if err != nil {
			return nil, wrap(err, "list buckets")
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

// indexed reads a page of the index: up to limit names, with the lives that
// each has had and not yet left.
func (s *Store) indexed(ctx context.Context, shelf, after string, limit int) ([]indexedBucket, error) {
	var names []indexedBucket
	n := limit + 64 // lives that a crash has left; more than these hide one name's last ones
	rows := 0
	err := s.buckets.each(ctx, s.buckets.consistency, n, func(row gocql.Scanner) error {
		var name string
		var id []byte
		if err := row.Scan(&name, &id); err != nil {
			return err
		}
		rows++
		if k := len(names); k > 0 && names[k-1].name == name {
			names[k-1].ids = append(names[k-1].ids, idOf(id))
		} else {
			names = append(names, indexedBucket{name: name, ids: []meta.BucketID{idOf(id)}})
		}
		return nil
	}, selectBucketOwner, shelf, after, n)
	return names[:min(len(names), limit)], err
}

// readListedBucket reads what a listing shows of a bucket. One that an older
// program made, which did not store its region apart, is read whole.
func (s *Store) readListedBucket(ctx context.Context, name string) (meta.Bucket, bool, error) {
	var id []byte
	var created int64
	var region *string
	b := meta.Bucket{Name: name}
	found, err := s.buckets.one(ctx, s.buckets.consistency, []any{&id, &b.Owner, &created, &region, &b.Config.Location}, selectListedBucket, name)
	if err != nil || !found {
		return meta.Bucket{}, false, err
	}
	if region == nil {
		b, found, err = s.readBucket(ctx, s.buckets.consistency, name)
		return b.Listed(), found, err
	}
	b.ID, b.Created, b.Config.Region = idOf(id), time.UnixMicro(created).UTC(), *region
	return b, true, nil
}

// readBuckets reads the buckets of index rows, in their order, without those
// that are gone.
func (s *Store) readBuckets(ctx context.Context, rows []indexedBucket) ([]meta.Bucket, error) {
	found := make([]*meta.Bucket, len(rows))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(resolveAtOnce)
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
