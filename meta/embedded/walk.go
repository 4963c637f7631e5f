package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pithos/pithos/meta"
)

// walkPage is the number of rows that a walk reads at once, so that no iterator
// stays open while a visitor runs.
const walkPage = 512

// tableShare is the range of a table that a share covers. It depends on the first
// two bytes after the table's: those of a bucket's or an upload's random id. So
// one bucket is in one share.
func tableShare(table byte, s meta.Share) (lo, hi []byte) {
	at := func(part int) []byte {
		if part == s.Of {
			return []byte{table + 1}
		}
		return binary.BigEndian.AppendUint16([]byte{table}, uint16(uint64(part)<<16/uint64(s.Of)))
	}
	return at(s.Part), at(s.Part + 1)
}

// walk calls visit for the rows of a share of a table. The visitor may keep keys
// and values.
func (s *Store) walk(ctx context.Context, table byte, share meta.Share, visit func(key, value []byte) error) error {
	lo, hi := tableShare(table, share)
	for {
		keys, values, err := s.walkRows(ctx, lo, hi)
		if err != nil {
			return err
		}
		for i := range keys {
			if err := visit(keys[i], values[i]); err != nil {
				return err
			}
		}
		if len(keys) < walkPage {
			return ctx.Err()
		}
		lo = append(keys[len(keys)-1], 0)
	}
}

func (s *Store) walkRows(ctx context.Context, lo, hi []byte) (keys, values [][]byte, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer s.leave()
	err = s.iterate(ctx, lo, hi, func(key, value []byte) (bool, error) {
		keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
		return len(keys) < walkPage, nil
	})
	if err == nil {
		err = s.flights.wait(ctx, lo, hi)
	}
	return keys, values, err
}

// errDamagedKey: a row's key cannot be decoded.
var errDamagedKey = errors.New("the key of a row is damaged")

// splitVersionKey takes apart the key of a version's row.
func splitVersionKey(row []byte) (bucket meta.BucketID, key string, seq int64, err error) {
	if len(row) < 1+idLen+2+8 {
		return bucket, "", 0, fmt.Errorf("%w: %x", errDamagedKey, row)
	}
	bucket = meta.BucketID(row[1 : 1+idLen])
	text, ok := unescaped(row[1+idLen : len(row)-8])
	if !ok {
		return bucket, "", 0, fmt.Errorf("%w: %x", errDamagedKey, row)
	}
	return bucket, text, seqOf(row), nil
}

// unescaped reads what escaped wrote.
func unescaped(b []byte) (string, bool) {
	end := len(b) - 2
	if end < 0 || b[end] != 0 || b[end+1] != 1 {
		return "", false
	}
	out := make([]byte, 0, end)
	for i := 0; i < end; i++ {
		if out = append(out, b[i]); b[i] == 0 {
			if i++; i >= end || b[i] != 0xff {
				return "", false
			}
		}
	}
	return string(out), true
}

// Walk implements [meta.Walker]. There are no parts of listings to visit: a
// listing is the rows of keys that have versions, so nothing is left of the
// listing of a bucket that was removed.
func (s *Store) Walk(ctx context.Context, share meta.Share, v meta.Visitor) error {
	err := share.Check()
	if err == nil && v.Version != nil {
		err = s.walkVersions(ctx, share, v.Payload, v.Version)
	}
	if err == nil && v.Upload != nil {
		err = s.walkUploads(ctx, share, v.Upload)
	}
	if err == nil && v.QueueEntry != nil {
		err = s.walkQueue(ctx, share, v.QueueEntry)
	}
	if err == nil && v.Reference != nil {
		err = s.walkReferences(ctx, share, v.Reference)
	}
	return err
}

