package listing

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// shardMaintainer finds shards that should be split, rewritten or merged, and does that
// asynchronously. Finding them costs no statement: it counts the rows that this gateway
// writes, and Cassandra warns of reads that scan many tombstones.
//
// Every gateway does so by itself. The first seal decides who replaces a shard. The
// others remember the shard, and finish the work if that gateway crashes.
type shardMaintainer struct {
	s                  *Index
	writesPerCheck     int // rows that this gateway writes into a shard between two checks
	tombstoneThreshold int // rows that it deletes from a shard between two checks

	mu          sync.Mutex
	stats       map[shardName]*shardStats
	deletedKeys int                     // deleted keys in stats
	uncopied    map[shardName]time.Time // sealed and not copied: when to finish them
	queue       []task

	wake  chan struct{}
	idle  cql.Inflight // tasks that wait or run
	stop  context.CancelFunc
	ended sync.WaitGroup
}

// shardStats is what this gateway knows of a shard and has written into it.
type shardStats struct {
	written, deleted int      // since the last check
	tombstones       int      // deleted since the shard is counted
	rows             int      // at the last check, minus later deletions; -1: unknown
	recent           []string // the keys that were written last
	deletedKeys      []string // deleted keys that were not split off since
	key              string   // a key of the shard's range
	queued           bool
	checkDone        chan struct{} // closed after the check, if a caller waits for it
}

const (
	// recentKeys is how many of the last written keys show where a shard grows.
	recentKeys = 8
	// maxStats bounds the shards that are counted, some 500 bytes each, and
	// maxDeletedKeys the deleted keys in memory.
	maxStats       = 20_000
	maxDeletedKeys = 500_000
	// maintainers is how many shards a gateway replaces concurrently.
	maintainers = 2
	// A deletion waits, at most maxThrottle, if the check of its shard is due
	// and maxDeleteBacklog times the tombstone threshold was deleted since.
	maxDeleteBacklog = 4
	maxThrottle      = 250 * time.Millisecond
	// maxCompact is how many deleted keys one compaction considers.
	maxCompact = 1000
	// A check that came too early is repeated so often, each time later.
	maxRechecks  = 10
	recheckDelay = 5 * time.Millisecond
)

// reason says why a shard is checked.
type reason int

const (
	reasonGrown      reason = iota // many rows were written
	reasonShrunk                   // rows were deleted
	reasonTombstones               // a page scanned many tombstones
	reasonSparse                   // a page had to be read from many shards
	reasonUncopied                 // it was sealed long ago, and is not copied
)

// task is a shard to check.
type task struct {
	bucket      meta.BucketID
	key         string // a key of the shard's range
	shard       meta.ID
	reason      reason
	scanned     int      // tombstones that one page scanned
	tombstones  int      // deletions that this gateway knows of
	rows        int      // rows of the shard, as far as is known; -1: unknown
	recent      []string // the keys that were written last
	deletedKeys []string // keys that were deleted
	tries       int      // how often it was repeated without effect
}

func newShardMaintainer(s *Index) *shardMaintainer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &shardMaintainer{
		s: s, writesPerCheck: max(s.o.ShardRows/8, 1), tombstoneThreshold: tombstoneThreshold(s.o.ShardRows), wake: make(chan struct{}, maintainers), stop: cancel,
		stats: map[shardName]*shardStats{}, uncopied: map[shardName]time.Time{},
	}
	for range maintainers {
		w.ended.Go(func() { w.run(ctx) })
	}
	return w
}

// tombstoneThreshold returns the number of deletions after which a shard is checked:
// 250 by default. Reading that many tombstones makes a page of 1,000 keys about 12 %
// slower.
func tombstoneThreshold(shardRows int) int { return max(shardRows/200, min(shardRows/8, 8), 1) }

func (w *shardMaintainer) statsOf(name shardName) *shardStats {
	c := w.stats[name]
	if c == nil {
		if len(w.stats) >= maxStats || w.deletedKeys > maxDeletedKeys {
			for _, old := range w.stats {
				old.release()
			}
			clear(w.stats)
			w.deletedKeys = 0
		}
		c = &shardStats{rows: -1}
		w.stats[name] = c
	}
	return c
}

func (c *shardStats) release() {
	if c.checkDone != nil {
		close(c.checkDone)
		c.checkDone = nil
	}
}

