package cassandra

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync/atomic"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
)

// table has the statements of the store.
type table interface {
	insert(ctx context.Context, id blob.ID, at position, sum int64, data []byte) error
	// read reads a chunk at one replica or at the session's consistency. It
	// returns errMissing if there is no row. The caller may keep data.
	read(ctx context.Context, id blob.ID, at position, quorum bool) (sum int64, data []byte, err error)
	hasBlock(ctx context.Context, id blob.ID, block int) (bool, error)
	deleteBlock(ctx context.Context, id blob.ID, block int) error
	// list reads a page of chunks, without data, and advances page.
	list(ctx context.Context, page *tokenPage) ([]stored, error)
	copies
}

var errMissing = errors.New("no such row")

// position is the row of a chunk within its blob.
type position struct{ block, chunk int }

func positionOf(n int64, blockChunks int) position {
	return position{int(n / int64(blockChunks)), int(n % int64(blockChunks))}
}

// stored is what list returns of a chunk.
type stored struct {
	id    blob.ID
	block int
	size  int64
}

// tokenPage is a range of tokens, and how much of it was read.
type tokenPage struct {
	low, high int64
	state     []byte
	begun     bool
}

func (p *tokenPage) last() bool { return p.begun && len(p.state) == 0 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf returns the checksum of chunk n of a blob, with its length.
func sumOf(data []byte, id blob.ID, n int64) int64 {
	var bind [len(id) + 8]byte
	copy(bind[:], id[:])
	binary.BigEndian.PutUint64(bind[len(id):], uint64(n))
	crc := crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, bind[:])
	return int64(len(data))<<32 | int64(crc)
}

func sizeOf(sum int64) int64 { return sum >> 32 }

// cql is the table in Cassandra.
type cql struct {
	session  *gocql.Session
	keyspace string
	one      gocql.Consistency

	datacenter atomic.Pointer[string] // cached

	insertStmt, readStmt, hasStmt, deleteStmt, listStmt string
	readCopyStmt, rewriteStmt, sizesStmt                string
}

// The timestamps of a chunk and of its deletion. Between them are those of chunks
// that were rewritten because a copy was wrong.
const (
	writtenAt = 1
	deletedAt = math.MaxInt64 - 1
)

func newCQL(session *gocql.Session, keyspace string, one gocql.Consistency) *cql {
	name := `"` + keyspace + `".chunk`
	const at = " WHERE blob_id = ? AND block = ?"
	return &cql{
		session:    session,
		keyspace:   keyspace,
		one:        one,
		insertStmt: "INSERT INTO " + name + " (blob_id, block, chunk, sum, data) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP 1",
		readStmt:   "SELECT sum, data FROM " + name + " WHERE blob_id = ? AND block = ? AND chunk = ?",
		hasStmt:    "SELECT chunk FROM " + name + " WHERE blob_id = ? AND block = ? LIMIT 1",
		deleteStmt: fmt.Sprintf("DELETE FROM %s USING TIMESTAMP %d%s", name, int64(deletedAt), at),
		listStmt:   "SELECT blob_id, block, sum FROM " + name + " WHERE token(blob_id, block) > ? AND token(blob_id, block) <= ?",

		readCopyStmt: "SELECT sum, data, WRITETIME(data) FROM " + name + at + " AND chunk = ?",
		rewriteStmt:  "INSERT INTO " + name + " (blob_id, block, chunk, sum, data) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
		sizesStmt:    "SELECT sum FROM " + name + at,
	}
}

func (c *cql) query(ctx context.Context, stmt string, args ...any) *gocql.Query {
	return c.session.Query(stmt, args...).WithContext(ctx).Idempotent(true)
}

func (c *cql) insert(ctx context.Context, id blob.ID, at position, sum int64, data []byte) error {
	return c.query(ctx, c.insertStmt, id[:], at.block, at.chunk, sum, data).Exec()
}

// column is a CQL blob in the memory of the frame that gocql received. gocql reads
// each frame into new memory and would copy the blob from there.
type column []byte

// UnmarshalCQL implements gocql.Unmarshaler.
func (c *column) UnmarshalCQL(_ gocql.TypeInfo, data []byte) error {
	*c = data
	return nil
}

func (c *cql) read(ctx context.Context, id blob.ID, at position, quorum bool) (sum int64, data []byte, err error) {
	q := c.query(ctx, c.readStmt, id[:], at.block, at.chunk)
	if !quorum {
		q = q.Consistency(c.one)
	}
	err = q.Scan(&sum, (*column)(&data))
	if errors.Is(err, gocql.ErrNotFound) {
		err = errMissing
	}
	return sum, data, err
}

func (c *cql) hasBlock(ctx context.Context, id blob.ID, block int) (bool, error) {
	var chunk int
	err := c.query(ctx, c.hasStmt, id[:], block).Scan(&chunk)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (c *cql) deleteBlock(ctx context.Context, id blob.ID, block int) error {
	return c.query(ctx, c.deleteStmt, id[:], block).Exec()
}

func (c *cql) list(ctx context.Context, page *tokenPage) ([]stored, error) {
	const rows = 1000
	iter := c.query(ctx, c.listStmt, page.low, page.high).PageSize(rows).PageState(page.state).Iter()
	next := iter.PageState() // now: scanning on would fetch the next page too
	out := make([]stored, 0, iter.NumRows())
	for range iter.NumRows() {
		var id []byte
		var sum int64
		var row stored
		if !iter.Scan(&id, &row.block, &sum) {
			break
		}
		if copy(row.id[:], id) != len(row.id) || len(id) != len(row.id) {
			_ = iter.Close() // the row is the error to return
			return nil, fmt.Errorf("%w: the table has a row for %x, which is not a blob id", blob.ErrCorrupt, id)
		}
		row.size = sizeOf(sum)
		out = append(out, row)
	}
	if err := iter.Close(); err != nil {
		return nil, err
	}
	page.state, page.begun = next, true
	return out, nil
}
