package listing

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// rootShard is the first shard of every bucket.
var rootShard meta.ID

// seal says which shards replace a shard: two that meet at a key, or one.
type seal struct {
	sealed      bool
	at          string // keys below it belong to left; "" where left is right
	left, right meta.ID
	copied      bool // the shard has no rows any more: read only the children
}

func (s *seal) child(key string) meta.ID {
	if key < s.at {
		return s.left
	}
	return s.right
}

// shardRange is a shard and the range of keys for which a reader begins there:
// all its ancestors are copied. That stays true whatever is split later.
type shardRange struct {
	shard     meta.ID
	low, high string // high "" has no end
	gen       int    // grows by two with each shard on the path from the root
}

func (r *shardRange) covers(key string) bool { return key >= r.low && (r.high == "" || key < r.high) }

// children returns the parts of r that belong to the children.
func (s *seal) children(r shardRange) []shardRange {
	left := shardRange{shard: s.left, low: r.low, high: minBound(r.high, s.at), gen: r.gen + 2}
	right := shardRange{shard: s.right, low: max(r.low, s.at), high: r.high, gen: r.gen + 2}
	switch {
	case s.left == s.right || s.at <= r.low:
		right.low = r.low
		return []shardRange{right}
	case r.high != "" && s.at >= r.high: // r is a part of a shard that replaced several
		return []shardRange{left}
	}
	return []shardRange{left, right}
}

// descend returns the range of the child that covers key.
func (s *seal) descend(r shardRange, key string) shardRange {
	for _, c := range s.children(r) {
		if c.covers(key) {
			return c
		}
	}
	return r
}

// sealColumns are the static columns of a seal as they are scanned.
type sealColumns struct {
	at          *string
	left, right []byte
	copied      bool
}

func (c *sealColumns) dest() []any { return []any{&c.at, &c.left, &c.right, &c.copied} }

func (c *sealColumns) seal(shard meta.ID) seal {
	if c.at == nil {
		return seal{}
	}
	left, right := cql.ID(c.left), cql.ID(c.right)
	if isOwner(shard, left) {
		left, right = right, withInPlaceSplits(shard, 1)
	}
	return seal{sealed: true, at: *c.at, left: left, right: right, copied: c.copied}
}

// selectSeal reads a shard's seal at a row that is inserted with it, and that
// is never deleted. A clustering row that does not exist returns no static
// columns, and the first of the other rows may come after many tombstones.
// (CQL requires a column that is not static, too.)
const selectSeal = `SELECT split_key, left_id, right_id, copied, state FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ''`

// readSeal reads a shard's seal at the consistency of plain reads.
func (s *Index) readSeal(ctx context.Context, bucket meta.BucketID, shard meta.ID) (seal, error) {
	return s.readSealAt(ctx, s.Consistency, bucket, shard)
}

func (s *Index) readSealAt(ctx context.Context, at gocql.Consistency, bucket meta.BucketID, shard meta.ID) (seal, error) {
	if inPlaceSplits(shard) > 0 {
		return s.readInPlaceSeal(ctx, at, bucket, shard)
	}
	var c sealColumns
	var state *int8 // none
	_, err := s.QueryRow(ctx, at, append(c.dest(), &state), selectSeal, bucket[:], shard[:])
	return c.seal(shard), err
}

// shardAfterSeal returns the shard in which a change of key continues after it
// found shard sealed.
func (s *Index) shardAfterSeal(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal, key string) meta.ID {
	if !s.shards.update(bucket, key, shard, seal) || !seal.copied {
		return seal.child(key)
	}
	s.loadDirectory(ctx, bucket, key)
	return s.shards.locate(bucket, key)
}

// leaf returns the shard that has all rows of key: it is not copied, and all its
// ancestors are.
func (s *Index) leaf(ctx context.Context, bucket meta.BucketID, key string) (shardRange, seal, error) {
	for asked := false; ; asked = true {
		r := s.shards.rangeOf(bucket, key)
		seal, err := s.readSeal(ctx, bucket, r.shard)
		if err == nil && seal.sealed && !seal.copied && s.breaks(ruleParentCopiedFirst) {
			r, seal.sealed = seal.descend(r, key), false
			return r, seal, nil
		}
		if err != nil || !seal.copied {
			return r, seal, err
		}
		s.shards.update(bucket, key, r.shard, seal)
		if !asked {
			s.loadDirectory(ctx, bucket, key)
		}
	}
}
