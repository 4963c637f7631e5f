// Package cassandra keeps metadata in Apache Cassandra (4.1 and 5.0).
//
// # Consistency
//
// What is decided is decided by Paxos in one partition: the head of a key, a
// bucket's row, the state of an upload, the seal of a shard. Everything else
// is a plain write at a quorum whose timestamp is derived from a revision,
// never from a clock, so that replays and reordering converge. The order in
// which the statements of an operation are sent is what makes listings exact;
// docs/design.md has the protocol, and the comments here say at each step
// what depends on it.
//
// # Reads
//
// A plain read at a quorum sees every change that was acknowledged before.
// Only where a change may be decided and not yet be visible (a pending row, an
// unknown outcome) is a head read by Paxos.
package cassandra

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
)

// Options of a Store. The zero value is right for most.
type Options struct {
	// Consistency of plain reads and writes, and of what Paxos commits.
	// Default LOCAL_QUORUM; QUORUM where gateways write to several
	// datacenters. Nothing weaker than a quorum is accepted.
	Consistency gocql.Consistency
	// Serial is the consistency of Paxos: LOCAL_SERIAL by default, SERIAL
	// with QUORUM.
	Serial gocql.SerialConsistency
	// Timeout bounds each statement; default 10 s.
	Timeout time.Duration
	// InlineMax is what [meta.Store] calls so, in bytes; default 4096.
	InlineMax int
	// Now is the clock; default time.Now. No answer depends on it.
	Now func() time.Time
	// RepairAfter is how old a pending row is when a listing that meets it
	// has it repaired; default a minute.
	RepairAfter time.Duration
	// Log gets what goes wrong behind the answers; default none.
	Log *zap.Logger
}

func (o Options) withDefaults() (Options, error) {
	switch o.Consistency {
	case gocql.Any: // the zero value
		o.Consistency = gocql.LocalQuorum
	case gocql.LocalQuorum, gocql.Quorum, gocql.EachQuorum, gocql.All:
	default:
		return o, fmt.Errorf("consistency %v: the metadata needs a quorum: LOCAL_QUORUM, QUORUM, EACH_QUORUM or ALL", o.Consistency)
	}
	switch o.Serial {
	case 0:
		o.Serial = gocql.LocalSerial
	case gocql.LocalSerial, gocql.Serial:
	default:
		return o, fmt.Errorf("serial consistency %d: want LOCAL_SERIAL or SERIAL", o.Serial)
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.InlineMax <= 0 {
		o.InlineMax = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RepairAfter <= 0 {
		o.RepairAfter = time.Minute
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o, nil
}

// Store is a [meta.Store] in one keyspace.
type Store struct {
	database
	o       Options
	names   names
	shards  shardMaps
	keys    stripes
	behind  *behind
	repairs repairs
	slots   slotMarks

	copyPage int // rows that a split copies at once
}

var _ meta.Store = (*Store)(nil)

// keyspaceName is what Cassandra accepts.
var keyspaceName = regexp.MustCompile(`^[A-Za-z0-9_]{1,48}$`)

// New returns the store in a keyspace whose schema is installed. The session
// stays the caller's: Close does not close it.
func New(session *gocql.Session, keyspace string, o Options) (*Store, error) {
	if !keyspaceName.MatchString(keyspace) {
		return nil, fmt.Errorf("keyspace %q: want up to 48 letters, digits and underscores", keyspace)
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return newOn(&cluster{
		session: session, cql: statements{keyspace: keyspace},
		consistency: o.Consistency, serial: o.Serial, timeout: o.Timeout,
	}, o), nil
}

func newOn(db database, o Options) *Store {
	s := &Store{database: db, o: o, keys: newStripes(1024), copyPage: 500}
	s.behind = newBehind(s)
	return s
}

// serial is the consistency of a read that finishes what Paxos has under way.
func (s *Store) serial() gocql.Consistency { return gocql.Consistency(s.o.Serial) }

// InlineMax implements [meta.Store].
func (s *Store) InlineMax() int { return s.o.InlineMax }

// Ping reads at the consistency that requests need.
func (s *Store) Ping(ctx context.Context) error {
	var id string
	_, err := s.one(ctx, s.o.Consistency, []any{&id}, `SELECT id FROM @.access_key WHERE id = ?`, "-")
	return wrap(err, "ping")
}

// Flush implements [meta.Store].
func (s *Store) Flush(ctx context.Context) error {
	return s.behind.flush(ctx)
}

// Close implements [meta.Store]. It waits at most as long as one statement
// may take: what is not written by then costs listings a read, never truth.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
	defer cancel()
	err := s.behind.flush(ctx)
	s.behind.stop()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("close metadata store: rows were left to be repaired: %w", err)
	}
	return err
}
