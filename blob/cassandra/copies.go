package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/internal/buffer"
	"github.com/pithos/pithos/internal/cassandra"
)

// copies is what reading and mending single copies asks of the database.
type copies interface {
	// copies is how many nodes of this datacenter are meant to have a chunk.
	copies(ctx context.Context) (int, error)
	// readCopy is read at one of the nodes that have the chunk, counted from
	// 0. It returns the timestamp of the chunk too.
	readCopy(ctx context.Context, id blob.ID, at place, n, of int, buf []byte) (sum int64, data []byte, written int64, err error)
	// mend is insert at a timestamp of its own; everywhere returns only when
	// every node has it.
	mend(ctx context.Context, id blob.ID, at place, sum int64, data []byte, timestamp int64, everywhere bool) error
	// blockSize is the sum of the sizes of the chunks of a block.
	blockSize(ctx context.Context, id blob.ID, block int) (int64, error)
}

func (c *cql) copies(ctx context.Context) (int, error) {
	k, err := c.session.KeyspaceMetadata(c.keyspace) // which the driver remembers
	if err != nil {
		return 0, err
	}
	dc, err := c.here(ctx)
	if err != nil {
		return 0, err
	}
	return copiesIn(dc, k.StrategyOptions), nil
}

// here is the datacenter of the nodes that the session speaks to.
func (c *cql) here(ctx context.Context) (string, error) {
	if dc := c.datacenter.Load(); dc != nil {
		return *dc, nil
	}
	var dc string
	err := c.query(ctx, "SELECT data_center FROM system.local WHERE key = 'local'").Scan(&dc)
	if err == nil {
		c.datacenter.Store(&dc)
	}
	return dc, err
}

// copiesIn is how many copies a keyspace has in a datacenter, by the options
// of its replication.
func copiesIn(dc string, options map[string]any) int {
	text, ok := options[dc].(string)
	if !ok {
		text, _ = options["replication_factor"].(string) // SimpleStrategy's: wherever they are
	}
	text, _, _ = strings.Cut(text, "/") // "3/1": one of three is transient
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1
	}
	return max(1, n)
}

func (c *cql) readCopy(ctx context.Context, id blob.ID, at place, n, of int, buf []byte) (sum int64, data []byte, written int64, err error) {
	q := c.query(cassandra.AtReplica(ctx, n, of), c.readCopyStmt, id[:], at.block, at.chunk).Consistency(c.one)
	err = q.Scan(&sum, &buf, &written)
	if errors.Is(err, gocql.ErrNotFound) {
		err = errMissing
	}
	return sum, buf, written, err
}

func (c *cql) mend(ctx context.Context, id blob.ID, at place, sum int64, data []byte, timestamp int64, everywhere bool) error {
	q := c.query(ctx, c.mendStmt, id[:], at.block, at.chunk, sum, data, timestamp)
	if everywhere {
		q = q.Consistency(gocql.All)
	}
	return q.Exec()
}

func (c *cql) blockSize(ctx context.Context, id blob.ID, block int) (int64, error) {
	var sum, total int64
	iter := c.query(ctx, c.sizesStmt, id[:], block).Iter()
	for iter.Scan(&sum) {
		total += sizeOf(sum)
	}
	return total, iter.Close()
}

// copyState is what one copy of a chunk is like.
type copyState struct {
	good, missing, unread bool
	written               int64 // its timestamp
}

// survey reads every copy of chunk n of a blob, and leaves a good one, if
// there is any, in data, which lies in buf or in a buffer of its own.
func (s *Store) survey(ctx context.Context, ref blob.Ref, n int64, buf []byte) (states []copyState, data []byte, err error) {
	of, err := s.db.copies(ctx)
	if err != nil {
		return nil, nil, err
	}
	size := chunkSize(ref, n)
	at := placeOf(n, int(ref.Block))
	for i := range of {
		into := buf
		if data != nil {
			into = buffer.Get(int(size))
		}
		sum, got, written, err := s.db.readCopy(ctx, ref.ID, at, i, of, into)
		state := copyState{written: written}
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case errors.Is(err, errMissing):
			state.missing = true
		case err != nil:
			state.unread = true
		default:
			state.good = int64(len(got)) == size && sum == sumOf(got, ref.ID, n)
		}
		states = append(states, state)
		if state.good && data == nil {
			data = got
		} else if data != nil {
			buffer.Put(into)
		}
	}
	return states, data, nil
}

// mendTime bounds the writing of a chunk anew behind a read.
const mendTime = 5 * time.Second

// heal writes a good chunk over wrong copies of it. Of two cells with one
// timestamp Cassandra keeps the greater, right or wrong: so the good chunk
// gets a timestamp above theirs. A deletion is above them all.
func (s *Store) heal(ctx context.Context, ref blob.Ref, n int64, data []byte, states []copyState, everywhere bool) error {
	var newest int64 = writtenAt
	for _, c := range states {
		newest = max(newest, c.written)
	}
	err := s.db.mend(ctx, ref.ID, placeOf(n, int(ref.Block)), sumOf(data, ref.ID, n), data, newest+1, everywhere)
	if err != nil {
		return fmt.Errorf("write chunk %d of blob %s anew: %w", n, ref.ID, err)
	}
	return nil
}

// mendAfterRead heals a chunk that a read has found corrupt, given what a
// later read found. A failure leaves it to the next read, or to a check.
func (s *Store) mendAfterRead(ctx context.Context, ref blob.Ref, n int64, data []byte) {
	ctx, cancel := context.WithTimeout(ctx, mendTime)
	defer cancel()
	log := s.opts.Log.With(zap.Stringer("blob", ref.ID), zap.Int64("chunk", n))
	states, spare, err := s.survey(ctx, ref, n, nil)
	buffer.Put(spare)
	wrong := 0
	for _, c := range states {
		if !c.good && !c.missing && !c.unread {
			wrong++
		}
	}
	if err == nil && wrong == 0 {
		return // somebody else has healed it, or the bytes changed on their way
	}
	if err == nil {
		err = s.heal(ctx, ref, n, data, states, false)
	}
	if err != nil {
		log.Warn("a copy of a chunk is corrupt and was not healed; 'pithos check --deep --repair' can", zap.Error(err))
		return
	}
	log.Warn("corrupt copies of a chunk were healed from a good one: see to the disk of their node", zap.Int("copies", wrong))
}

// rescue looks for a good copy of a chunk of which reads have found none: a
// quorum prefers the greater of two copies, not the right one.
func (s *Store) rescue(ctx context.Context, ref blob.Ref, n int64, buf []byte) ([]byte, error) {
	of, err := s.db.copies(ctx)
	if err != nil {
		return nil, err
	}
	if of < 2 {
		return nil, fmt.Errorf("%w: wrong checksum, and there is no other copy", blob.ErrCorrupt)
	}
	_, data, err := s.survey(ctx, ref, n, buf)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%w: wrong checksum in every copy", blob.ErrCorrupt)
	}
	return data, nil
}
