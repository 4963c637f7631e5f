package cassandra

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// watch notices shards that should be replaced, and does that, one after
// another, behind all requests. What it notices costs no statement: the rows
// that this gateway writes are counted as they go by, and Cassandra itself
// warns of answers that read many tombstones.
//
// Every gateway watches for itself. Whose seal comes first replaces a shard;
// the others take note, and look after it in case that one dies.
type watch struct {
	s     *Store
	every int // rows of a shard that this gateway writes between two looks

	mu     sync.Mutex
	counts map[shardName]*shardCount
	late   map[shardName]time.Time // sealed, not copied: when to finish them
	queue  []task
	parked map[shardName]parkedRows

	wake  chan struct{}
	idle  tally // tasks that wait or run
	stop  context.CancelFunc
	ended chan struct{}
}

// shardCount is what this gateway has written into a shard.
type shardCount struct {
	wrote, deleted int      // since the last look
	gone           int      // deleted since the shard was first met
	rows           int      // that it had at the last look, less what was deleted since; -1: not known
	recent         []string // the keys that were written last
	queued         bool
}

// recentKeys is how many written keys tell where a shard grows.
const recentKeys = 8

// maxCounts bounds the shards that are counted, some 500 bytes each.
const maxCounts = 20_000

// reason is why a shard is looked at.
type reason int

const (
	grown  reason = iota // many rows were written
	shrunk               // many rows were deleted
	dead                 // a page read many tombstones
	sparse               // a page had to be read from many shards
	open                 // sealed long ago, and not copied
)

// task is a shard to look at.
type task struct {
	bucket meta.BucketID
	key    string // one of the shard's range
	shard  meta.ID
	why    reason
	dead   int      // tombstones that one page read
	recent []string // the keys that were written last
}

// parkedRows are deletions that wait for a shard to be copied.
type parkedRows struct {
	rows  []listingRow
	since time.Time
}

const (
	maxParked = 50_000 // rows of a shard; any more stay pending until a listing repairs them
	parkTick  = time.Second
)

func newWatch(s *Store) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{
		s: s, every: max(s.o.ShardRows/8, 1), wake: make(chan struct{}, 1), stop: cancel, ended: make(chan struct{}),
		counts: map[shardName]*shardCount{}, late: map[shardName]time.Time{}, parked: map[shardName]parkedRows{},
	}
	go w.run(ctx)
	return w
}

func (w *watch) count(name shardName) *shardCount {
	c := w.counts[name]
	if c == nil {
		if len(w.counts) >= maxCounts {
			clear(w.counts)
		}
		c = &shardCount{rows: -1}
		w.counts[name] = c
	}
	return c
}

// wrote counts a final row. A shard is looked at after some rows were written
// into it, or deleted; earlier, when more seem to be dead than alive.
func (w *watch) wrote(r placedRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{r.bucket, r.shard}
	c := w.count(name)
	why := grown
	if r.state == stateDeleted {
		c.deleted, c.gone, c.rows = c.deleted+1, c.gone+1, max(c.rows-1, -1)
		why = shrunk
	} else {
		c.wrote++
		if len(c.recent) == recentKeys {
			c.recent = append(c.recent[:0], c.recent[1:]...)
		}
		c.recent = append(c.recent, r.key)
	}
	most := max(c.wrote, c.deleted)
	if most >= w.every || c.deleted >= w.fewDead() && c.rows >= 0 && c.gone >= c.rows {
		w.enqueue(task{bucket: r.bucket, key: r.key, shard: r.shard, why: why})
	}
}

// fewDead is how many tombstones are not worth a look: a page of 1,000 keys
// that reads as many takes half as long again.
func (w *watch) fewDead() int { return max(w.s.o.ShardRows/50, 1) }

// dead takes note of a page that had to read n tombstones.
func (w *watch) dead(bucket meta.BucketID, key string, shard meta.ID, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(task{bucket: bucket, key: key, shard: shard, why: dead, dead: n})
}

// sparse takes note of shards that have little to show, from key's on.
func (w *watch) sparse(bucket meta.BucketID, key string, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(task{bucket: bucket, key: key, shard: shard, why: sparse})
}

