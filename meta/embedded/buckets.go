package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// bucketRow is the stored form of a bucket, without its name.
type bucketRow struct {
	ID      meta.BucketID     `cbor:"1,keyasint"`
	Rev     int64             `cbor:"2,keyasint"`
	State   meta.BucketState  `cbor:"3,keyasint"`
	Owner   string            `cbor:"4,keyasint,omitempty"`
	Created int64             `cbor:"5,keyasint"` // µs since 1970
	Config  meta.BucketConfig `cbor:"6,keyasint"`
}

func rowOfBucket(b meta.Bucket) bucketRow {
	return bucketRow{b.ID, b.Rev, b.State, b.Owner, b.Created.UnixMicro(), b.Config}
}

func (r bucketRow) bucket(name string) meta.Bucket {
	return meta.Bucket{Name: name, ID: r.ID, Rev: r.Rev, State: r.State, Owner: r.Owner, Created: time.UnixMicro(r.Created).UTC(), Config: r.Config}
}

// ownedRow is the value of a row of the index of owners' buckets: what a
// listing shows of a bucket in addition to its name. It never changes. Rows of
// earlier versions are empty.
type ownedRow struct {
	ID      meta.BucketID `cbor:"1,keyasint"`
	Created int64         `cbor:"2,keyasint"` // µs since 1970
	Region  string        `cbor:"3,keyasint,omitempty"`
	// Location is [meta.BucketConfig.Location].
	Location string `cbor:"4,keyasint,omitempty"`
}

func ownerKey(owner, name string) []byte {
	return append(escaped([]byte{tableOwner}, owner), name...)
}

// CreateBucket implements [meta.Buckets].
func (s *Store) CreateBucket(ctx context.Context, b meta.Bucket) (meta.Bucket, error) {
	if err := s.enter(ctx); err != nil {
		return meta.Bucket{}, fmt.Errorf("create bucket %q: %w", b.Name, err)
	}
	defer s.leave()
	key := nameKey(tableBucket, b.Name)
	defer s.names.lock(key)()
	old, err := s.bucket(b.Name)
	if err == nil {
		return old, fmt.Errorf("bucket %q: %w", b.Name, meta.ErrExists)
	}
	if !errors.Is(err, meta.ErrNotFound) {
		return meta.Bucket{}, err
	}
	row := rowOfBucket(b)
	err = s.applySync(key, func(batch *pebble.Batch) error {
		return errors.Join(
			setRow(batch, key, row),
			batch.Set(idKey(tableState, b.ID), []byte(b.State), nil),
			setRow(batch, ownerKey(b.Owner, b.Name), ownedRow{b.ID, row.Created, b.Config.Region, b.Config.Location}))
	})
	return row.bucket(b.Name), err
}

// bucket reads a row; the caller holds a lock of the name.
func (s *Store) bucket(name string) (meta.Bucket, error) {
	var row bucketRow
	if err := s.getRow(nameKey(tableBucket, name), &row); err != nil {
		return meta.Bucket{}, fmt.Errorf("bucket %q: %w", name, err)
	}
	return row.bucket(name), nil
}

// Bucket implements [meta.Buckets].
func (s *Store) Bucket(ctx context.Context, name string) (meta.Bucket, error) {
	if meta.CheckText(name) != nil { // no bucket has such a name
		return meta.Bucket{}, fmt.Errorf("bucket %.80q: %w", name, meta.ErrNotFound)
	}
	if err := s.enter(ctx); err != nil {
		return meta.Bucket{}, fmt.Errorf("bucket %q: %w", name, err)
	}
	defer s.leave()
	defer s.names.rlock(nameKey(tableBucket, name))()
	return s.bucket(name)
}

// sameBucket returns the row of b.Name if its ID and revision are those given.
func (s *Store) sameBucket(b meta.Bucket, rev int64) (meta.Bucket, error) {
	old, err := s.bucket(b.Name)
	if err == nil && (old.Rev != rev || old.ID != b.ID) {
		err = fmt.Errorf("bucket %q: %w", b.Name, meta.ErrConflict)
	}
	return old, err
}