// walkVersions reads the versions' own rows.
func (s *Store) walkVersions(ctx context.Context, share meta.Share, payload bool, visit func(meta.VersionRow) error) error {
	var last meta.VersionRow
	err := s.walk(ctx, tableVersion, share, func(name, value []byte) error {
		var r meta.VersionRow
		var err error
		if r.Bucket, r.Key, r.Seq, err = splitVersionKey(name); err != nil {
			return err
		}
		if err := meta.Unmarshal(value, &r.Version); err != nil {
			return fmt.Errorf("version %d of key %q: %w", r.Seq, r.Key, err)
		}
		if r.Rev = last.Rev; r.Bucket != last.Bucket || r.Key != last.Key {
			if r.Rev, err = s.revOf(ctx, r.Bucket, r.Key); err != nil {
				return err
			}
		}
		if payload && r.Inline {
			r.Payload, err = s.walkGet(ctx, payloadKey(r.Bucket, r.Key, r.Seq))
			if err != nil && !errors.Is(err, meta.ErrNotFound) {
				return err
			}
		}
		last = r
		err = meta.Whole(ctx, s, r.Bucket, r.Key, &r.Version)
		if errors.Is(err, meta.ErrNotFound) {
			// It was removed or appended to since its row was read.
			gone, again := meta.WholeAgain(ctx, s, &r, payload)
			if gone {
				return nil
			}
			last, err = r, again
		}
		if err != nil {
			return err
		}
		return visit(r)
	})
	if err != nil {
		return fmt.Errorf("walk versions: %w", err)
	}
	return nil
}

// revOf is the revision of a key.
func (s *Store) revOf(ctx context.Context, bucket meta.BucketID, key string) (int64, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	defer s.keys.rlock(rowKey(tableHead, bucket, key))()
	h, err := s.head(bucket, key)
	return h.rev, err
}

func (s *Store) walkUploads(ctx context.Context, share meta.Share, visit func(meta.Upload, []meta.Part) error) error {
	err := s.walk(ctx, tableUpload, share, func(name, value []byte) error {
		var row uploadRow
		if err := meta.Unmarshal(value, &row); err != nil {
			return fmt.Errorf("upload %x: %w", name[1:], err)
		}
		u := row.upload(meta.UploadID(name[1:]))
		parts, err := s.Parts(ctx, u.ID, -1, 1<<20)
		if err != nil {
			return err
		}
		return visit(u, parts)
	})
	if err == nil {
		err = s.walkStrayParts(ctx, share, visit)
	}
	if err != nil {
		return fmt.Errorf("walk uploads: %w", err)
	}
	return nil
}

// walkStrayParts visits the parts whose upload was removed.
func (s *Store) walkStrayParts(ctx context.Context, share meta.Share, visit func(meta.Upload, []meta.Part) error) error {
	var last meta.UploadID
	return s.walk(ctx, tablePart, share, func(name, _ []byte) error {
		if len(name) != 1+idLen+4 {
			return fmt.Errorf("%w: %x", errDamagedKey, name)
		}
		id := meta.UploadID(name[1 : 1+idLen])
		if id == last {
			return nil
		}
		last = id
		_, err := s.walkGet(ctx, idKey(tableUpload, id))
		if !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		parts, err := s.Parts(ctx, id, -1, 1<<20)
		if err != nil || len(parts) == 0 {
			return err
		}
		return visit(meta.Upload{ID: id}, parts)
	})
}

func (s *Store) walkGet(ctx context.Context, key []byte) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.get(key)
}

// walkQueue visits all entries in the first share: the queue is ordered by time.
func (s *Store) walkQueue(ctx context.Context, share meta.Share, visit func(meta.QueueEntry) error) error {
	if share.Part != 0 {
		return nil
	}
	err := s.walk(ctx, tableQueue, meta.Share{Part: 0, Of: 1}, func(key, value []byte) error {
		e, err := decodeQueueEntry(key, value)
		if err != nil {
			return err
		}
		return visit(e)
	})
	if err != nil {
		return fmt.Errorf("walk queue: %w", err)
	}
	return nil
}

func (s *Store) walkReferences(ctx context.Context, share meta.Share, visit func(meta.QueuedBlob) error) error {
	err := s.walk(ctx, tableReference, share, func(name, value []byte) error {
		var b meta.QueuedBlob
		if err := meta.Unmarshal(value, &b); err != nil {
			return fmt.Errorf("reference %x: %w", name[1:], err)
		}
		return visit(b)
	})
	if err != nil {
		return fmt.Errorf("walk references: %w", err)
	}
	return nil
}

// DropListing implements [meta.Listings]. A removed bucket leaves no listing here.
func (s *Store) DropListing(context.Context, meta.ListingPart) error { return nil }
