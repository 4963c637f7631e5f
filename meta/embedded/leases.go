package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// leaseRow is a lease as it is stored under its job and shard.
type leaseRow struct {
	Rev   int64      `cbor:"1,keyasint"`
	Lease meta.Lease `cbor:"2,keyasint"`
}

func leaseKey(job string, shard int) []byte {
	return binary.BigEndian.AppendUint32(escaped([]byte{tableLease}, job), uint32(shard))
}

// PutLease implements [meta.Leases].
func (s *Store) PutLease(ctx context.Context, l meta.Lease, ifRev int64) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("lease %s/%d: %w", l.Job, l.Shard, err)
		}
	}()
	if l.Rev <= ifRev {
		return fmt.Errorf("revision %d does not follow %d", l.Rev, ifRev)
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	key := leaseKey(l.Job, l.Shard)
	defer s.names.lock(key)()
	return s.applySync(key, func(b *pebble.Batch) error {
		var row leaseRow
		if err := s.getRow(key, &row); err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		if row.Rev != ifRev {
			return meta.ErrConflict
		}
		return setRow(b, key, leaseRow{l.Rev, l})
	})
}

// ListLeases implements [meta.Leases].
func (s *Store) ListLeases(ctx context.Context, job string) ([]meta.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	defer s.leave()
	prefix := []byte{tableLease}
	if job != "" {
		prefix = escaped(prefix, job)
	}
	var leases []meta.Lease
	err := s.iterate(ctx, prefix, after(prefix), func(key, value []byte) (bool, error) {
		var row leaseRow
		if err := meta.Unmarshal(value, &row); err != nil {
			return false, err
		}
		name, ok := unescaped(key[1:max(1, len(key)-4)])
		if !ok {
			return false, fmt.Errorf("%w: %x", errDamagedKey, key)
		}
		l := row.Lease
		l.Job, l.Shard, l.Rev = name, int(binary.BigEndian.Uint32(key[len(key)-4:])), row.Rev
		leases = append(leases, l)
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	return leases, nil
}
