package cassandra

import (
	"context"
	"sync"

	"github.com/pithos/pithos/meta"
)

// rootShard is the first shard of every bucket.
var rootShard meta.ID

// seal is what a shard says of itself in its static columns.
type seal struct {
	sealed      bool
	at          string // keys below it are in left
	left, right meta.ID
	copied      bool // nothing is left here: look in the children alone
}

func (s *seal) child(key string) meta.ID {
	if key < s.at {
		return s.left
	}
	return s.right
}

// sealColumns are static columns as they are scanned.
type sealColumns struct {
	at          *string
	left, right []byte
	copied      bool
}

func (c *sealColumns) dest() []any { return []any{&c.at, &c.left, &c.right, &c.copied} }

func (c *sealColumns) seal() seal {
	if c.at == nil {
		return seal{}
	}
	return seal{sealed: true, at: *c.at, left: idOf(c.left), right: idOf(c.right), copied: c.copied}
}

const (
	// With the row of a key that was just written, which costs no search; a
	// clustering row that is not there brings no static columns.
	sealAtRow = `SELECT split_key, left_id, right_id, copied, rev FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = 0 AND key = ?`
	sealAlone = `SELECT split_key, left_id, right_id, copied FROM @.listing WHERE bucket_id = ? AND shard_id = ? LIMIT 1`
)

// readSeal reads a shard's static columns after a row of key was written to
// it.
func (s *Store) readSeal(ctx context.Context, bucket meta.BucketID, shard meta.ID, key string) (seal, error) {
	var c sealColumns
	var rev int64
	found, err := s.one(ctx, s.o.Consistency, append(c.dest(), &rev), sealAtRow, bucket[:], shard[:], key)
	if err != nil || found {
		return c.seal(), err
	}
	// A later deletion, or the end of a copied shard, has hidden the row.
	return s.readSealAlone(ctx, bucket, shard)
}

func (s *Store) readSealAlone(ctx context.Context, bucket meta.BucketID, shard meta.ID) (seal, error) {
	var c sealColumns
	_, err := s.one(ctx, s.o.Consistency, c.dest(), sealAlone, bucket[:], shard[:])
	return c.seal(), err
}

// shardMaps remembers the seals that were seen. For writers it is a hint of
// where to begin; that a shard was copied, though, never changes, so that
// readers may leave such shards out.
type shardMaps struct {
	mu    sync.RWMutex
	seals map[shardName]seal
}

type shardName struct{ bucket, shard meta.ID }

// maxSeals bounds the memory of the maps: about 200 bytes each.
const maxSeals = 100_000

func (m *shardMaps) learn(bucket meta.BucketID, shard meta.ID, s seal) {
	if !s.sealed {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seals == nil || len(m.seals) >= maxSeals {
		m.seals = make(map[shardName]seal)
	}
	name := shardName{bucket, shard}
	if old := m.seals[name]; !old.copied {
		m.seals[name] = s
	}
}

// locate returns the last known shard for key.
func (m *shardMaps) locate(bucket meta.BucketID, key string) meta.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	shard := rootShard
	for {
		s := m.seals[shardName{bucket, shard}]
		if !s.sealed {
			return shard
		}
		shard = s.child(key)
	}
}

// region is a shard and the range of keys that it covers; high "" has no end.
type region struct {
	shard     meta.ID
	low, high string
}

// first returns the region of key that a reader must begin with: the first
// that is not known to be copied. high is where that region ends.
func (m *shardMaps) first(bucket meta.BucketID, key string) region {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := region{shard: rootShard}
	for {
		s := m.seals[shardName{bucket, r.shard}]
		if !s.copied {
			return r
		}
		r = s.descend(r, key)
	}
}

// descend returns the region of the child that has key.
func (s *seal) descend(r region, key string) region {
	if key < s.at {
		return region{shard: s.left, low: r.low, high: s.at}
	}
	return region{shard: s.right, low: s.at, high: r.high}
}
