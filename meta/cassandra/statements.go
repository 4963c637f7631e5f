package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/meta"
)

// statements puts the keyspace into statements ("@." stands for it). Values
// are always bound.
type statements struct {
	keyspace string
	made     sync.Map
}

func (c *statements) text(stmt string) string {
	if made, ok := c.made.Load(stmt); ok {
		return made.(string)
	}
	made := strings.ReplaceAll(stmt, "@.", `"`+c.keyspace+`".`)
	c.made.Store(stmt, made)
	return made
}

// database is what a store asks of Cassandra. Statements that are not
// conditional must be idempotent.
type database interface {
	// one reads a row; found is false where there is none.
	one(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (found bool, err error)
	// each reads rows, page by page, and calls row for each.
	each(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error
	// eachWarned is each. It also returns how many tombstones the read had to
	// pass, where the database warns of them; 0 otherwise.
	eachWarned(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (tombstones int, err error)
	// page reads one page, which begins where state says, and returns where
	// the next one does; nil after the last. Each page has its own timeout.
	page(ctx context.Context, c gocql.Consistency, size int, state []byte, row func(gocql.Scanner) error, stmt string, args ...any) (next []byte, err error)
	// write makes a plain write.
	write(ctx context.Context, stmt string, args ...any) error
	// writes makes plain writes to one partition, all or none of them.
	writes(ctx context.Context, batch []gocql.BatchEntry) error
	// cas makes a conditional change by one statement or, to one partition,
	// by several. It is not tried again: after an error the outcome is
	// unknown, unless that is errUnsent.
	cas(ctx context.Context, batch ...gocql.BatchEntry) (applied bool, err error)
}

// cluster is a real database.
type cluster struct {
	session     *gocql.Session
	cql         statements
	consistency gocql.Consistency
	serial      gocql.SerialConsistency
	timeout     time.Duration // of a statement, with all of its pages
}

// again is the retry policy of idempotent statements: a second try, on
// another node where there is one.
var again = &gocql.SimpleRetryPolicy{NumRetries: 1}

func (d *cluster) query(ctx context.Context, stmt string, args ...any) *gocql.Query {
	return d.session.Query(d.cql.text(stmt), args...).WithContext(ctx).
		Consistency(d.consistency).SerialConsistency(d.serial).DefaultTimestamp(false)
}

func (d *cluster) one(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (found bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	err = d.query(limited, stmt, args...).Consistency(c).Idempotent(true).RetryPolicy(again).Scan(dest...)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return err == nil, classify(ctx, err)
}

func (d *cluster) each(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	_, err := d.eachWarned(ctx, c, page, row, stmt, args...)
	return err
}

// maxPage bounds the rows that one answer of Cassandra carries.
const maxPage = 2000

// maxLimit is the most that a statement's LIMIT is given, which is 32 bits.
const maxLimit = 1 << 30

func (d *cluster) write(ctx context.Context, stmt string, args ...any) error {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	return classify(ctx, d.query(limited, stmt, args...).Idempotent(true).RetryPolicy(again).Exec())
}

func (d *cluster) writes(ctx context.Context, batch []gocql.BatchEntry) error {
	if len(batch) == 1 {
		return d.write(ctx, batch[0].Stmt, batch[0].Args...)
	}
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	b := d.session.NewBatch(gocql.UnloggedBatch).WithContext(limited).RetryPolicy(again).DefaultTimestamp(false)
	b.SetConsistency(d.consistency)
	for _, e := range batch {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: d.cql.text(e.Stmt), Args: e.Args, Idempotent: true})
	}
	return classify(ctx, d.session.ExecuteBatch(b))
}

// entry is one statement of a batch.
func entry(stmt string, args ...any) gocql.BatchEntry {
	return gocql.BatchEntry{Stmt: stmt, Args: args}
}

func (d *cluster) cas(ctx context.Context, batch ...gocql.BatchEntry) (applied bool, err error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	was := map[string]any{} // what is there instead; statements that need it read it again by Paxos
	if len(batch) == 1 {
		q := d.query(limited, batch[0].Stmt, batch[0].Args...).Idempotent(false).RetryPolicy(nil)
		applied, err = q.MapScanCAS(was)
		return applied, unsent(ctx, err)
	}
	b := d.session.NewBatch(gocql.LoggedBatch).WithContext(limited).RetryPolicy(nil).DefaultTimestamp(false).SerialConsistency(d.serial)
	b.SetConsistency(d.consistency)
	for _, e := range batch {
		b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: d.cql.text(e.Stmt), Args: e.Args})
	}
	applied, iter, err := d.session.MapExecuteBatchCAS(b, was)
	if iter != nil {
		err = errors.Join(err, iter.Close())
	}
	return applied, unsent(ctx, err)
}

// errUnsent marks errors of conditional changes that certainly did nothing.
var errUnsent = errors.New("change was not made")

// unsent classifies the error of a conditional change.
func unsent(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// What a coordinator refuses by these codes it may refuse in the middle: as
	// unavailable, when its replicas fail between the rounds of Paxos and have
	// accepted what somebody else may commit; as overloaded, when it has too
	// many hints to keep for a replica that is to be told of the commit.
	var answer gocql.RequestError
	if errors.As(err, &answer) && (answer.Code() == gocql.ErrCodeUnavailable || answer.Code() == gocql.ErrCodeOverloaded) {
		return classify(ctx, err)
	}
	if class := cassandra.Classify(err); class == cassandra.Unavailable || class == cassandra.Rejected || badValue(err) {
		return fmt.Errorf("%w: %w", errUnsent, classify(ctx, err))
	}
	return classify(ctx, err)
}

// badValue tells errors of encoding and decoding, which are nobody's but ours.
func badValue(err error) bool {
	var in gocql.MarshalError
	var out gocql.UnmarshalError
	return errors.As(err, &in) || errors.As(err, &out)
}

// classify turns an error of the driver into one of package meta. An ended
// ctx (the caller's, not the limit of one statement) speaks for itself.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w (%v)", context.Cause(ctx), err)
	case badValue(err) || cassandra.Classify(err) == cassandra.Rejected:
		return err
	case cassandra.Overloaded(err):
		return fmt.Errorf("%w: %w", meta.ErrOverloaded, err)
	}
	return fmt.Errorf("%w: %w", meta.ErrUnavailable, err)
}

// wrap adds what was being done to an error.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}