// recordWrites counts final rows that were written into a shard. A shard is checked
// after enough rows were written into it, or deleted.
func (w *shardMaintainer) recordWrites(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		if r.kind == visible {
			w.recordWrite(shardName{bucket, w.currentShard(bucket, shard, r.key)}, r)
		}
	}
}

// currentShard returns the shard that has a row now, as far as is known, if that has
// the same partition.
func (w *shardMaintainer) currentShard(bucket meta.BucketID, shard meta.ID, key string) meta.ID {
	if now := w.s.shards.rangeOf(bucket, key).shard; partitionOf(now) == partitionOf(shard) {
		return now
	}
	return shard
}

func (w *shardMaintainer) recordWrite(name shardName, r listingRow) {
	c := w.statsOf(name)
	c.key = r.key
	t := task{bucket: name.bucket, key: r.key, shard: name.shard, reason: reasonGrown}
	if r.state == stateDeleted || r.state == stateGone {
		c.deleted, c.tombstones, c.rows = c.deleted+1, c.tombstones+1, max(c.rows-1, -1)
		c.deletedKeys = append(c.deletedKeys, r.key)
		w.deletedKeys++
		if c.deleted >= w.tombstoneThreshold {
			t.reason = reasonShrunk
			w.enqueue(t)
		}
		return
	}
	c.written++
	if len(c.recent) == recentKeys {
		c.recent = append(c.recent[:0], c.recent[1:]...)
	}
	c.recent = append(c.recent, r.key)
	if c.written >= w.writesPerCheck {
		w.enqueue(t)
	}
}

// waitForCapacity waits, at most maxThrottle, if a shard's deletions outpace its checks.
func (w *shardMaintainer) waitForCapacity(ctx context.Context, rows []shardRow) {
	i := slices.IndexFunc(rows, func(r shardRow) bool { return r.kind == visible && r.state == stateDeleted })
	if i < 0 {
		return
	}
	name := shardName{rows[i].bucket, w.currentShard(rows[i].bucket, rows[i].shard, rows[i].key)}
	w.mu.Lock()
	c := w.stats[name]
	if c == nil || !c.queued || c.deleted < maxDeleteBacklog*w.tombstoneThreshold {
		w.mu.Unlock()
		return
	}
	if c.checkDone == nil {
		c.checkDone = make(chan struct{})
	}
	room := c.checkDone
	w.mu.Unlock()
	t := time.NewTimer(maxThrottle)
	defer t.Stop()
	select {
	case <-room:
	case <-t.C:
	case <-ctx.Done():
	}
}

// recordTombstones takes note of a page that scanned n tombstones.
func (w *shardMaintainer) recordTombstones(bucket meta.BucketID, key string, shard meta.ID, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(task{bucket: bucket, key: key, shard: shard, reason: reasonTombstones, scanned: n})
}

// recordSparse takes note of shards with few keys, from key's shard on.
func (w *shardMaintainer) recordSparse(bucket meta.BucketID, key string, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(task{bucket: bucket, key: key, shard: shard, reason: reasonSparse})
}

// recordUncopied takes note of a shard that is sealed and not copied. If that lasts, the
// gateway that copies it has crashed. Each gateway waits for a different time, so that
// one of them is first.
func (w *shardMaintainer) recordUncopied(bucket meta.BucketID, key string, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{bucket, shard}
	at, known := w.uncopied[name]
	switch {
	case !known:
		if len(w.uncopied) >= maxStats {
			clear(w.uncopied)
		}
		patience := w.s.o.FinishAfter
		w.uncopied[name] = time.Now().Add(patience + rand.N(patience))
	case time.Now().After(at):
		w.enqueue(task{bucket: bucket, key: key, shard: shard, reason: reasonUncopied})
	}
}

