package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// head is the row of a key that has versions, or of a removed one.
type head struct {
	rev     int64
	nullSeq int64
	current int64 // Seq of the current version; 0: the key has none
	listed  bool  // there is a listing entry
	// entry is the encoded Entry where the current version is the only one.
	entry []byte
	// stored says that the head was read from a row.
	stored bool
}

const headLen = 25

func (h *head) encode() []byte {
	b := make([]byte, 0, headLen+len(h.entry))
	b = binary.BigEndian.AppendUint64(b, uint64(h.rev))
	b = binary.BigEndian.AppendUint64(b, uint64(h.nullSeq))
	b = binary.BigEndian.AppendUint64(b, uint64(h.current))
	var flags byte
	if h.listed {
		flags = 1
	}
	return append(append(b, flags), h.entry...)
}

func decodeHead(b []byte) (head, error) {
	if len(b) < headLen {
		return head{}, fmt.Errorf("head of a key is %d bytes long", len(b))
	}
	h := head{
		rev:     int64(binary.BigEndian.Uint64(b)),
		nullSeq: int64(binary.BigEndian.Uint64(b[8:])),
		current: int64(binary.BigEndian.Uint64(b[16:])),
		listed:  b[24]&1 != 0,
		stored:  true,
	}
	if len(b) > headLen {
		h.entry = b[headLen:]
	}
	return h, nil
}

// head reads the row of a key; the caller holds a lock of the key.
func (s *Store) head(bucket meta.BucketID, key string) (head, error) {
	b, err := s.get(rowKey(tableHead, bucket, key))
	if err == nil {
		return decodeHead(b)
	}
	if !errors.Is(err, meta.ErrNotFound) {
		return head{}, err
	}
	b, err = s.get(rowKey(tableGone, bucket, key))
	if errors.Is(err, meta.ErrNotFound) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	rev, _, err := decodeGone(b)
	return head{rev: rev, stored: err == nil}, err
}

const goneLen = 16

// encodeGone is the row of a key without versions: its revision, and the time of
// its removal.
func encodeGone(rev int64, since time.Time) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, goneLen), uint64(rev))
	return binary.BigEndian.AppendUint64(b, uint64(since.UnixMicro()))
}

func decodeGone(b []byte) (rev int64, since time.Time, err error) {
	if len(b) != goneLen {
		return 0, time.Time{}, fmt.Errorf("row of a removed key is %d bytes long", len(b))
	}
	return int64(binary.BigEndian.Uint64(b)), time.UnixMicro(int64(binary.BigEndian.Uint64(b[8:]))), nil
}

// revOfUnknown is the revision of a key without a row.
func (s *Store) revOfUnknown() int64 {
	if floor := s.floor.Load(); s.opts.Now().UnixMicro() <= floor {
		return floor
	}
	return 0
}

// Read implements [meta.Objects].
func (s *Store) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	if err := meta.CheckText(key); err != nil {
		return meta.Head{}, fmt.Errorf("read: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return meta.Head{}, fmt.Errorf("read %q: %w", key, err)
	}
	defer s.leave()
	defer s.keys.rlock(rowKey(tableHead, bucket, key))()
	h, err := s.head(bucket, key)
	if err != nil {
		return meta.Head{}, fmt.Errorf("read %q: %w", key, err)
	}
	if !h.stored {
		h.rev = s.revOfUnknown()
	}
	return s.fill(ctx, bucket, key, h, o)
}

// fill reads the versions that o asks for; the caller holds a lock of the key.
func (s *Store) fill(ctx context.Context, bucket meta.BucketID, key string, h head, o meta.ReadOptions) (meta.Head, error) {
	out := meta.Head{Rev: h.rev, NullSeq: h.nullSeq}
	if h.current == 0 {
		return out, nil
	}
	var err error
	if o.Limit <= 1 {
		var v *meta.Version
		if v, err = s.version(bucket, key, h.current, o.Payload); err == nil {
			out.Versions = []meta.Version{*v}
		}
	} else {
		out.Versions, err = s.versions(ctx, bucket, key, 0, o.Limit, o.Payload)
	}
	if err != nil {
		return meta.Head{}, fmt.Errorf("read %q: %w", key, err)
	}
	named := o.Seq
	if named == 0 && o.Null {
		named = h.nullSeq
	}
	if named != 0 {
		out.Named, err = s.version(bucket, key, named, o.Payload)
	}
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return meta.Head{}, fmt.Errorf("read %q: %w", key, err)
	}
	return out, nil
}

// version reads one version; ErrNotFound.
func (s *Store) version(bucket meta.BucketID, key string, seq int64, payload bool) (*meta.Version, error) {
	v := &meta.Version{Seq: seq}
	if err := s.getRow(versionKey(bucket, key, seq), v); err != nil {
		return nil, err
	}
	if !payload || !v.Inline {
		return v, nil
	}
	return v, s.loadPayload(bucket, key, v)
}

