package cassandra

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// repairs keeps one process from repairing a row twice at the same time, and
// from repairing too many at once.
type repairs struct {
	mu      sync.Mutex
	running map[placedKey]bool
	ahead   map[pendingRow]time.Time // rows from the future: when they were first seen
}

type pendingRow struct {
	placedKey
	rev int64
}

// old tells whether a pending row's change seems to have died. That is only
// a guess: what makes a wrong one harmless is the fence. A revision from the
// future (somebody's clock is, or was, ahead) is as old as it is known here.
func (r *repairs) old(p pendingRow, now time.Time, limit time.Duration) bool {
	if age := now.Sub(time.UnixMicro(p.rev)); age >= 0 {
		return age >= limit
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ahead == nil || len(r.ahead) > 10_000 {
		r.ahead = map[pendingRow]time.Time{}
	}
	seen, ok := r.ahead[p]
	if !ok {
		r.ahead[p] = time.Now()
		return false
	}
	return time.Since(seen) >= limit
}

type placedKey struct {
	bucket meta.BucketID
	key    string
}

const repairsAtOnce = 32

func (r *repairs) start(k placedKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = map[placedKey]bool{}
	}
	if r.running[k] || len(r.running) >= repairsAtOnce {
		return false
	}
	r.running[k] = true
	return true
}

func (r *repairs) end(k placedKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, k)
}

// repairOld has a pending row replaced, behind the listing, if it is old.
func (s *Store) repairOld(bucket meta.BucketID, r readRow) {
	if !r.settled || r.state != statePending {
		return
	}
	k := placedKey{bucket, r.key}
	if !s.repairs.old(pendingRow{k, r.rev}, s.o.Now(), s.o.RepairAfter) || !s.repairs.start(k) {
		return
	}
	s.behind.do(func(ctx context.Context) {
		defer s.repairs.end(k)
		if _, err := s.repair(ctx, bucket, r); err != nil {
			s.o.Log.Warn("a listing row was not repaired", zap.Int64("revision", r.rev), zap.Error(err))
			return
		}
		s.counts.repairs.Add(1)
	})
}

// repair fences the head above the row, so that the change which announced
// it can no longer be made, and writes what the head implies into the row's
// shard, right after the fence. It returns the head at the fence.
func (s *Store) repair(ctx context.Context, bucket meta.BucketID, r readRow) (meta.Head, error) {
	fence := s.Fence
	if s.breaks(ruleRepairFences) {
		fence = s.readUnfenced
	}
	h, err := fence(ctx, bucket, r.key, r.rev, meta.ReadOptions{Limit: 2})
	if err != nil {
		return h, err
	}
	row := listingRow{kind: visible, key: r.key, rev: h.Rev, state: stateDeleted}
	if v := h.Current(); v != nil && !v.DeleteMarker {
		row.state = stateLive
		if row.doc, err = encodeEntry(meta.EntryOf(r.key, v), len(h.Versions) > 1); err != nil {
			return h, err
		}
	}
	rows := []listingRow{row}
	if len(h.Versions) == 0 {
		rows = append(rows, listingRow{kind: history, key: r.key, rev: h.Rev, state: stateDeleted})
	}
	return h, s.putRows(ctx, bucket, r.shard, rows)
}
