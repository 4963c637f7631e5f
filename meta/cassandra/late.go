package cassandra

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

// late has live rows repaired that came too late into their shards.
//
// The changes that are under way while a shard is replaced write their live
// rows into the old shard, and what comes after the copy is dropped there: the
// new shard has the pending row alone, and each page reads a head for it until
// the row is old enough to be repaired. The live row may not be written into
// the new shard by itself (see follow). But whoever wrote it knows that the
// change has ended, and so the row can be repaired at once.
type late struct {
	s *Store

	mu     sync.Mutex
	recent []lateRow // that were written last, where the shard was believed to stand
	next   int       // the oldest of them, once there are recentRows
	queue  []lateRow

	wake  chan struct{}
	idle  tally // rows that wait or are looked at
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// lateRow is a live row that was written into a shard.
type lateRow struct {
	pendingRow
	shard meta.ID
	at    time.Time
}

const (
	// recentRows are remembered until the gateway hears that their shard was
	// sealed: by its next change there.
	recentRows = 1024
	// maxLate bounds the rows that wait. Those beyond are left to listings.
	maxLate = 10_000
	// lateAtOnce is how many rows are looked at, and repaired, at a time.
	lateAtOnce = 4
	// A row is looked at so often, each time later, until it can be repaired:
	// as long as its new shard is being copied into, it can not.
	lateTries = 10
	latePause = 20 * time.Millisecond
)

func newLate(s *Store) *late {
	ctx, cancel := context.WithCancel(context.Background())
	l := &late{s: s, wake: make(chan struct{}, 1), stop: cancel}
	l.ended.Go(func() { l.run(ctx) })
	return l
}

// wrote takes note of final rows that were written into a shard.
func (l *late) wrote(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rows {
		if r.kind != visible || r.state != stateLive {
			continue
		}
		row := lateRow{pendingRow{placedKey{bucket, r.key}, r.rev}, shard, time.Now()}
		switch {
		case l.moved(row):
			l.enqueue(row)
		case len(l.recent) < recentRows:
			l.recent = append(l.recent, row)
		default:
			l.recent[l.next] = row
			l.next = (l.next + 1) % recentRows
		}
	}
}

// moved tells whether a row's key is known to have another shard by now.
func (l *late) moved(r lateRow) bool {
	return partitionOf(l.s.shards.locate(r.bucket, r.key)) != partitionOf(r.shard)
}

// met is called when the store has learned of a seal: rows that were written
// into that shard since may have come too late. (Those that came before were
// copied, as a look at each of them shows.)
func (l *late) met(bucket meta.BucketID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []lateRow
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

// enqueue has a row looked at. The lock is held.
func (l *late) enqueue(r lateRow) {
	if len(l.queue) >= maxLate {
		return
	}
	l.queue = append(l.queue, r)
	l.idle.add(1)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *late) run(ctx context.Context) {
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
		l.do(ctx, rows)
		l.idle.add(-len(rows))
	}
}

// do repairs those of the rows that are needed, until all are or it is said to
// end.
func (l *late) do(ctx context.Context, rows []lateRow) {
	for try := range lateTries {
		var mu sync.Mutex
		var again []lateRow
		var g errgroup.Group
		g.SetLimit(lateAtOnce)
		for _, r := range rows {
			g.Go(func() error {
				if !l.one(ctx, r) {
					mu.Lock()
					defer mu.Unlock()
					again = append(again, r)
				}
				return nil
			})
		}
		_ = g.Wait() // none of them fails
		if rows = again; len(rows) == 0 {
			return
		}
		t := time.NewTimer(latePause << try)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
}

// one repairs the row of a change that has ended, if it is still pending. It
// is not done if that cannot be told yet.
func (l *late) one(ctx context.Context, r lateRow) (done bool) {
	if ctx.Err() != nil {
		return false
	}
	p, err := l.s.readPage(ctx, r.bucket, r.key, r.key+"\x00", 1, []int8{visible})
	if err != nil {
		return false
	}
	if len(p.rows) == 0 {
		return true // deleted since
	}
	row := p.rows[0]
	if !row.settled {
		return false // what shows may be the old shard's row
	}
	if row.state != statePending || row.rev != r.rev {
		return true // it was copied, or somebody else has changed the key since
	}
	if !l.s.repairs.start(r.placedKey) {
		return false
	}
	defer l.s.repairs.end(r.placedKey)
	if _, err := l.s.repair(ctx, r.bucket, row); err != nil {
		l.s.o.Log.Debug("a late listing row was not repaired", zap.Int64("revision", r.rev), zap.Error(err))
		return false
	}
	l.s.counts.repairs.Add(1)
	return true
}

// settle waits until there is nothing to do.
func (l *late) settle(ctx context.Context) error { return l.idle.wait(ctx) }

// close ends what is under way: listings repair what is left.
func (l *late) close() {
	l.stop()
	l.ended.Wait()
}
