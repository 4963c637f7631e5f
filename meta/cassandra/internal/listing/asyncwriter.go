package listing

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// indexWriter writes final listing rows asynchronously, in batches per shard. If
// the process crashes before a row is written, the row stays pending: listings
// read its head until one of them repairs it.
type indexWriter struct {
	s        *Index
	rows     chan shardRow
	work     chan struct{} // bounds the concurrent batches
	quit     chan struct{}
	ended    sync.WaitGroup
	inflight cql.Inflight
}

const (
	maxQueuedRows     = 4096 // rows that may wait; changes that come after them wait too
	rowsPerBatch      = 64   // rows per mutation
	concurrentBatches = 8    // concurrent mutations
	batchDelay        = 3 * time.Millisecond
)

func newIndexWriter(s *Index) *indexWriter {
	b := &indexWriter{s: s, rows: make(chan shardRow, maxQueuedRows), work: make(chan struct{}, concurrentBatches), quit: make(chan struct{})}
	b.ended.Add(1)
	go b.run()
	return b
}

// add queues rows. When the queue is full it waits until there is space, or ctx
// ends.
func (b *indexWriter) add(ctx context.Context, rows ...shardRow) {
	defer b.s.maintainer.waitForCapacity(ctx, rows) // after the rows are queued: they must not wait for it
	for _, r := range rows {
		b.inflight.Add(1)
		select {
		case b.rows <- r:
		case <-ctx.Done():
			b.inflight.Add(-1)
		case <-b.quit:
			b.inflight.Add(-1)
		}
	}
}

func (b *indexWriter) flush(ctx context.Context) error { return b.inflight.Wait(ctx) }

func (b *indexWriter) stop() {
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	b.ended.Wait()
}

func (b *indexWriter) run() {
	defer b.ended.Done()
	for {
		select {
		case r := <-b.rows:
			b.send(b.collect(r))
		case <-b.quit:
			return
		}
	}
}

// collect takes the rows that arrive within a few milliseconds, by shard.
func (b *indexWriter) collect(first shardRow) map[shardName][]listingRow {
	shards := map[shardName][]listingRow{}
	put := func(r shardRow) {
		name := shardName{r.bucket, r.shard}
		shards[name] = append(shards[name], r.listingRow)
	}
	put(first)
	t := time.NewTimer(batchDelay)
	defer t.Stop()
	for range rowsPerBatch * concurrentBatches {
		select {
		case r := <-b.rows:
			put(r)
		case <-t.C:
			return shards
		case <-b.quit:
			return shards
		}
	}
	return shards
}

func (b *indexWriter) send(shards map[shardName][]listingRow) {
	for name, rows := range shards {
		for len(rows) > 0 {
			n := min(len(rows), rowsPerBatch)
			batch := rows[:n]
			rows = rows[n:]
			b.work <- struct{}{}
			go func() {
				defer func() { <-b.work; b.inflight.Add(-n) }()
				b.write(name.bucket, name.shard, batch)
			}()
		}
	}
}

func (b *indexWriter) write(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*b.s.Timeout)
	defer cancel()
	for try := range 3 {
		final, err := b.s.finalRows(ctx, bucket, shard, rows)
		if err == nil {
			err = b.s.putRows(ctx, bucket, shard, final)
		}
		if err == nil {
			err = b.s.forwardDeletes(ctx, bucket, shard, final)
		}
		if err == nil {
			b.s.maintainer.recordWrites(bucket, shard, final)
			b.s.lateWrites.recordWrites(bucket, shard, final)
			return
		}
		if try == 2 || cql.Backoff(ctx, try+6) != nil {
			b.s.o.Log.Warn("writing final listing rows failed: they stay pending until a listing repairs them", zap.Int("rows", len(rows)), zap.Error(err))
			return
		}
	}
}
