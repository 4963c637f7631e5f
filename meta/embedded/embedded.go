// Package embedded stores the metadata of a single server in a Pebble database
// in a directory of its own. A server without a configuration uses it.
//
// # Durability
//
// A change is synced to disk before it is acknowledged; concurrent changes
// share one fsync (Pebble's group commit). A read or a listing never shows a
// change before it is synced, so everything that was read survives a crash. When
// the disk refuses a sync, its content is unknown: the process ends
// (Options.Fatalf) and the next Open recovers all acknowledged changes.
//
// # Concurrency
//
// Locks are held from the check of a change's condition until it is synced:
// shared on the bucket, exclusive on the key, shared on the queue entries that
// guard it. They are striped, so that changes of different keys sync together.
//
// # Revisions of removed keys
//
// A key without versions keeps its revision, or that of a Fence, for
// Options.Remember, which is longer than any change takes. Then the revision is
// dropped. Of all dropped revisions only the greatest is kept, the floor. A key
// without any row can only be created with a revision above the floor, and a Read
// of it returns the floor as its revision while the clock is not above it. So
// the revisions of a key that is created again continue above its old ones,
// whatever the clock shows.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
)

var errClosed = fmt.Errorf("metadata store is closed: %w", meta.ErrUnavailable)

// Options of a store. The zero value has the defaults.
type Options struct {
	// FS is the file system; the default is that of the machine.
	FS vfs.FS
	// CacheBytes is the size of the block cache; the default is 24 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one memtable, of which there are up to
	// four; the default is 8 MiB.
	MemTableBytes uint64
	// InlineMax is what InlineMax returns; the default is 32 KiB.
	InlineMax int
	// Remember is for how long the revision of a removed key is kept; the
	// default is 48 hours.
	Remember time.Duration
	// RememberUploads is for how long an upload is found after ForgetUpload;
	// the default is 7 days.
	RememberUploads time.Duration
	// Now is the clock; the default is time.Now.
	Now func() time.Time
	// Logf logs unusual events; the default drops them.
	Logf func(format string, args ...any)
	// Fatalf logs why the store cannot continue, and must not return; the
	// default logs to standard error and exits with status 1.
	Fatalf func(format string, args ...any)

	// beforeApply, if not nil, is called between a change's checks and its
	// application: tests let other goroutines run there.
	beforeApply func()
}

func (o *Options) setDefaults() {
	setDefault(&o.FS, vfs.Default, o.FS == nil)
	setDefault(&o.CacheBytes, 24<<20, o.CacheBytes == 0)
	setDefault(&o.MemTableBytes, 8<<20, o.MemTableBytes == 0)
	setDefault(&o.InlineMax, 32<<10, o.InlineMax == 0)
	setDefault(&o.Remember, 48*time.Hour, o.Remember == 0)
	setDefault(&o.RememberUploads, 7*24*time.Hour, o.RememberUploads == 0)
	setDefault(&o.Now, time.Now, o.Now == nil)
	setDefault(&o.Logf, func(string, ...any) {}, o.Logf == nil)
	setDefault(&o.Fatalf, pebble.DefaultLogger.Fatalf, o.Fatalf == nil)
}

func setDefault[T any](field *T, value T, unset bool) {
	if unset {
		*field = value
	}
}

// Store is a metadata store in one directory. It implements [meta.Store]
// and [meta.AccessKeys].
type Store struct {
	dir  string
	opts Options
	db   *pebble.DB
	lock *pebble.Lock

	names   stripes // bucket names: changes of a bucket's row
	buckets stripes // bucket ids: shared by changes, exclusive for the state
	keys    stripes
	entries stripes // queue entries
	uploads stripes // shared by parts, exclusive for the state
	flights flights

	opened time.Time
	// floor is the greatest revision of a removed key that was dropped.
	floor atomic.Int64

	background   context.Context    // of compactions
	stop         context.CancelFunc // ends it
	compacting   atomic.Bool
	mu           sync.Mutex
	closed       bool
	compactAfter time.Time
	calls        sync.WaitGroup
	closeErr     error
	closing      sync.Once
}

var (
	_ meta.Store      = (*Store)(nil)
	_ meta.AccessKeys = (*Store)(nil)
)

