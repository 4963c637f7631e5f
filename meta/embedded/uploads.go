package embedded

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// uploadRow is the stored form of an upload, without its id.
type uploadRow struct {
	Bucket meta.BucketID    `cbor:"1,keyasint"`
	Key    string           `cbor:"2,keyasint"`
	Rev    int64            `cbor:"3,keyasint"`
	State  meta.UploadState `cbor:"4,keyasint"`
	Doc    meta.UploadDoc   `cbor:"5,keyasint"`
}

func (r uploadRow) upload(id meta.UploadID) meta.Upload {
	return meta.Upload{ID: id, Bucket: r.Bucket, Key: r.Key, Rev: r.Rev, State: r.State, Doc: r.Doc}
}

// listedUploadRow has the fields of an uploadRow that a listing reads.
type listedUploadRow struct {
	Bucket meta.BucketID        `cbor:"1,keyasint"`
	Key    string               `cbor:"2,keyasint"`
	Rev    int64                `cbor:"3,keyasint"`
	State  meta.UploadState     `cbor:"4,keyasint"`
	Doc    meta.ListedUploadDoc `cbor:"5,keyasint"`
}

func (r listedUploadRow) upload(id meta.UploadID) meta.Upload {
	return meta.Upload{ID: id, Bucket: r.Bucket, Key: r.Key, Rev: r.Rev, State: r.State, Doc: r.Doc.Doc()}
}

// openKey is the row by which an open upload is listed: an uploadRow with the
// fields that listings show, so that a page needs one iteration. Rows of earlier
// versions have all fields.
func openKey(bucket meta.BucketID, key string, id meta.UploadID) []byte {
	return append(keyPrefix(tableOpen, bucket, key), id[:]...)
}

func partKey(id meta.UploadID, number int) []byte {
	return binary.BigEndian.AppendUint32(idKey(tablePart, id), uint32(number))
}

// CreateUpload implements [meta.Uploads].
func (s *Store) CreateUpload(ctx context.Context, u meta.Upload) error {
	if err := meta.CheckText(u.Key); err != nil {
		return fmt.Errorf("create an upload: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("create an upload of %q: %w", u.Key, err)
	}
	defer s.leave()
	defer s.buckets.rlock(u.Bucket[:])()
	if err := s.checkState(u.Bucket); err != nil {
		return fmt.Errorf("create an upload of %q: %w", u.Key, err)
	}
	defer s.uploads.lock(u.ID[:])()
	u.State = meta.UploadOpen
	return s.setUpload(u)
}

// setUpload writes an upload's row, and lists it if it is open; the caller
// has locked it.
func (s *Store) setUpload(u meta.Upload) error {
	listed := openKey(u.Bucket, u.Key, u.ID)
	return s.applySync(listed, func(b *pebble.Batch) error {
		row := uploadRow{u.Bucket, u.Key, u.Rev, u.State, u.Doc}
		if err := setRow(b, idKey(tableUpload, u.ID), row); err != nil {
			return err
		}
		if u.State == meta.UploadOpen {
			row.Doc = u.Doc.Listed()
			return setRow(b, listed, row)
		}
		return b.Delete(listed, nil)
	})
}

// upload reads an upload's row; the caller holds a lock of it.
func (s *Store) upload(bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	var row uploadRow
	err := s.getRow(idKey(tableUpload, id), &row)
	if err == nil && (row.Bucket != bucket || row.Key != key) {
		err = meta.ErrNotFound
	}
	if err != nil {
		return meta.Upload{}, fmt.Errorf("upload %s of %q: %w", id, key, err)
	}
	return row.upload(id), nil
}

// Upload implements [meta.Uploads].
func (s *Store) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	if err := s.enter(ctx); err != nil {
		return meta.Upload{}, fmt.Errorf("upload %s: %w", id, err)
	}
	defer s.leave()
	defer s.uploads.rlock(id[:])()
	return s.upload(bucket, key, id)
}