func (s *Store) loadPayload(bucket meta.BucketID, key string, v *meta.Version) error {
	b, err := s.get(payloadKey(bucket, key, v.Seq))
	if errors.Is(err, meta.ErrNotFound) {
		b, err = nil, nil // an empty payload has no row
	}
	v.Payload = b
	return err
}

// iterateVersions visits up to limit rows of versions with a Seq below before, or
// of all, newest first. The caller holds a lock of the key.
func (s *Store) iterateVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int, visit func(seq int64, value []byte) error) error {
	prefix := keyPrefix(tableVersion, bucket, key)
	lo := prefix
	if before != 0 {
		lo = after(withSeq(prefix, before))
	}
	return s.iterate(ctx, lo, after(prefix), func(k, value []byte) (bool, error) {
		if limit <= 0 {
			return false, nil
		}
		limit--
		return true, visit(seqOf(k), value)
	})
}

// versions reads up to limit versions with a Seq below before, or all.
func (s *Store) versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int, payload bool) ([]meta.Version, error) {
	var found []meta.Version
	err := s.iterateVersions(ctx, bucket, key, before, limit, func(seq int64, value []byte) error {
		v := meta.Version{Seq: seq}
		if err := meta.Unmarshal(value, &v); err != nil {
			return err
		}
		if payload && v.Inline {
			if err := s.loadPayload(bucket, key, &v); err != nil {
				return err
			}
		}
		found = append(found, v)
		return nil
	})
	return found, err
}

// Versions implements [meta.Objects].
func (s *Store) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, fmt.Errorf("versions: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("versions of %q: %w", key, err)
	}
	defer s.leave()
	defer s.keys.rlock(rowKey(tableHead, bucket, key))()
	found, err := s.versions(ctx, bucket, key, before, limit, false)
	if err != nil {
		return nil, fmt.Errorf("versions of %q: %w", key, err)
	}
	return found, nil
}

// Pages implements [meta.Objects].
func (s *Store) Pages(ctx context.Context, bucket meta.BucketID, key string, seq int64, from, n int) ([]meta.Page, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, fmt.Errorf("segments of a version: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("segments of a version of %q: %w", key, err)
	}
	defer s.leave()
	defer s.keys.rlock(rowKey(tableHead, bucket, key))()
	pages, prefix := make([]meta.Page, n), pagesKey(bucket, key, seq)
	for i := range pages {
		if err := s.getRow(pageKey(prefix, from+i), &pages[i]); err != nil {
			return nil, fmt.Errorf("segments of a version of %q: %w", key, err)
		}
	}
	return pages, nil
}

// ListVersions implements [meta.Listings]. It reads whole rows, one at a time.
func (s *Store) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list versions of %q: %w", key, err)
	}
	defer s.leave()
	if err := meta.CheckText(key); err != nil {
		return nil, fmt.Errorf("list versions of a key: %w", err)
	}
	defer s.keys.rlock(rowKey(tableHead, bucket, key))()
	var found []meta.Entry
	err := s.iterateVersions(ctx, bucket, key, before, limit, func(seq int64, value []byte) error {
		e, err := meta.UnmarshalEntryOf(value, key, seq)
		found = append(found, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list versions of %q: %w", key, err)
	}
	return found, nil
}

// Fence implements [meta.Objects].
func (s *Store) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	if err := meta.CheckText(key); err != nil {
		return meta.Head{}, fmt.Errorf("fence: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return meta.Head{}, fmt.Errorf("fence %q: %w", key, err)
	}
	defer s.leave()
	name := rowKey(tableHead, bucket, key)
	defer s.keys.lock(name)()
	h, err := s.head(bucket, key)
	if err != nil {
		return meta.Head{}, fmt.Errorf("fence %q: %w", key, err)
	}
	if !h.stored {
		h.rev = s.floor.Load()
	}
	h.rev = max(h.rev, rev) + 2
	err = s.applySync(name, func(b *pebble.Batch) error { return s.setHead(b, bucket, key, h) })
	if err != nil {
		return meta.Head{}, fmt.Errorf("fence %q: %w", key, err)
	}
	return s.fill(ctx, bucket, key, h, o)
}

// setHead adds the row of h, of a key with or without versions, to the batch.
func (s *Store) setHead(b *pebble.Batch, bucket meta.BucketID, key string, h head) error {
	if h.current != 0 {
		return b.Set(rowKey(tableHead, bucket, key), h.encode(), nil)
	}
	return b.Set(rowKey(tableGone, bucket, key), encodeGone(h.rev, s.steadyNow()), nil)
}
