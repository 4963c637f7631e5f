package cql

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// statementCache replaces "@." in statements by the keyspace's name, once per
// statement. Values are always bound.
type statementCache struct {
	keyspace string
	texts    sync.Map
}

func (c *statementCache) text(stmt string) string {
	if made, ok := c.texts.Load(stmt); ok {
		return made.(string)
	}
	made := strings.ReplaceAll(stmt, "@.", `"`+c.keyspace+`".`)
	c.texts.Store(stmt, made)
	return made
}

// Database is what a store needs of Cassandra. Statements that are not
// conditional must be idempotent.
type Database interface {
	// QueryRow reads one row. found is false if there is none.
	QueryRow(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (found bool, err error)
	// QueryRows reads rows, page by page, and calls row for each.
	QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error
	// QueryCountingTombstones is QueryRows. It also returns how many tombstones
	// the read scanned, if the database warns of them; 0 otherwise.
	QueryCountingTombstones(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (tombstones int, err error)
	// QueryPage reads one page, which begins at state, and returns the state of
	// the next one; nil after the last. Each page has its own timeout.
	QueryPage(ctx context.Context, c gocql.Consistency, size int, state []byte, row func(gocql.Scanner) error, stmt string, args ...any) (next []byte, err error)
	// Exec makes a plain write.
	Exec(ctx context.Context, stmt string, args ...any) error
	// ExecBatch makes plain writes to one partition: all of them or none.
	ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error
	// CAS makes a conditional change by one statement, or by several to one
	// partition. It does not retry: after an error the outcome is unknown,
	// unless the error is ErrNotApplied.
	CAS(ctx context.Context, batch ...gocql.BatchEntry) (applied bool, err error)
}

// cluster is the Database over a gocql session.
type cluster struct {
	session     *gocql.Session
	statements  statementCache
	consistency gocql.Consistency
	serial      gocql.SerialConsistency
	timeout     time.Duration // of a statement, with all of its pages
}

// retryOnce is the retry policy of idempotent statements: a second attempt, on
// another node if there is one.
var retryOnce = &gocql.SimpleRetryPolicy{NumRetries: 1}

func (d *cluster) query(ctx context.Context, stmt string, args ...any) *gocql.Query {
	return d.session.Query(d.statements.text(stmt), args...).WithContext(ctx).
		Consistency(d.consistency).SerialConsistency(d.serial).DefaultTimestamp(false)
}

func (d *cluster) QueryRow(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (found bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	err = d.query(limited, stmt, args...).Consistency(c).Idempotent(true).RetryPolicy(retryOnce).Scan(dest...)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return err == nil, classify(ctx, err)
}

func (d *cluster) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	_, err := d.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
	return err
}

// MaxPageRows bounds the rows of one page that Cassandra returns.
const MaxPageRows = 2000

// MaxLimit is the highest LIMIT of a statement, which has 32 bits.
const MaxLimit = 1 << 30

func (d *cluster) Exec(ctx context.Context, stmt string, args ...any) error {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	return classify(ctx, d.query(limited, stmt, args...).Idempotent(true).RetryPolicy(retryOnce).Exec())
}

func (d *cluster) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	if len(batch) == 1 {
		return d.Exec(ctx, batch[0].Stmt, batch[0].Args...)
	}
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	b := d.session.NewBatch(gocql.UnloggedBatch).WithContext(limited).RetryPolicy(retryOnce).DefaultTimestamp(false)
	b.SetConsistency(d.consistency)
	for _, e := range batch {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: d.statements.text(e.Stmt), Args: e.Args, Idempotent: true})
	}
	return classify(ctx, d.session.ExecuteBatch(b))
}

// Statement is one statement of a batch.
func Statement(stmt string, args ...any) gocql.BatchEntry {
	return gocql.BatchEntry{Stmt: stmt, Args: args}
}

func (d *cluster) CAS(ctx context.Context, batch ...gocql.BatchEntry) (applied bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	was := map[string]any{} // the current values; callers that need them read them again by Paxos
	if len(batch) == 1 {
		q := d.query(limited, batch[0].Stmt, batch[0].Args...).Idempotent(false).RetryPolicy(nil)
		applied, err = q.MapScanCAS(was)
		return applied, classifyCAS(ctx, err)
	}
	b := d.session.NewBatch(gocql.LoggedBatch).WithContext(limited).RetryPolicy(nil).DefaultTimestamp(false).SerialConsistency(d.serial)
	b.SetConsistency(d.consistency)
	for _, e := range batch {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: d.statements.text(e.Stmt), Args: e.Args})
	}
	applied, iter, err := d.session.MapExecuteBatchCAS(b, was)
	if iter != nil {
		err = errors.Join(err, iter.Close())
	}
	return applied, classifyCAS(ctx, err)
}

// ID decodes a stored id; the zero ID if there is none.
func ID(b []byte) (id meta.ID) {
	copy(id[:], b)
	return id
}

// ConcurrentReads bounds the rows that one operation reads at the same time.
const ConcurrentReads = 16

// MaxTimestamp is a timestamp that no write exceeds. What is deleted at it stays
// deleted, whatever arrives late.
const MaxTimestamp = math.MaxInt64 - 1
