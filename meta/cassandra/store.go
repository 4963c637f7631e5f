package cassandra

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/head"
	"github.com/pithos/pithos/meta/cassandra/internal/listing"
	"github.com/pithos/pithos/meta/cassandra/internal/queue"
)

// Options of a Store. The zero value is right for most uses.
type Options struct {
	// Consistency of plain reads and writes, and of what Paxos commits. Default
	// LOCAL_QUORUM. Use QUORUM if gateways write in several datacenters. Anything
	// weaker than a quorum is refused.
	Consistency gocql.Consistency
	// Serial is the consistency of Paxos: LOCAL_SERIAL by default, SERIAL
	// with QUORUM.
	Serial gocql.SerialConsistency
	// Timeout bounds each statement; default 10 s.
	Timeout time.Duration
	// InlineMax is the value of [meta.Store.InlineMax], in bytes; default 8192.
	// docs/performance.md has the measurements.
	InlineMax int
	// Now is the clock; default time.Now. No answer depends on it.
	Now func() time.Time
	// RepairAfter is the age at which a pending row that a listing reads is
	// repaired; default one minute.
	RepairAfter time.Duration
	// ShardRows is about how many rows a shard of a listing may have before it
	// is split; default 50,000.
	ShardRows int
	// FinishAfter is how long a gateway waits for another one to finish the
	// replacement of a shard before it does that itself; default 30 s. A wrong
	// value only makes gateways do the same work twice.
	FinishAfter time.Duration
	// Log gets the failures of asynchronous work; default none.
	Log *zap.Logger
	// Buckets is the keyspace of buckets, access keys and holds, if that is not
	// the store's own.
	Buckets *Keyspace
}

// Keyspace is a keyspace with the same schema, in the same cluster or another one.
type Keyspace struct {
	Session *gocql.Session
	Name    string
	// Consistency and Serial are as in [Options], with the same defaults. All
	// stores that share the keyspace must see each other's writes, stores of other
	// regions too: use QUORUM and SERIAL if their gateways are in several
	// datacenters.
	Consistency gocql.Consistency
	Serial      gocql.SerialConsistency
	// Timeout bounds each statement; default [Options.Timeout].
	Timeout time.Duration
}

// quorums sets the defaults of two consistencies, and refuses weaker ones.
func quorums(c *gocql.Consistency, serial *gocql.SerialConsistency) error {
	switch *c {
	case gocql.Any: // the zero value
		*c = gocql.LocalQuorum
	case gocql.LocalQuorum, gocql.Quorum, gocql.EachQuorum, gocql.All:
	default:
		return fmt.Errorf("consistency %v: the metadata needs a quorum: LOCAL_QUORUM, QUORUM, EACH_QUORUM or ALL", *c)
	}
	switch *serial {
	case 0:
		*serial = gocql.LocalSerial
	case gocql.LocalSerial, gocql.Serial:
	default:
		return fmt.Errorf("serial consistency %d: want LOCAL_SERIAL or SERIAL", *serial)
	}
	return nil
}

func (o Options) withDefaults() (Options, error) {
	if err := quorums(&o.Consistency, &o.Serial); err != nil {
		return o, err
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Buckets != nil {
		buckets := *o.Buckets
		if err := quorums(&buckets.Consistency, &buckets.Serial); err != nil {
			return o, fmt.Errorf("buckets: %w", err)
		}
		if buckets.Timeout <= 0 {
			buckets.Timeout = o.Timeout
		}
		o.Buckets = &buckets
	}
	if o.InlineMax <= 0 {
		o.InlineMax = 8192
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o, nil
}

// Store is a [meta.Store] in one keyspace, or with its buckets, access keys and
// holds in another.
type Store struct {
	*head.Keys
	*listing.Index
	*queue.Queue

	db      cql.DB
	buckets cql.DB // has the tables bucket, bucket_by_owner, bucket_by_id, access_key and hold
	o       Options
	names   bucketNames
	// bucketChecker coalesces the reads of a bucket's state by concurrent changes.
	bucketChecker *cql.Coalescer[meta.BucketID, struct{}, struct{}]
	background    cql.Inflight // index rows that are removed asynchronously
}

var (
	_ meta.Store      = (*Store)(nil)
	_ meta.AccessKeys = (*Store)(nil)
)

// New returns the store of a keyspace whose schema is installed. The caller keeps
// the sessions: Close does not close them.
func New(session *gocql.Session, keyspace string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := cql.Open(session, keyspace, o.Consistency, o.Serial, o.Timeout)
	if err != nil {
		return nil, err
	}
	if o.Buckets == nil {
		return newOn(db, db, o), nil
	}
	buckets, err := cql.Open(o.Buckets.Session, o.Buckets.Name, o.Buckets.Consistency, o.Buckets.Serial, o.Buckets.Timeout)
	if err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	return newOn(db, buckets, o), nil
}

// newOn makes a store of complete options.
func newOn(db, buckets cql.DB, o Options) *Store {
	keys := head.New(db)
	s := &Store{
		Keys:  keys,
		Index: listing.New(db, keys, listing.Options{Now: o.Now, RepairAfter: o.RepairAfter, ShardRows: o.ShardRows, FinishAfter: o.FinishAfter, Log: o.Log}),
		Queue: queue.New(db),
		db:    db, buckets: buckets, o: o,
	}
	s.bucketChecker = cql.NewCoalescer(func(ctx context.Context, id meta.BucketID, _ []struct{}) (none struct{}, err error) {
		return none, s.checkBucket(ctx, id)
	})
	return s
}

// InlineMax implements [meta.Store].
func (s *Store) InlineMax() int { return s.o.InlineMax }

// Ping reads at the consistency that requests need, in each keyspace.
func (s *Store) Ping(ctx context.Context) error {
	var id string
	_, err := s.buckets.QueryRow(ctx, s.buckets.Consistency, []any{&id}, `SELECT id FROM @.access_key WHERE id = ?`, "-")
	if err == nil && s.o.Buckets != nil {
		err = s.Queue.Ping(ctx)
	}
	return cql.Wrap(err, "ping")
}

// Flush implements [meta.Store].
func (s *Store) Flush(ctx context.Context) error {
	if err := s.Index.Flush(ctx); err != nil {
		return err
	}
	return s.background.Wait(ctx)
}

// Close implements [meta.Store]. It waits at most as long as one statement may
// take. Rows that are not written by then stay pending: listings read their heads,
// and results stay correct.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	err := errors.Join(s.Index.Close(ctx), s.background.Wait(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("close metadata store: some listing rows stay pending: %w", err)
	}
	return err
}
