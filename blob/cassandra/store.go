package cassandra

import (
	"context"
	"fmt"
	"regexp"

	"github.com/gocql/gocql"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
)

// Options are the settings of a store. The zero value has the defaults.
type Options struct {
	// ChunkBytes is the size of a chunk, 1 KiB to 8 MiB. Default 512 KiB.
	// Existing blobs stay readable when it changes.
	ChunkBytes int
	// BlockChunks is the number of chunks in a partition, at least Window.
	// Default: as many as make 32 MiB.
	BlockChunks int
	// Window is the number of chunks that a writer has in flight. Default 4.
	Window int
	// ReadAhead is the number of chunks that a reader has in flight.
	// Default 4.
	ReadAhead int
	// ReadConsistency is that of a chunk's first read. Default LOCAL_ONE.
	// All other statements have the session's consistency.
	ReadConsistency gocql.Consistency
	// Log logs corrupt chunks. Default: none.
	Log *zap.Logger
}

const (
	minChunkBytes = 1 << 10
	maxChunkBytes = 8 << 20
	maxWindow     = 64
)

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.ChunkBytes, 512<<10)
	setDefault(&o.Window, 4)
	setDefault(&o.ReadAhead, 4)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.ReadConsistency == gocql.Any {
		o.ReadConsistency = gocql.LocalOne
	}
	if err := inRange("ChunkBytes", o.ChunkBytes, minChunkBytes, maxChunkBytes); err != nil {
		return o, err
	}
	if err := inRange("Window", o.Window, 1, maxWindow); err != nil {
		return o, err
	}
	if err := inRange("ReadAhead", o.ReadAhead, 1, maxWindow); err != nil {
		return o, err
	}
	setDefault(&o.BlockChunks, max(o.Window, (32<<20)/o.ChunkBytes))
	// Delete ends after two blocks without a row. A writer that crashed may have
	// left a gap as long as its window, which must not span two blocks.
	return o, inRange("BlockChunks", o.BlockChunks, o.Window, 1<<20)
}

func setDefault(n *int, def int) {
	if *n == 0 {
		*n = def
	}
}

func inRange(name string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("cassandra blob store: %s is %d, want %d to %d", name, n, low, high)
	}
	return nil
}

// Store is a [blob.Store] in a Cassandra table.
type Store struct {
	db   table
	opts Options
}

var _ blob.Store = (*Store)(nil)

var keyspaceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,47}$`)

// New returns the store in the table chunk of keyspace, which must exist. The
// caller closes the session; its consistency should be a quorum.
func New(session *gocql.Session, keyspace string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if !keyspaceName.MatchString(keyspace) {
		return nil, fmt.Errorf("cassandra blob store: keyspace %q: want a letter, then up to 47 letters, digits or underscores", keyspace)
	}
	return &Store{db: newCQL(session, keyspace, o.ReadConsistency), opts: o}, nil
}

// Delete implements [blob.Store]. It deletes one block after another until two in a
// row have no row. A chunk that a writer sends to one of those two during Delete
// may stay. So the collector deletes the blob of an interrupted writer only when
// the writer's requests cannot arrive any more.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	return s.Purge(ctx, id, 0) // the first block without reading: most blobs have only this one
}

// deleteFrom deletes blocks from one on, until two in a row have no row.
func (s *Store) deleteFrom(ctx context.Context, id blob.ID, block int) error {
	for empty := 0; empty < 2; block++ {
		var found bool
		err := retry(ctx, func() (err error) {
			found, err = s.db.hasBlock(ctx, id, block)
			return err
		})
		if err != nil {
			return fmt.Errorf("delete blob %s: read block %d: %w", id, block, err)
		}
		if !found {
			empty++
			continue
		}
		empty = 0
		if err := s.deleteBlock(ctx, id, block); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) deleteBlock(ctx context.Context, id blob.ID, block int) error {
	err := retry(ctx, func() error { return s.db.deleteBlock(ctx, id, block) })
	if err != nil {
		return fmt.Errorf("delete blob %s: block %d: %w", id, block, err)
	}
	return nil
}

// walkRanges is the number of token ranges that Walk reads: enough for each to be
// a small part of one node's data.
const walkRanges = 64

// Walk implements [blob.Store]. It visits a blob once for each of its blocks,
// in the order of tokens.
func (s *Store) Walk(ctx context.Context, visit func(blob.Info) error) error {
	for i := range walkRanges {
		if err := s.WalkShare(ctx, blob.Share{Part: i, Of: walkRanges}, visit); err != nil {
			return err
		}
	}
	return nil
}

// walkRange visits the blocks whose token is greater than low and at most high. The
// rows of one partition are read one after another.
func (s *Store) walkRange(ctx context.Context, low, high int64, visit func(blob.Info) error) error {
	var current stored
	for page := (tokenPage{low: low, high: high}); ; {
		var rows []stored
		err := retry(ctx, func() (err error) {
			rows, err = s.db.list(ctx, &page)
			return err
		})
		if err != nil {
			return fmt.Errorf("walk blobs: %w", err)
		}
		for _, row := range rows {
			if row.id == current.id && row.block == current.block {
				current.size += row.size
				continue
			}
			if err := visitStored(ctx, current, visit); err != nil {
				return err
			}
			current = row
		}
		if page.last() {
			return visitStored(ctx, current, visit)
		}
	}
}

func visitStored(ctx context.Context, s stored, visit func(blob.Info) error) error {
	if s == (stored{}) {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return visit(blob.Info{ID: s.id, Size: s.size, Block: s.block})
}
