package cassandra

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// watch notices shards that should be replaced or cut, and does that behind
// all requests. What it notices costs no statement: the rows that this gateway
// writes are counted as they go by, and Cassandra itself warns of answers that
// read many tombstones.
//
// Every gateway watches for itself. Whose seal comes first replaces a shard;
// the others take note, and look after it in case that one dies.
type watch struct {
	s     *Store
	every int // rows of a shard that this gateway writes between two looks
	few   int // rows of a shard that it deletes between two looks

	mu     sync.Mutex
	counts map[shardName]*shardCount
	gone   int                     // keys in counts
	late   map[shardName]time.Time // sealed, not copied: when to finish them
	queue  []task

	wake  chan struct{}
	idle  tally // tasks that wait or run
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// shardCount is what this gateway has written into a shard.
type shardCount struct {
	wrote, deleted int      // since the last look
	dead           int      // deleted since the shard was first met
	rows           int      // that it had at the last look, less what was deleted since; -1: not known
	recent         []string // the keys that were written last
	gone           []string // keys that were deleted, and not cut off since
	key            string   // one of the shard's range
	queued         bool
	room           chan struct{} // closed after the look, if somebody waits for it
}

const (
	// recentKeys is how many written keys tell where a shard grows.
	recentKeys = 8
	// maxCounts bounds the shards that are counted, some 500 bytes each, and
	// maxGone the keys that were deleted from them.
	maxCounts = 20_000
	maxGone   = 500_000
	// watchers is how many shards a gateway replaces at a time.
	watchers = 2
	// Whoever deletes waits, but not for long, when a look at the shard is
	// due, and as much as this was deleted since: in mostLag looks' worth.
	mostLag     = 4
	lagPatience = 250 * time.Millisecond
	// maxLook is how many deleted keys are looked for at once.
	maxLook = 1000
	// A look that came too early is repeated so often, each time later.
	maxLooks  = 10
	lookPause = 5 * time.Millisecond
)

// reason is why a shard is looked at.
type reason int

const (
	grown  reason = iota // many rows were written
	shrunk               // rows were deleted
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
	passed int      // tombstones that one page read
	dead   int      // deletions that this gateway knows of
	rows   int      // that the shard has, as far as is known; -1: it is not
	recent []string // the keys that were written last
	gone   []string // keys that were deleted
	tries  int      // how often that came to nothing
}

func newWatch(s *Store) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{
		s: s, every: max(s.o.ShardRows/8, 1), few: fewOf(s.o.ShardRows), wake: make(chan struct{}, watchers), stop: cancel,
		counts: map[shardName]*shardCount{}, late: map[shardName]time.Time{},
	}
	for range watchers {
		w.ended.Go(func() { w.run(ctx) })
	}
	return w
}

// fewOf is how many tombstones are not worth a look: 250, by default. A page of
// 1,000 keys that reads as many takes an eighth longer.
func fewOf(shardRows int) int { return max(shardRows/200, min(shardRows/8, 8), 1) }

func (w *watch) count(name shardName) *shardCount {
	c := w.counts[name]
	if c == nil {
		if len(w.counts) >= maxCounts || w.gone > maxGone {
			for _, old := range w.counts {
				old.release()
			}
			clear(w.counts)
			w.gone = 0
		}
		c = &shardCount{rows: -1}
		w.counts[name] = c
	}
	return c
}

func (c *shardCount) release() {
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// wrote counts final rows that were written into a shard. A shard is looked at
// after some rows were written into it, or deleted.
func (w *watch) wrote(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		if r.kind == visible {
			w.wroteRow(shardName{bucket, w.sharing(bucket, shard, r.key)}, r)
		}
	}
}

// sharing returns the shard that has a row now, as far as is known, if that is
// in the same partition.
func (w *watch) sharing(bucket meta.BucketID, shard meta.ID, key string) meta.ID {
	if now := w.s.shards.first(bucket, key).shard; partitionOf(now) == partitionOf(shard) {
		return now
	}
	return shard
}

func (w *watch) wroteRow(name shardName, r listingRow) {
	c := w.count(name)
	c.key = r.key
	t := task{bucket: name.bucket, key: r.key, shard: name.shard, why: grown}
	if r.state == stateDeleted || r.state == stateGone {
		c.deleted, c.dead, c.rows = c.deleted+1, c.dead+1, max(c.rows-1, -1)
		c.gone = append(c.gone, r.key)
		w.gone++
		if c.deleted >= w.few {
			t.why = shrunk
			w.enqueue(t)
		}
		return
	}
	c.wrote++
	if len(c.recent) == recentKeys {
		c.recent = append(c.recent[:0], c.recent[1:]...)
	}
	c.recent = append(c.recent, r.key)
	if c.wrote >= w.every {
		w.enqueue(t)
	}
}