// enqueue adds a task, once per shard. What a reader has reported comes first. The lock
// is held.
func (w *shardMaintainer) enqueue(t task) {
	c := w.statsOf(shardName{t.bucket, t.shard})
	if c.queued || len(w.queue) >= maxStats {
		return
	}
	t.recent, t.deletedKeys, t.rows, t.tombstones = slices.Clone(c.recent), c.deletedKeys, c.rows, max(t.scanned, c.tombstones)
	w.deletedKeys -= len(c.deletedKeys)
	c.queued, c.written, c.deleted, c.deletedKeys = true, 0, 0, nil
	if t.reason == reasonTombstones || t.reason == reasonSparse {
		w.queue = slices.Insert(w.queue, 0, t)
	} else {
		w.queue = append(w.queue, t)
	}
	w.idle.Add(1)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// checked stores how many rows a shard had; it may be checked again.
func (w *shardMaintainer) checked(t task, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.stats[shardName{t.bucket, t.shard}]
	if c == nil {
		return
	}
	c.queued = false
	c.release()
	if rows >= 0 {
		c.rows = rows
	}
	if c.deleted >= w.tombstoneThreshold && len(c.deletedKeys) > 0 { // since the check began
		w.enqueue(task{bucket: t.bucket, key: c.key, shard: t.shard, reason: reasonShrunk})
	}
}

// setRows stores how many rows a fresh shard begins with.
func (w *shardMaintainer) setRows(bucket meta.BucketID, shard meta.ID, rows int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statsOf(shardName{bucket, shard}).rows = rows
}

// transferStats moves what is known of a shard that was split in place at a key to its
// successor. deleted are the deleted keys above the key.
func (w *shardMaintainer) transferStats(bucket meta.BucketID, from, to meta.ID, at string, deleted []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.stats[shardName{bucket, from}]
	if old == nil {
		old = &shardStats{rows: -1}
	}
	w.deletedKeys -= len(old.deletedKeys)
	deleted = slices.Concat(deleted, slices.DeleteFunc(old.deletedKeys, func(key string) bool { return key < at }))
	c := w.statsOf(shardName{bucket, to})
	c.tombstones += len(deleted)
	c.rows, c.recent, c.key = old.rows, old.recent, at
	c.deleted += len(deleted)
	c.deletedKeys = append(c.deletedKeys, deleted...)
	w.deletedKeys += len(deleted)
	old.deletedKeys = nil
	old.release()
	delete(w.stats, shardName{bucket, from})
	if len(c.deletedKeys) >= w.tombstoneThreshold {
		w.enqueue(task{bucket: bucket, key: at, shard: to, reason: reasonShrunk})
	}
}

// recheckLater has a shard checked again after a short time: some changes among its
// deleted keys are still running. The deleted keys are remembered.
func (w *shardMaintainer) recheckLater(t task, deleted []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.statsOf(shardName{t.bucket, t.shard})
	if len(c.deletedKeys) > 4*maxCompact {
		return
	}
	c.deletedKeys = append(c.deletedKeys, deleted...)
	w.deletedKeys += len(deleted)
	if t.tries++; len(deleted) < w.tombstoneThreshold || t.tries > maxRechecks {
		return
	}
	w.idle.Add(1)
	time.AfterFunc(recheckDelay<<t.tries, func() {
		w.enqueueFresh(t)
		w.idle.Add(-1)
	})
}

// enqueueFresh has a fresh shard checked.
func (w *shardMaintainer) enqueueFresh(t task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enqueue(t)
}

// knownRows returns how many rows a shard probably has; -1 if unknown.
func (w *shardMaintainer) knownRows(bucket meta.BucketID, shard meta.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.stats[shardName{bucket, shard}]; c != nil {
		return c.rows
	}
	return -1
}

// forget drops what is known of a shard that was replaced.
func (w *shardMaintainer) forget(bucket meta.BucketID, shard meta.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := shardName{bucket, shard}
	if c := w.stats[name]; c != nil {
		w.deletedKeys -= len(c.deletedKeys)
		c.release()
	}
	delete(w.stats, name)
	delete(w.uncopied, name)
}

func (w *shardMaintainer) next() (task, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return task{}, false
	}
	t := w.queue[0]
	w.queue = w.queue[1:]
	return t, true
}

func (w *shardMaintainer) run(ctx context.Context) {
	for {
		for t, ok := w.next(); ok && ctx.Err() == nil; t, ok = w.next() {
			w.runTask(ctx, t)
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (w *shardMaintainer) runTask(ctx context.Context, t task) {
	defer w.idle.Add(-1)
	rows, err := w.s.maintainShard(ctx, t)
	w.checked(t, rows)
	switch {
	case err == nil:
	case errors.Is(err, errSealedByOther):
		w.recordUncopied(t.bucket, t.key, t.shard)
	case ctx.Err() == nil:
		w.s.o.Log.Warn("replacing a listing shard failed; it will be retried", zap.Error(err))
	}
}

// waitIdle waits until there is nothing to do.
func (w *shardMaintainer) waitIdle(ctx context.Context) error { return w.idle.Wait(ctx) }

// close stops the workers: other gateways finish what is not done.
func (w *shardMaintainer) close() {
	w.stop()
	w.ended.Wait()
}