// SetUploadState implements [meta.Uploads].
func (s *Store) SetUploadState(ctx context.Context, u meta.Upload, state meta.UploadState) (meta.Upload, error) {
	if err := s.enter(ctx); err != nil {
		return meta.Upload{}, fmt.Errorf("upload %s: %w", u.ID, err)
	}
	defer s.leave()
	defer s.uploads.lock(u.ID[:])()
	old, err := s.upload(u.Bucket, u.Key, u.ID)
	if err != nil {
		return meta.Upload{}, err
	}
	if old.Rev != u.Rev {
		return meta.Upload{}, fmt.Errorf("upload %s, which is %s: %w", u.ID, old.State, meta.ErrConflict)
	}
	u.Rev, u.State = meta.NextRev(u.Rev, s.opts.Now()), state
	if err := s.setUpload(u); err != nil {
		return meta.Upload{}, fmt.Errorf("upload %s: %w", u.ID, err)
	}
	return s.upload(u.Bucket, u.Key, u.ID)
}

// PutPart implements [meta.Uploads]. It shares the upload's lock, which a change
// of the state takes exclusively: either that change sees the part, or PutPart
// sees the new state.
func (s *Store) PutPart(ctx context.Context, u meta.Upload, p meta.Part) error {
	err := s.enter(ctx)
	if err == nil {
		defer s.leave()
		err = s.putPart(u, p)
	}
	if err != nil {
		return fmt.Errorf("put part %d of upload %s: %w", p.Number, u.ID, err)
	}
	return nil
}

func (s *Store) putPart(u meta.Upload, p meta.Part) error {
	if p.Number < 0 || p.Number > 1<<31-1 {
		return fmt.Errorf("part number %d is out of range", p.Number)
	}
	defer s.uploads.rlock(u.ID[:])()
	now, err := s.upload(u.Bucket, u.Key, u.ID)
	if err != nil {
		return err
	}
	if now.State != meta.UploadOpen {
		return meta.ErrUploadClosed
	}
	key := partKey(u.ID, p.Number)
	return s.applySync(key, func(b *pebble.Batch) error { return setRow(b, key, p) })
}

// Parts implements [meta.Uploads].
func (s *Store) Parts(ctx context.Context, id meta.UploadID, afterPart, limit int) ([]meta.Part, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("parts of upload %s: %w", id, err)
	}
	defer s.leave()
	lo, hi := partKey(id, max(afterPart, -1)+1), after(idKey(tablePart, id))
	var parts []meta.Part
	err := s.iterate(ctx, lo, hi, func(key, value []byte) (bool, error) {
		if len(parts) >= limit {
			return false, nil
		}
		p := meta.Part{Number: int(binary.BigEndian.Uint32(key[len(key)-4:]))}
		if err := meta.Unmarshal(value, &p); err != nil {
			return false, err
		}
		parts = append(parts, p)
		return true, nil
	})
	if err == nil {
		err = s.flights.wait(ctx, lo, hi)
	}
	if err != nil {
		return nil, fmt.Errorf("parts of upload %s: %w", id, err)
	}
	return parts, nil
}

// ListUploads implements [meta.Uploads].
func (s *Store) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	if err := meta.CheckText(from, to); err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	defer s.leave()
	lo, hi := keyPrefix(tableOpen, bucket, from), keyPrefix(tableOpen, bucket, to)
	if afterID != (meta.UploadID{}) {
		lo = append(openKey(bucket, from, afterID), 0)
	}
	if to == "" {
		hi = after(rowKey(tableOpen, bucket, ""))
	}
	var found []meta.Upload
	if string(lo) >= string(hi) {
		return nil, nil
	}
	err := s.iterate(ctx, lo, hi, func(k, value []byte) (bool, error) {
		if len(found) >= limit {
			return false, nil
		}
		var row listedUploadRow
		if err := meta.Unmarshal(value, &row); err != nil {
			return false, err
		}
		found = append(found, row.upload(meta.UploadID(k[len(k)-idLen:])))
		return true, nil
	})
	if err == nil {
		err = s.flights.wait(ctx, lo, hi)
	}
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	return found, nil
}

// ForgetUpload implements [meta.Uploads].
func (s *Store) ForgetUpload(ctx context.Context, u meta.Upload) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("forget upload %s: %w", u.ID, err)
	}
	defer s.leave()
	defer s.uploads.lock(u.ID[:])()
	listed, parts := openKey(u.Bucket, u.Key, u.ID), idKey(tablePart, u.ID)
	return s.applySync(listed, func(b *pebble.Batch) error {
		if err := b.Delete(listed, nil); err != nil {
			return err
		}
		if err := b.DeleteRange(parts, after(parts), nil); err != nil {
			return err
		}
		at := s.steadyNow().Add(s.opts.RememberUploads)
		return b.Set(timeKey(tableForget, at, u.ID), nil, nil)
	})
}