// unfinished takes note of a shard that is sealed and not copied. Its copier
// has died if that lasts: each gateway waits for another time, so that one of
// them comes first.
func (w *watch) unfinished(bucket meta.BucketID, key string, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{bucket, shard}
	at, known := w.late[name]
	switch {
	case !known:
		if len(w.late) >= maxCounts {
			clear(w.late)
		}
		patience := w.s.o.FinishAfter
		w.late[name] = time.Now().Add(patience + rand.N(patience))
	case time.Now().After(at):
		w.enqueue(task{bucket: bucket, key: key, shard: shard, why: open})
	}
}

// enqueue adds a task, once a shard. The lock is held.
func (w *watch) enqueue(t task) {
	c := w.count(shardName{t.bucket, t.shard})
	if c.queued || len(w.queue) >= maxCounts {
		return
	}
	t.recent = append([]string(nil), c.recent...)
	c.queued, c.wrote, c.deleted = true, 0, 0
	w.queue = append(w.queue, t)
	w.idle.add(1)
	w.awake()
}

func (w *watch) awake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// looked remembers how many rows a shard had; it may be looked at again.
func (w *watch) looked(t task, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.count(shardName{t.bucket, t.shard})
	c.queued = false
	if rows >= 0 {
		c.rows = rows
	}
}

// expects remembers how many rows a fresh shard begins with.
func (w *watch) expects(bucket meta.BucketID, shard meta.ID, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(shardName{bucket, shard}).rows = rows
}

// again has a fresh shard looked at.
func (w *watch) again(t task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(t)
}

// goneFrom is how many rows were deleted from a shard, as far as is known.
func (w *watch) goneFrom(bucket meta.BucketID, shard meta.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count(shardName{bucket, shard}).gone
}

// forget drops what is known of shards that were replaced.
func (w *watch) forget(bucket meta.BucketID, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.counts, shardName{bucket, shard})
	delete(w.late, shardName{bucket, shard})
}

func (w *watch) next() (task, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return task{}, false
	}
	t := w.queue[0]
	w.queue = w.queue[1:]
	return t, true
}

func (w *watch) run(ctx context.Context) {
	defer close(w.ended)
	for {
		for t, ok := w.next(); ok && ctx.Err() == nil; t, ok = w.next() {
			w.do(ctx, t)
			w.unpark(ctx) // what waited for just that
		}
		again := w.unpark(ctx)
		select {
		case <-w.wake:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) do(ctx context.Context, t task) {
	defer w.idle.add(-1)
	rows, err := w.s.look(ctx, t)
	w.looked(t, rows)
	switch {
	case err == nil:
	case errors.Is(err, errTaken):
		w.unfinished(t.bucket, t.key, t.shard)
	case ctx.Err() == nil:
		w.s.o.Log.Warn("a shard of the listing was not replaced; the next who meets it tries again", zap.Error(err))
	}
}

// settle waits until there is nothing to do.
func (w *watch) settle(ctx context.Context) error { return w.idle.wait(ctx) }

// close ends what is under way: somebody else will finish it.
func (w *watch) close() {
	w.stop()
	<-w.ended
}

// park keeps deletions until their shard is settled.
func (w *watch) park(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{bucket, shard}
	p := w.parked[name]
	if len(p.rows) == 0 {
		p.since = time.Now()
	}
	if len(p.rows)+len(rows) > maxParked || len(w.parked) > maxCounts {
		return
	}
	p.rows = append(p.rows, rows...)
	w.parked[name] = p
	w.awake()
}

// unpark writes what may be written by now. It returns when to try again.
func (w *watch) unpark(ctx context.Context) <-chan time.Time {
	w.mu.Lock()
	parked := w.parked
	w.parked = map[shardName]parkedRows{}
	w.mu.Unlock()
	for name, p := range parked {
		may, wait, err := w.s.divide(ctx, name.bucket, name.shard, p.rows)
		if err != nil {
			wait = p.rows
		}
		for ; len(may) > 0; may = may[min(len(may), behindBatch):] {
			if err := w.s.putRows(ctx, name.bucket, name.shard, may[:min(len(may), behindBatch)]); err != nil {
				break // they stay pending, and are repaired
			}
		}
		if len(wait) > 0 && time.Since(p.since) < w.s.o.RepairAfter {
			w.mu.Lock()
			p.rows = append(wait, w.parked[name].rows...)
			w.parked[name] = p
			w.mu.Unlock()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.parked) == 0 {
		return nil
	}
	return time.After(parkTick)
}