// UpdateBucket implements [meta.Buckets].
func (s *Store) UpdateBucket(ctx context.Context, b meta.Bucket, ifRev int64) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("update bucket %q: %w", b.Name, err)
	}
	defer s.leave()
	if b.Rev <= ifRev {
		return fmt.Errorf("update bucket %q: revision %d does not follow %d", b.Name, b.Rev, ifRev)
	}
	key := nameKey(tableBucket, b.Name)
	defer s.names.lock(key)()
	old, err := s.sameBucket(b, ifRev)
	if err != nil {
		return err
	}
	if old.State != b.State {
		// A change reads the state and holds this lock until it is made, so no
		// change that has read the old state is made after this one.
		defer s.buckets.lock(b.ID[:])()
	}
	b.Owner, b.Created = old.Owner, old.Created
	return s.applySync(key, func(batch *pebble.Batch) error {
		return errors.Join(
			setRow(batch, key, rowOfBucket(b)),
			batch.Set(idKey(tableState, b.ID), []byte(b.State), nil))
	})
}

// RemoveBucket implements [meta.Buckets].
func (s *Store) RemoveBucket(ctx context.Context, b meta.Bucket) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("remove bucket %q: %w", b.Name, err)
	}
	defer s.leave()
	key := nameKey(tableBucket, b.Name)
	defer s.names.lock(key)()
	old, err := s.sameBucket(b, b.Rev)
	if err != nil {
		return err
	}
	defer s.buckets.lock(b.ID[:])()
	gone := rowKey(tableGone, b.ID, "")
	return s.applySync(key, func(batch *pebble.Batch) error {
		return errors.Join(
			batch.Delete(key, nil),
			batch.Delete(idKey(tableState, b.ID), nil),
			batch.Delete(ownerKey(old.Owner, b.Name), nil),
			batch.DeleteRange(gone, after(gone), nil))
	})
}

// checkState returns an error unless the bucket accepts writes; the caller holds a
// lock of the bucket until its change is made.
func (s *Store) checkState(id meta.BucketID) error {
	v, err := s.get(idKey(tableState, id))
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return meta.ErrBucketGone
	case err != nil:
		return err
	case meta.BucketState(v) == meta.BucketDeleting:
		return meta.ErrBucketDeleting
	}
	return nil
}

// ListBuckets implements [meta.Buckets].
func (s *Store) ListBuckets(ctx context.Context, owner, afterName string, limit int) ([]meta.Bucket, error) {
	if err := meta.CheckText(owner, afterName); err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	defer s.leave()
	if err := meta.CheckText(owner, afterName); err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	prefix := []byte{tableBucket}
	if owner != "" {
		prefix = ownerKey(owner, "")
	}
	lo := append(append([]byte(nil), prefix...), afterName...)
	if afterName != "" {
		lo = append(lo, 0)
	}
	var found []meta.Bucket
	err := s.iterate(ctx, lo, after(prefix), func(key, value []byte) (bool, error) {
		if len(found) >= limit {
			return false, nil
		}
		b, err := s.listedBucket(string(key[len(prefix):]), owner, value)
		if errors.Is(err, meta.ErrNotFound) {
			return true, nil // removed after the iteration began
		}
		found = append(found, b)
		return true, err
	})
	if err == nil {
		err = s.flights.wait(ctx, nameKey(tableBucket, afterName), []byte{tableBucket + 1})
	}
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	return found, nil
}

// listedBucket is the bucket of a row of the index of owner or, without an owner,
// of the table of buckets.
func (s *Store) listedBucket(name, owner string, value []byte) (meta.Bucket, error) {
	var b meta.Bucket
	var err error
	switch {
	case owner == "":
		var row bucketRow
		err = meta.Unmarshal(value, &row)
		b = row.bucket(name)
	case len(value) == 0: // of an earlier version
		unlock := s.names.rlock(nameKey(tableBucket, name))
		b, err = s.bucket(name)
		unlock()
		if err == nil && b.Owner != owner {
			err = meta.ErrNotFound // removed, and created again by another owner
		}
	default:
		var row ownedRow
		err = meta.Unmarshal(value, &row)
		b = bucketRow{ID: row.ID, Owner: owner, Created: row.Created, Config: meta.BucketConfig{Region: row.Region, Location: row.Location}}.bucket(name)
	}
	return b.Listed(), err
}

// Empty implements [meta.Buckets]. UpdateBucket has set the state with the bucket
// locked against changes, so no later change can add a version.
func (s *Store) Empty(ctx context.Context, id meta.BucketID) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, fmt.Errorf("check that bucket %s is empty: %w", id, err)
	}
	defer s.leave()
	defer s.buckets.rlock(id[:])()
	empty := true
	lo, hi := keyRange(tableHead, id, "", "")
	err := s.iterate(ctx, lo, hi, func(_, _ []byte) (bool, error) {
		empty = false
		return false, nil
	})
	return empty && err == nil, err
}