// room waits, though not for long, if more is deleted from a shard than is
// looked after.
func (w *watch) room(ctx context.Context, rows []placedRow) {
	i := slices.IndexFunc(rows, func(r placedRow) bool { return r.kind == visible && r.state == stateDeleted })
	if i < 0 {
		return
	}
	name := shardName{rows[i].bucket, w.sharing(rows[i].bucket, rows[i].shard, rows[i].key)}
	w.mu.Lock()
	c := w.counts[name]
	if c == nil || !c.queued || c.deleted < mostLag*w.few {
		w.mu.Unlock()
		return
	}
	if c.room == nil {
		c.room = make(chan struct{})
	}
	room := c.room
	w.mu.Unlock()
	t := time.NewTimer(lagPatience)
	defer t.Stop()
	select {
	case <-room:
	case <-t.C:
	case <-ctx.Done():
	}
}

// dead takes note of a page that had to read n tombstones.
func (w *watch) dead(bucket meta.BucketID, key string, shard meta.ID, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(task{bucket: bucket, key: key, shard: shard, why: dead, passed: n})
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

// enqueue adds a task, once a shard. What a reader has met comes before what
// nobody may ever read. The lock is held.
func (w *watch) enqueue(t task) {
	c := w.count(shardName{t.bucket, t.shard})
	if c.queued || len(w.queue) >= maxCounts {
		return
	}
	t.recent, t.gone, t.rows, t.dead = slices.Clone(c.recent), c.gone, c.rows, max(t.passed, c.dead)
	w.gone -= len(c.gone)
	c.queued, c.wrote, c.deleted, c.gone = true, 0, 0, nil
	if t.why == dead || t.why == sparse {
		w.queue = slices.Insert(w.queue, 0, t)
	} else {
		w.queue = append(w.queue, t)
	}
	w.idle.add(1)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// looked remembers how many rows a shard had; it may be looked at again.
func (w *watch) looked(t task, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.counts[shardName{t.bucket, t.shard}]
	if c == nil {
		return
	}
	c.queued = false
	c.release()
	if rows >= 0 {
		c.rows = rows
	}
	if c.deleted >= w.few && len(c.gone) > 0 { // meanwhile
		w.enqueue(task{bucket: t.bucket, key: c.key, shard: t.shard, why: shrunk})
	}
}

// expects remembers how many rows a fresh shard begins with.
func (w *watch) expects(bucket meta.BucketID, shard meta.ID, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count(shardName{bucket, shard}).rows = rows
}

// cut hands on what is known of a shard that was cut at a key. gone are deleted
// keys above.
func (w *watch) cut(bucket meta.BucketID, from, to meta.ID, at string, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.counts[shardName{bucket, from}]
	if old == nil {
		old = &shardCount{rows: -1}
	}
	w.gone -= len(old.gone)
	gone = slices.Concat(gone, slices.DeleteFunc(old.gone, func(key string) bool { return key < at }))
	c := w.count(shardName{bucket, to})
	c.dead += len(gone)
	c.rows, c.recent, c.key = old.rows, old.recent, at
	c.deleted += len(gone)
	c.gone = append(c.gone, gone...)
	w.gone += len(gone)
	old.gone = nil
	old.release()
	delete(w.counts, shardName{bucket, from})
	if len(c.gone) >= w.few {
		w.enqueue(task{bucket: bucket, key: at, shard: to, why: shrunk})
	}
}

// later has a shard looked at again in a moment: changes are under way among
// the keys that are gone. They are remembered.
func (w *watch) later(t task, gone []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.count(shardName{t.bucket, t.shard})
	if len(c.gone) > 4*maxLook {
		return
	}
	c.gone = append(c.gone, gone...)
	w.gone += len(gone)
	if t.tries++; len(gone) < w.few || t.tries > maxLooks {
		return
	}
	w.idle.add(1)
	time.AfterFunc(lookPause<<t.tries, func() {
		w.again(t)
		w.idle.add(-1)
	})
}

// again has a fresh shard looked at.
func (w *watch) again(t task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(t)
}

// known returns how many rows a shard is thought to have; -1 where that is not
// known.
func (w *watch) known(bucket meta.BucketID, shard meta.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.counts[shardName{bucket, shard}]; c != nil {
		return c.rows
	}
	return -1
}

// forget drops what is known of a shard that was replaced.
func (w *watch) forget(bucket meta.BucketID, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{bucket, shard}
	if c := w.counts[name]; c != nil {
		w.gone -= len(c.gone)
		c.release()
	}
	delete(w.counts, name)
	delete(w.late, name)
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
	for {
		for t, ok := w.next(); ok && ctx.Err() == nil; t, ok = w.next() {
			w.do(ctx, t)
		}
		select {
		case <-w.wake:
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
	w.ended.Wait()
}
