package cqltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// DB is a keyspace in memory. It executes the CQL statements of meta/cassandra: partitions with static
// columns, rows by cells with timestamps, row and range tombstones, and
// conditional changes. A statement is one atomic step that happens a random
// time after it was sent. Under synctest, the order of the steps of all actors
// is a random schedule that depends only on the seed.
type DB struct {
	// LostResults is how often the result of a conditional change is lost: in
	// half of the cases before it is applied, in the other half afterwards.
	LostResults float64
	// NoCrashes keeps all actors alive.
	NoCrashes bool
	// AfterCAS is called, with the database locked, after a conditional change
	// was applied to a partition. It may call Peek.
	AfterCAS func(table string, partition []any)

	mu     sync.Mutex
	rnd    *rand.Rand
	parsed map[string]*statement
	tables map[string]map[string]*partition
	clock  int64 // of writes without a timestamp
}

var _ cql.Database = (*DB)(nil)

// New returns a database whose random choices depend only on seed.
func New(seed uint64) *DB {
	return &DB{rnd: rand.New(rand.NewPCG(seed, 1)), parsed: map[string]*statement{}, tables: map[string]map[string]*partition{}}
}

// Actor sends statements. A dead actor sends nothing any more; each statement of
// a slow one takes as long as a whole change of others.
type Actor struct{ Dead, Immortal, Slow bool }

type actorKey struct{}

// WithActor returns a context whose statements are sent by a. Statements without
// an actor are asynchronous work, each with an actor of its own.
func WithActor(ctx context.Context, a *Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ErrDead is the error of a dead actor's statements.
var ErrDead = errors.New("the actor is dead")

// step waits for a statement's turn. Unless it fails, it returns with the lock
// held.
func (d *DB) step(ctx context.Context) error {
	a, _ := ctx.Value(actorKey{}).(*Actor)
	if a == nil {
		a = &Actor{}
	}
	d.mu.Lock()
	wait := time.Duration(d.rnd.IntN(1000)) * time.Microsecond
	if a.Slow || d.rnd.IntN(6) == 0 { // long enough for a whole change of another actor
		wait *= 20
	}
	death := !d.NoCrashes && d.rnd.IntN(150) == 0
	d.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d.mu.Lock()
	if a.Dead = a.Dead || death && !a.Immortal; a.Dead {
		d.mu.Unlock()
		return ErrDead
	}
	return nil
}

// refused returns Cassandra's error for a statement with text that is not UTF-8.
func refused(args []any) error {
	for _, a := range args {
		if text, ok := a.(string); ok && !utf8.ValidString(text) {
			return fmt.Errorf("%q: String didn't validate", text)
		}
	}
	return nil
}

// QueryRow implements [cql.Database].
func (d *DB) QueryRow(ctx context.Context, _ gocql.Consistency, dest []any, stmt string, args ...any) (bool, error) {
	rows, _, err := d.query(ctx, stmt, args)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	return true, assign(dest, rows[0])
}

// QueryRows implements [cql.Database].
func (d *DB) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	_, err := d.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
	return err
}

// QueryCountingTombstones implements [cql.Database]. It reports every deleted row
// of the partition.
func (d *DB) QueryCountingTombstones(ctx context.Context, _ gocql.Consistency, _ int, row func(gocql.Scanner) error, stmt string, args ...any) (int, error) {
	rows, tombstones, err := d.query(ctx, stmt, args)
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if err := row(scanner(r)); err != nil {
			return tombstones, err
		}
	}
	return tombstones, nil
}

// QueryPage implements [cql.Database]: one page has everything.
func (d *DB) QueryPage(ctx context.Context, c gocql.Consistency, size int, _ []byte, row func(gocql.Scanner) error, stmt string, args ...any) ([]byte, error) {
	return nil, d.QueryRows(ctx, c, size, row, stmt, args...)
}

func (d *DB) query(ctx context.Context, stmt string, args []any) (rows [][]any, tombstones int, err error) {
	if err := refused(args); err != nil {
		return nil, 0, err
	}
	if err := d.step(ctx); err != nil {
		return nil, 0, err
	}
	defer d.mu.Unlock()
	rows, tombstones = d.read(stmt, args)
	return rows, tombstones, nil
}

// Peek executes a SELECT immediately. The caller has the database locked
// (AfterCAS), or to itself.
func (d *DB) Peek(stmt string, args ...any) [][]any {
	rows, _ := d.read(stmt, args)
	return rows
}

// Exec implements [cql.Database].
func (d *DB) Exec(ctx context.Context, stmt string, args ...any) error {
	return d.ExecBatch(ctx, []gocql.BatchEntry{{Stmt: stmt, Args: args}})
}

// ExecBatch implements [cql.Database].
func (d *DB) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	if err := d.step(ctx); err != nil {
		return err
	}
	defer d.mu.Unlock()
	for _, e := range batch {
		if err := refused(e.Args); err != nil {
			return err
		}
	}
	d.apply(batch)
	return nil
}

// Apply executes a write immediately. The caller has the database to itself.
func (d *DB) Apply(stmt string, args ...any) {
	d.apply([]gocql.BatchEntry{{Stmt: stmt, Args: args}})
}

// CAS implements [cql.Database].
func (d *DB) CAS(ctx context.Context, batch ...gocql.BatchEntry) (bool, error) {
	if err := d.step(ctx); err != nil {
		return false, err
	}
	defer d.mu.Unlock()
	lost := d.rnd.Float64() < d.LostResults
	if lost && d.rnd.IntN(2) == 0 {
		return false, fmt.Errorf("%w: it was lost on its way", meta.ErrUnavailable)
	}
	applied := true
	for _, e := range batch {
		applied = applied && d.holds(e.Stmt, e.Args)
	}
	if applied {
		d.apply(batch)
		if d.AfterCAS != nil {
			s := d.parse(batch[0].Stmt)
			d.AfterCAS(s.table, s.partitionKey(batch[0].Args))
		}
	}
	if lost {
		return false, fmt.Errorf("%w: the result was lost", meta.ErrUnavailable)
	}
	return applied, nil
}

// scanner scans one row.
type scanner []any

func (r scanner) Next() bool             { return false }
func (r scanner) Err() error             { return nil }
func (r scanner) Scan(dest ...any) error { return assign(dest, r) }

// assign stores a row's columns in dest, like Scan.
func assign(dest, row []any) error {
	if len(dest) != len(row) {
		return fmt.Errorf("%d columns into %d", len(row), len(dest))
	}
	for i, v := range row {
		to := reflect.ValueOf(dest[i]).Elem()
		switch from := reflect.ValueOf(v); {
		case !from.IsValid():
			to.SetZero()
		case to.Kind() == reflect.Pointer:
			p := reflect.New(to.Type().Elem())
			p.Elem().Set(from.Convert(p.Elem().Type()))
			to.Set(p)
		default:
			to.Set(from.Convert(to.Type()))
		}
	}
	return nil
}
