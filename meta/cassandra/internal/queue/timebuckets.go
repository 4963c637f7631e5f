package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// The queue is partitioned by due time. The index of time buckets lists the buckets
// that may have entries. A process that writes into a time bucket first marks it active
// in the index, with a fresh id, and marks it again when its last mark is older than
// activeFor. A time bucket is removed from the index when it was found empty twice,
// idleTime apart, and was not marked active in between. Since idleTime is much longer
// than activeFor, a process that still writes would have marked it. Both times are
// measured by one process' own clock, which need not agree with any other's.
const (
	activeFor     = 10 * time.Minute
	idleTime      = 30 * time.Minute
	maxTimeBucket = math.MaxInt64 / timeBucketWidth
)

const (
	touchTimeBucket   = `UPDATE @.gc_slot SET touched = ? WHERE shelf = 0 AND slot = ? IF touched = ?`
	insertTimeBucket  = `UPDATE @.gc_slot SET touched = ? WHERE shelf = 0 AND slot = ? IF touched = null`
	deleteTimeBucket  = `DELETE FROM @.gc_slot WHERE shelf = 0 AND slot = ? IF touched = ?`
	selectTimeBucket  = `SELECT touched FROM @.gc_slot WHERE shelf = 0 AND slot = ?`
	selectTimeBuckets = `SELECT slot, touched FROM @.gc_slot WHERE shelf = 0 AND slot > ? AND slot <= ? LIMIT ?`
)

// timeBucket is a row of the index.
type timeBucket struct {
	number  int64
	touched meta.ID
}

// timeBucketIndex is what this process knows of the index.
type timeBucketIndex struct {
	mu     sync.Mutex
	marked map[int64]time.Time
	empty  map[timeBucket]time.Time // since when
}

func (m *timeBucketIndex) recentlyMarked(number int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.marked[number]
	return ok && time.Since(at) < activeFor
}

func (m *timeBucketIndex) mark(number int64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.marked == nil || len(m.marked) > 10_000 {
		m.marked = map[int64]time.Time{}
	}
	m.marked[number] = at
}

// idleLongEnough reports whether the time bucket was found empty long enough ago.
func (m *timeBucketIndex) idleLongEnough(s timeBucket) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.empty == nil || len(m.empty) > 10_000 {
		m.empty = map[timeBucket]time.Time{}
	}
	since, ok := m.empty[s]
	if !ok {
		m.empty[s] = time.Now()
	}
	return ok && time.Since(since) >= idleTime
}

func (m *timeBucketIndex) forget(s timeBucket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.empty, s)
}

// markActive makes sure that the index has the time bucket.
func (s *Queue) markActive(ctx context.Context, number int64) error {
	if s.index.recentlyMarked(number) {
		return nil
	}
	id := meta.NewID()
	for try := range cql.MaxTries {
		start := time.Now()
		var touched []byte
		if _, err := s.QueryRow(ctx, s.Consistency, []any{&touched}, selectTimeBucket, number); err != nil {
			return err
		}
		change := cql.Statement(insertTimeBucket, id[:], number)
		if touched != nil {
			change = cql.Statement(touchTimeBucket, id[:], number, touched)
		}
		applied, err := s.CAS(ctx, change)
		if applied {
			s.index.mark(number, start)
			return nil
		}
		if errors.Is(err, cql.ErrNotApplied) {
			return err
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return err
		}
	}
	return fmt.Errorf("mark time bucket of queue: %w", meta.ErrUnavailable)
}

// timeBuckets returns the time buckets of the index up to last, in order.
func (s *Queue) timeBuckets(ctx context.Context, last int64) ([]timeBucket, error) {
	var buckets []timeBucket
	after := int64(math.MinInt64)
	for {
		n := len(buckets)
		err := s.QueryRows(ctx, s.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
			var number int64
			var touched []byte
			err := row.Scan(&number, &touched)
			buckets = append(buckets, timeBucket{number, cql.ID(touched)})
			return err
		}, selectTimeBuckets, after, last, cql.MaxPageRows)
		if err != nil || len(buckets)-n < cql.MaxPageRows {
			return buckets, err
		}
		after = buckets[len(buckets)-1].number
	}
}

// removeTimeBucket removes a past time bucket without entries from the index, if it was
// empty before and was not marked active since.
func (s *Queue) removeTimeBucket(ctx context.Context, b timeBucket) error {
	if !s.index.idleLongEnough(b) {
		return nil
	}
	// More time has passed since the last mark than activeFor.
	found, err := s.dueIn(ctx, b, time.UnixMicro((b.number+1)*timeBucketWidth), 1)
	if err != nil || len(found) > 0 {
		return err
	}
	_, err = s.CAS(ctx, cql.Statement(deleteTimeBucket, b.number, b.touched[:]))
	s.index.forget(b)
	return err
}
