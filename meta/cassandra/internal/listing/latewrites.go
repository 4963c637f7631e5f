package listing

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// lateWriteRepairer repairs live rows that were written into a shard after its
// rows had been copied.
//
// A change that is running while a shard is replaced writes its live row into the
// old shard. Rows that arrive after the copy are dropped there. So the new shard has
// only the pending row, and each page reads the key's head until the row is old
// enough to be repaired. The live row must not be written into the new shard by
// itself (see forwardDeletes). But the gateway that made the change knows that it
// has ended, so it can repair the row at once.
type lateWriteRepairer struct {
	s *Index

	mu     sync.Mutex
	recent []lateWrite // the last rows written, into shards not known to be sealed
	next   int         // the oldest of them, once there are maxRecent
	queue  []lateWrite

	wake  chan struct{}
	idle  cql.Inflight // rows that wait or are being checked
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// lateWrite is a live row that was written into a shard.
type lateWrite struct {
	pendingRow
	shard meta.ID
	at    time.Time
}

const (
	// maxRecent rows are remembered until the gateway learns that their shard was
	// sealed: by its next change there.
	maxRecent = 1024
	// maxLateQueue bounds the rows that wait. Listings repair the others.
	maxLateQueue = 10_000
	// concurrentLate is how many rows are checked and repaired at the same time.
	concurrentLate = 4
	// A row cannot be repaired while its new shard is being copied into. It is
	// checked again so often, each time later.
	maxLateTries = 10
	lateDelay    = 20 * time.Millisecond
)

func newLateWriteRepairer(s *Index) *lateWriteRepairer {
	ctx, cancel := context.WithCancel(context.Background())
	l := &lateWriteRepairer{s: s, wake: make(chan struct{}, 1), stop: cancel}
	l.ended.Go(func() { l.run(ctx) })
	return l
}

// recordWrites takes note of final rows that were written into a shard.
func (l *lateWriteRepairer) recordWrites(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		if r.kind != visible || r.state != stateLive {
			continue
		}
		row := lateWrite{pendingRow{bucketKey{bucket, r.key}, r.rev}, shard, time.Now()}
		switch {
		case l.moved(row):
			l.enqueue(row)
		case len(l.recent) < maxRecent:
			l.recent = append(l.recent, row)
		default:
			l.recent[l.next] = row
			l.next = (l.next + 1) % maxRecent
		}
	}
}

// moved reports whether the row's key is now in another shard, as far as is known.
func (l *lateWriteRepairer) moved(r lateWrite) bool {
	return partitionOf(l.s.shards.locate(r.bucket, r.key)) != partitionOf(r.shard)
}

// onSeal is called after the shard cache learned of a seal: rows that were written
// into that shard since the seal may have come too late. (Rows that came before it
// were copied; the check of each row finds that.)
func (l *lateWriteRepairer) onSeal(bucket meta.BucketID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []lateWrite
	for i := range l.recent {
		switch r := l.recent[(l.next+i)%len(l.recent)]; {
		case time.Since(r.at) > l.s.o.RepairAfter: // listings repair it
		case r.bucket == bucket && l.moved(r):
			l.enqueue(r)
		default:
			kept = append(kept, r)
		}
	}
	l.recent, l.next = kept, 0
}

// enqueue has a row checked. The lock is held.
func (l *lateWriteRepairer) enqueue(r lateWrite) {
	if len(l.queue) >= maxLateQueue {
		return
	}
	l.queue = append(l.queue, r)
	l.idle.Add(1)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lateWriteRepairer) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		rows := l.queue
		l.queue = nil
		l.mu.Unlock()
		l.repairAll(ctx, rows)
		l.idle.Add(-len(rows))
	}
}

// repairAll checks the rows, and repairs those that need it, until all are done or
// ctx ends.
func (l *lateWriteRepairer) repairAll(ctx context.Context, rows []lateWrite) {
	for try := range maxLateTries {
		var mu sync.Mutex
		var again []lateWrite
		var g errgroup.Group
		g.SetLimit(concurrentLate)
		for _, r := range rows {
			g.Go(func() error {
				if !l.repairOne(ctx, r) {
					mu.Lock()
					defer mu.Unlock()
					again = append(again, r)
				}
				return nil
			})
		}
		_ = g.Wait() // no call returns an error
		if rows = again; len(rows) == 0 {
			return
		}
		t := time.NewTimer(lateDelay << try)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// repairOne repairs the row of a change that has ended, if the row is still
// pending. It is not done if that cannot be decided yet.
func (l *lateWriteRepairer) repairOne(ctx context.Context, r lateWrite) (done bool) {
	if ctx.Err() != nil {
		return false
	}
	p, err := l.s.readPage(ctx, r.bucket, r.key, r.key+"\x00", 1, []int8{visible})
	if err != nil {
		return false
	}
	if len(p.rows) == 0 {
		return true // deleted in the meantime
	}
	row := p.rows[0]
	if !row.repairable {
		return false // the row that is shown may be the old shard's
	}
	if row.state != statePending || row.rev != r.rev {
		return true // it was copied, or the key has changed again
	}
	if !l.s.repairs.start(r.bucketKey) {
		return false
	}
	defer l.s.repairs.end(r.bucketKey)
	if _, err := l.s.repair(ctx, r.bucket, row); err != nil {
		l.s.o.Log.Debug("repairing a late listing row failed", zap.Int64("revision", r.rev), zap.Error(err))
		return false
	}
	l.s.counts.repairs.Add(1)
	return true
}

// waitIdle waits until there is nothing to do.
func (l *lateWriteRepairer) waitIdle(ctx context.Context) error { return l.idle.Wait(ctx) }

// close stops the worker: listings repair what is left.
func (l *lateWriteRepairer) close() {
	l.stop()
	l.ended.Wait()
}