// steadyNow is the time of the clock at Open plus the time since then. It does
// not jump if the clock is set while the store is open, so rows that expire after
// some time are kept for that time.
func (s *Store) steadyNow() time.Time { return s.opened.Add(s.opts.Now().Sub(s.opened)) }

// enter begins a call of the public interface; leave ends it. The database stays
// open between them.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// InlineMax implements [meta.Store].
func (s *Store) InlineMax() int { return s.opts.InlineMax }

// Ping implements [meta.Store].
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	defer s.leave()
	_, err := s.get([]byte(formatKey))
	return err
}

// Flush implements [meta.Store]. The only writes that are not synced before a call
// returns are removals of queue entries and those of the sweeper; Flush syncs them.
func (s *Store) Flush(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	defer s.leave()
	if err := s.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// Close waits for running calls, syncs, and unlocks the directory. Later calls
// fail with [meta.ErrUnavailable]; closing again returns the same error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.stop()
		s.calls.Wait()
		s.closeErr = errors.Join(s.db.LogData(nil, pebble.Sync), s.db.Close(), s.lock.Close())
	})
	return s.closeErr
}

// get returns a copy of the value of key, or ErrNotFound.
func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, meta.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata in %s: %w", s.dir, err)
	}
	out := append([]byte(nil), v...)
	return out, closer.Close()
}

// getRow decodes the value of key into row, or returns ErrNotFound.
func (s *Store) getRow(key []byte, row any) error {
	v, err := s.get(key)
	if err != nil {
		return err
	}
	return meta.Unmarshal(v, row)
}

// setRow adds the encoding of row to the batch.
func setRow(b *pebble.Batch, key []byte, row any) error {
	v, err := meta.Marshal(row)
	if err != nil {
		return err
	}
	return b.Set(key, v, nil)
}

// applySync applies the batch that fill makes, and syncs it. Iterations over a
// range that has key wait for it; see [flights].
func (s *Store) applySync(key []byte, fill func(*pebble.Batch) error) error {
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }() // an applied batch has nothing to lose
	if err := fill(b); err != nil {
		return err
	}
	if s.opts.beforeApply != nil {
		s.opts.beforeApply()
	}
	defer s.flights.start(key)()
	if err := s.db.Apply(b, pebble.Sync); err != nil {
		return fmt.Errorf("write metadata in %s: %w: %w", s.dir, meta.ErrUnknownOutcome, err)
	}
	return nil
}

// manySkipped is the number of removed rows in a range that makes an iteration
// request its compaction.
const manySkipped = 10_000

// compactRange removes the tombstones of a range asynchronously. It compacts one
// range at a time: the next iteration over another range requests it again.
// Pebble compacts by itself only when more is written. Compactions take a tenth
// of the time at most, in case they do not help.
func (s *Store) compactRange(lo, hi []byte) {
	if !s.compacting.CompareAndSwap(false, true) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || hi == nil || time.Now().Before(s.compactAfter) {
		s.compacting.Store(false)
		return
	}
	s.calls.Go(func() {
		defer s.compacting.Store(false)
		defer s.restAfterCompacting(time.Now())
		if err := s.db.Compact(s.background, lo, hi, false); err != nil && s.background.Err() == nil {
			s.opts.Logf("compact the metadata in %s: %v", s.dir, err)
		}
	})
}

func (s *Store) restAfterCompacting(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compactAfter = time.Now().Add(10 * time.Since(since))
}

// iterate calls visit for the rows from lo on and before hi until it returns
// false or an error. Key and value are only valid during the call.
func (s *Store) iterate(ctx context.Context, lo, hi []byte, visit func(key, value []byte) (bool, error)) (err error) {
	it, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return fmt.Errorf("iterate metadata in %s: %w", s.dir, err)
	}
	n := 0
	defer func() {
		skipped := it.Stats().ForwardStepCount[pebble.InternalIterCall] - n
		err = errors.Join(err, it.Close())
		if skipped > manySkipped {
			s.compactRange(lo, hi)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("iterate metadata in %s: %w", s.dir, err)
		}
		if more, err := visit(it.Key(), v); err != nil || !more {
			return err
		}
	}
	return nil // it.Close returns the iterator's error
}
