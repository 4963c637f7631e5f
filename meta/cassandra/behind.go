package cassandra

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// behind writes rows behind the answers, batched per shard. A row that is
// never written (a crash) leaves a pending one, which is read at its head
// until a listing has it repaired.
type behind struct {
	s     *Store
	rows  chan placedRow
	work  chan struct{} // bounds the batches under way
	quit  chan struct{}
	ended sync.WaitGroup
	tally tally
}

const (
	behindQueue = 4096 // rows that may wait; then changes wait for room
	behindBatch = 64   // rows of one mutation
	behindWrite = 8    // mutations at once
	behindDelay = 3 * time.Millisecond
)

func newBehind(s *Store) *behind {
	b := &behind{s: s, rows: make(chan placedRow, behindQueue), work: make(chan struct{}, behindWrite), quit: make(chan struct{})}
	b.ended.Add(1)
	go b.run()
	return b
}

// add queues rows. When the queue is full it waits for room as long as ctx
// lasts.
func (b *behind) add(ctx context.Context, rows ...placedRow) {
	defer b.s.watch.room(ctx, rows) // only now: what is queued must not wait for it
	for _, r := range rows {
		b.tally.add(1)
		select {
		case b.rows <- r:
		case <-ctx.Done():
			b.tally.add(-1)
		case <-b.quit:
			b.tally.add(-1)
		}
	}
}

// do runs f behind the answers too.
func (b *behind) do(f func(context.Context)) {
	b.tally.add(1)
	go func() {
		defer b.tally.add(-1)
		ctx, cancel := context.WithTimeout(context.Background(), 3*b.s.o.Timeout)
		defer cancel()
		f(ctx)
	}()
}

func (b *behind) flush(ctx context.Context) error { return b.tally.wait(ctx) }

func (b *behind) stop() {
	select {
	case <-b.quit:
	default:
		close(b.quit)
	}
	b.ended.Wait()
}

func (b *behind) run() {
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

// collect gathers what arrives within a few milliseconds, by shard.
func (b *behind) collect(first placedRow) map[shardName][]listingRow {
	shards := map[shardName][]listingRow{}
	put := func(r placedRow) {
		name := shardName{r.bucket, r.shard}
		shards[name] = append(shards[name], r.listingRow)
	}
	put(first)
	t := time.NewTimer(behindDelay)
	defer t.Stop()
	for range behindBatch * behindWrite {
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

func (b *behind) send(shards map[shardName][]listingRow) {
	for name, rows := range shards {
		for len(rows) > 0 {
			n := min(len(rows), behindBatch)
			batch := rows[:n]
			rows = rows[n:]
			b.work <- struct{}{}
			go func() {
				defer func() { <-b.work; b.tally.add(-n) }()
				b.write(name.bucket, name.shard, batch)
			}()
		}
	}
}

func (b *behind) write(bucket meta.BucketID, shard meta.ID, rows []listingRow) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*b.s.o.Timeout)
	defer cancel()
	for try := range 3 {
		final, err := b.s.finals(ctx, bucket, shard, rows)
		if err == nil {
			err = b.s.putRows(ctx, bucket, shard, final)
		}
		if err == nil {
			err = b.s.follow(ctx, bucket, shard, final)
		}
		if err == nil {
			b.s.watch.wrote(bucket, shard, final)
			b.s.late.wrote(bucket, shard, final)
			return
		}
		if try == 2 || pause(ctx, try+6) != nil {
			b.s.o.Log.Warn("listing rows stay pending until a listing repairs them", zap.Int("rows", len(rows)), zap.Error(err))
			return
		}
	}
}

// tally counts what is under way, and lets one wait until nothing is.
type tally struct {
	mu   sync.Mutex
	n    int
	idle chan struct{}
}

func (t *tally) add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n += n
	if t.n == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

func (t *tally) wait(ctx context.Context) error {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return nil
	}
	if t.idle == nil {
		t.idle = make(chan struct{})
	}
	idle := t.idle
	t.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
