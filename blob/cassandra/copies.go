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

// copies has the statements that read and rewrite single copies.
type copies interface {
	// copies is the number of nodes of this datacenter that should have a chunk.
	copies(ctx context.Context) (int, error)
	// readCopy is read at node n of those that have the chunk, counted from 0.
	// It also returns the timestamp of the chunk.
	readCopy(ctx context.Context, id blob.ID, at position, n, of int, buf []byte) (sum int64, data []byte, written int64, err error)
	// rewrite is insert at another timestamp; with everywhere, it returns only
	// when every node has the row.
	rewrite(ctx context.Context, id blob.ID, at position, sum int64, data []byte, timestamp int64, everywhere bool) error
	// blockSize is the sum of the sizes of the chunks of a block.
	blockSize(ctx context.Context, id blob.ID, block int) (int64, error)
}

func (c *cql) copies(ctx context.Context) (int, error) {
	k, err := c.session.KeyspaceMetadata(c.keyspace) // which the driver caches
	if err != nil {
		return 0, err
	}
	dc, err := c.localDatacenter(ctx)
	if err != nil {
		return 0, err
	}
	return copiesIn(dc, k.StrategyOptions), nil
}

// localDatacenter is the datacenter of the nodes that the session is connected to.
func (c *cql) localDatacenter(ctx context.Context) (string, error) {
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

// copiesIn is the number of copies that a keyspace has in a datacenter, by the
// options of its replication.
func copiesIn(dc string, options map[string]any) int {
	text, ok := options[dc].(string)
	if !ok {
		text, _ = options["replication_factor"].(string) // of SimpleStrategy, in any datacenter
	}
	text, _, _ = strings.Cut(text, "/") // "3/1": one of three is transient
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1
	}
	return max(1, n)
}

func (c *cql) readCopy(ctx context.Context, id blob.ID, at position, n, of int, buf []byte) (sum int64, data []byte, written int64, err error) {
	q := c.query(cassandra.AtReplica(ctx, n, of), c.readCopyStmt, id[:], at.block, at.chunk).Consistency(c.one)
	err = q.Scan(&sum, &buf, &written)
	if errors.Is(err, gocql.ErrNotFound) {
		err = errMissing
	}
	return sum, buf, written, err
}

func (c *cql) rewrite(ctx context.Context, id blob.ID, at position, sum int64, data []byte, timestamp int64, everywhere bool) error {
	q := c.query(ctx, c.rewriteStmt, id[:], at.block, at.chunk, sum, data, timestamp)
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

// copyState is the state of one copy of a chunk.
type copyState struct {
	good, missing, unread bool
	written               int64 // its timestamp
}

// readCopies reads every copy of chunk n of a blob, and returns a good one, if
// there is any, in data, which is in buf or in a buffer of its own.
func (s *Store) readCopies(ctx context.Context, ref blob.Ref, n int64, buf []byte) (states []copyState, data []byte, err error) {
	of, err := s.db.copies(ctx)
	if err != nil {
		return nil, nil, err
	}
	size := chunkSize(ref, n)
	at := positionOf(n, int(ref.Block))
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

// healTimeout bounds the asynchronous rewriting of a chunk after a read.
const healTimeout = 5 * time.Second

// heal writes a good chunk over wrong copies of it. Of two cells with one
// timestamp Cassandra keeps the greater value, right or wrong. So the good chunk
// gets a timestamp above those of the wrong copies. Deletions have the greatest
// timestamp.
func (s *Store) heal(ctx context.Context, ref blob.Ref, n int64, data []byte, states []copyState, everywhere bool) error {
	var newest int64 = writtenAt
	for _, c := range states {
		newest = max(newest, c.written)
	}
	err := s.db.rewrite(ctx, ref.ID, positionOf(n, int(ref.Block)), sumOf(data, ref.ID, n), data, newest+1, everywhere)
	if err != nil {
		return fmt.Errorf("rewrite chunk %d of blob %s: %w", n, ref.ID, err)
	}
	return nil
}

// healAfterRead heals a chunk that one read has found corrupt and a later read has
// found good. If it fails, the next read or a check heals the chunk.
func (s *Store) healAfterRead(ctx context.Context, ref blob.Ref, n int64, data []byte) {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	log := s.opts.Log.With(zap.Stringer("blob", ref.ID), zap.Int64("chunk", n))
	states, spare, err := s.readCopies(ctx, ref, n, nil)
	buffer.Put(spare)
	wrong := 0
	for _, c := range states {
		if !c.good && !c.missing && !c.unread {
			wrong++
		}
	}
	if err == nil && wrong == 0 {
		return // another gateway has healed it, or the bytes changed on the network
	}
	if err == nil {
		err = s.heal(ctx, ref, n, data, states, false)
	}
	if err != nil {
		log.Warn("a copy of a chunk is corrupt and could not be healed; run 'pithos check --deep --repair'", zap.Error(err))
		return
	}
	log.Warn("corrupt copies of a chunk were healed from a good one; check the disk of their node", zap.Int("copies", wrong))
}

// findGoodCopy reads every copy of a chunk of which reads have returned no good one:
// a quorum prefers the greater of two copies, not the right one.
func (s *Store) findGoodCopy(ctx context.Context, ref blob.Ref, n int64, buf []byte) ([]byte, error) {
	of, err := s.db.copies(ctx)
	if err != nil {
		return nil, err
	}
	if of < 2 {
		return nil, fmt.Errorf("%w: wrong checksum of the only copy", blob.ErrCorrupt)
	}
	_, data, err := s.readCopies(ctx, ref, n, buf)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("%w: wrong checksum in every copy", blob.ErrCorrupt)
	}
	return data, nil
}
