package listing

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// repairs keeps this process from repairing one row twice at the same time, and
// from repairing too many rows at the same time.
type repairs struct {
	mu        sync.Mutex
	running   map[bucketKey]bool
	firstSeen map[pendingRow]time.Time // when rows with a revision in the future were first seen
}

type pendingRow struct {
	bucketKey
	rev int64
}

// isOld reports whether a pending row is so old that its change has probably
// failed. A wrong guess is harmless, because of the fence. The age of a revision
// in the future (a clock is, or was, ahead) counts from when it was first seen here.
func (r *repairs) isOld(p pendingRow, now time.Time, limit time.Duration) bool {
	if age := now.Sub(time.UnixMicro(p.rev)); age >= 0 {
		return age >= limit
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.firstSeen == nil || len(r.firstSeen) > 10_000 {
		r.firstSeen = map[pendingRow]time.Time{}
	}
	seen, ok := r.firstSeen[p]
	if !ok {
		r.firstSeen[p] = time.Now()
		return false
	}
	return time.Since(seen) >= limit
}

type bucketKey struct {
	bucket meta.BucketID
	key    string
}

const repairsAtOnce = 32

func (r *repairs) start(k bucketKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		r.running = map[bucketKey]bool{}
	}
	if r.running[k] || len(r.running) >= repairsAtOnce {
		return false
	}
	r.running[k] = true
	return true
}

func (r *repairs) end(k bucketKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, k)
}

// repairIfOld repairs a pending row asynchronously, if it is old.
func (s *Index) repairIfOld(bucket meta.BucketID, r readRow) {
	if !r.repairable || r.state != statePending {
		return
	}
	k := bucketKey{bucket, r.key}
	if !s.repairs.isOld(pendingRow{k, r.rev}, s.o.Now(), s.o.RepairAfter) || !s.repairs.start(k) {
		return
	}
	s.writer.inflight.Go(3*s.Timeout, func(ctx context.Context) {
		defer s.repairs.end(k)
		if _, err := s.repair(ctx, bucket, r); err != nil {
			s.o.Log.Warn("repairing a listing row failed", zap.Int64("revision", r.rev), zap.Error(err))
			return
		}
		s.counts.repairs.Add(1)
	})
}

// repair fences the head above the row, so that the change that announced the row
// can no longer be applied. Then it writes the row that the head implies into the
// row's shard, at the fence's revision + 1. It returns the head after the fence.
func (s *Index) repair(ctx context.Context, bucket meta.BucketID, r readRow) (meta.Head, error) {
	fence := s.heads.Fence
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
