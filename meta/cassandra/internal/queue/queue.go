package queue

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// An entry is written once, claimed once and dropped once. So it has three timestamps,
// which follow its due time, a part of its key: whatever arrives late or twice, a
// dropped entry stays dropped.
const (
	putEntry    = `INSERT INTO @.gc (slot, part, due, entry, kind, doc) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	claimEntry  = `UPDATE @.gc USING TIMESTAMP ? SET claimed = true WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	dropEntry   = `DELETE FROM @.gc USING TIMESTAMP ? WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	selectEntry = `SELECT claimed, doc FROM @.gc WHERE slot = ? AND part = ? AND due = ? AND entry = ?`
	selectDue   = `SELECT due, entry, kind, claimed, doc FROM @.gc WHERE slot = ? AND part = ? AND (due, entry) > (?, ?) AND (due) <= (?) LIMIT ?`

	walkQueue = `SELECT due, entry, kind, claimed, doc FROM @.gc WHERE token(slot, part) > ? AND token(slot, part) <= ?`
)

const (
	// timeBucketWidth is the range of due times of one time bucket, in
	// microseconds. At 1,000 entries per second a partition gets 19,000 of them.
	timeBucketWidth         = int64(5 * time.Minute / time.Microsecond)
	partitionsPerTimeBucket = 16
)

// Queue is the queue of blobs to collect.
type Queue struct {
	cql.DB
	index timeBucketIndex
}

// New returns the queue of a keyspace.
func New(db cql.DB) *Queue { return &Queue{DB: db} }

// Ping reads a row.
func (s *Queue) Ping(ctx context.Context) error {
	var marked []byte
	_, err := s.QueryRow(ctx, s.Consistency, []any{&marked}, selectTimeBucket, int64(0))
	return err
}

// entryKey is the primary key of an entry.
type entryKey struct {
	bucket int64
	part   int8
	due    int64
	id     meta.ID
}

func keyOf(e meta.QueueEntry) entryKey {
	due := e.Due.UnixMicro()
	return entryKey{bucket: timeBucketOf(due), part: int8(e.Entry[0] % partitionsPerTimeBucket), due: due, id: e.Entry}
}

func timeBucketOf(due int64) int64 {
	number := due / timeBucketWidth
	if due%timeBucketWidth < 0 {
		number--
	}
	return number
}

func (p *entryKey) columns() []any { return []any{p.bucket, p.part, p.due, p.id[:]} }

// Enqueue implements [meta.Queue]. The index has the time bucket before its entries are
// written.
func (s *Queue) Enqueue(ctx context.Context, entries ...meta.QueueEntry) error {
	type partition struct {
		bucket int64
		part   int8
	}
	batches := map[partition][]gocql.BatchEntry{}
	for _, e := range entries {
		doc, err := meta.Marshal(e.Blob)
		if err != nil {
			return err
		}
		p := keyOf(e)
		to := partition{p.bucket, p.part}
		batches[to] = append(batches[to], cql.Statement(putEntry, append(p.columns(), string(e.Kind), doc, p.due)...))
	}
	for to := range batches {
		if err := s.markActive(ctx, to.bucket); err != nil {
			return cql.Wrap(err, "enqueue blobs")
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, batch := range batches {
		for part := range slices.Chunk(batch, 100) {
			g.Go(func() error { return s.ExecBatch(gctx, part) })
		}
	}
	return cql.Wrap(g.Wait(), "enqueue blobs")
}

// Due implements [meta.Queue].
func (s *Queue) Due(ctx context.Context, now time.Time, limit int) ([]meta.QueueEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	buckets, err := s.timeBuckets(ctx, timeBucketOf(now.UnixMicro()))
	if err != nil {
		return nil, cql.Wrap(err, "read due queue entries")
	}
	var due []meta.QueueEntry
	for _, b := range buckets {
		found, err := s.dueIn(ctx, b, now, limit)
		if err != nil {
			return nil, cql.Wrap(err, "read due queue entries")
		}
		if len(found) == 0 && (b.number+1)*timeBucketWidth <= now.UnixMicro() {
			if err := s.removeTimeBucket(ctx, b); err != nil {
				return nil, cql.Wrap(err, "remove time bucket of queue")
			}
		}
		if due = append(due, found...); len(due) >= limit {
			return due[:limit], nil
		}
	}
	return due, nil
}

// dueIn reads the due entries of a time bucket, the oldest first.
func (s *Queue) dueIn(ctx context.Context, b timeBucket, now time.Time, limit int) ([]meta.QueueEntry, error) {
	var parts [partitionsPerTimeBucket][]meta.QueueEntry
	g, gctx := errgroup.WithContext(ctx)
	for i := range parts {
		g.Go(func() (err error) {
			start := entryKey{bucket: b.number, part: int8(i), due: b.number * timeBucketWidth}
			parts[i], err = s.entriesAfter(gctx, start, now.UnixMicro(), limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(parts[:]...)
	if err := s.dropClaimOnly(ctx, all); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, isClaimOnly)
	slices.SortFunc(all, func(a, b meta.QueueEntry) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Entry[:], b.Entry[:]))
	})
	return all[:min(len(all), limit)], nil
}

// isClaimOnly reports a row that is left if a claim arrives after its entry was dropped
// and the tombstone was purged. Such a row counts as absent.
func isClaimOnly(e meta.QueueEntry) bool { return e.Kind == "" }

func (s *Queue) dropClaimOnly(ctx context.Context, entries []meta.QueueEntry) error {
	for _, e := range entries {
		if isClaimOnly(e) {
			if err := s.Drop(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// entriesAfter reads up to limit rows of one partition that follow after, including rows
// that are only claims.
func (s *Queue) entriesAfter(ctx context.Context, after entryKey, last int64, limit int) ([]meta.QueueEntry, error) {
	var found []meta.QueueEntry
	err := s.QueryRows(ctx, s.Consistency, limit, func(row gocql.Scanner) error {
		e, err := scanEntry(row)
		found = append(found, e)
		return err
	}, selectDue, after.bucket, after.part, after.due, after.id[:], last, min(limit, cql.MaxLimit))
	return found, err
}

// scanEntry reads a row of the queue: its due time, id, kind, claim and blob.
func scanEntry(row gocql.Scanner) (e meta.QueueEntry, err error) {
	var due int64
	var entry, doc []byte
	var kind string
	if err := row.Scan(&due, &entry, &kind, &e.Claimed, &doc); err != nil {
		return e, err
	}
	e.Due, e.Entry, e.Kind = time.UnixMicro(due).UTC(), cql.ID(entry), meta.QueueKind(kind)
	if doc != nil {
		if err := meta.Unmarshal(doc, &e.Blob); err != nil {
			return e, fmt.Errorf("queue entry %s: %w", e.Entry, err)
		}
	}
	return e, nil
}

// Claim implements [meta.Queue].
func (s *Queue) Claim(ctx context.Context, e meta.QueueEntry) error {
	p := keyOf(e)
	return cql.Wrap(s.Exec(ctx, claimEntry, append([]any{p.due + 1}, p.columns()...)...), "claim queue entry")
}

// Drop implements [meta.Queue].
func (s *Queue) Drop(ctx context.Context, entries ...meta.QueueEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, e := range entries {
		p := keyOf(e)
		g.Go(func() error { return s.Exec(gctx, dropEntry, append([]any{p.due + 2}, p.columns()...)...) })
	}
	return cql.Wrap(g.Wait(), "drop queue entries")
}

// CheckGuards reads the entries that a change depends on.
func (s *Queue) CheckGuards(ctx context.Context, guards []meta.QueueEntry) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, e := range guards {
		p := keyOf(e)
		g.Go(func() error {
			var claimed bool
			var doc []byte
			found, err := s.QueryRow(gctx, s.Consistency, []any{&claimed, &doc}, selectEntry, p.columns()...)
			if err == nil && (!found || doc == nil || claimed) {
				err = meta.ErrClaimed
			}
			return err
		})
	}
	return g.Wait()
}

// WalkEntries visits the entries of a share of the queue. It reads the table of
// entries, not the index of time buckets.
func (s *Queue) WalkEntries(ctx context.Context, share meta.Share, visit func(meta.QueueEntry) error) error {
	return cql.Wrap(s.WalkTable(ctx, share, func(row gocql.Scanner) error {
		e, err := scanEntry(row)
		if err != nil || isClaimOnly(e) {
			return err
		}
		return visit(e)
	}, walkQueue), "walk queue")
}
