package cassandra

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// rootShard is the first shard of every bucket.
var rootShard meta.ID

// seal is what a shard says of itself in its static columns, once it was
// replaced: by two shards that meet at a key, or by one.
type seal struct {
	sealed      bool
	at          string // keys below it are in left; "" where left is right
	left, right meta.ID
	copied      bool // nothing is left here: look in the children alone
}

func (s *seal) child(key string) meta.ID {
	if key < s.at {
		return s.left
	}
	return s.right
}

// region is a shard and the range of keys for which a reader begins there:
// all shards before it on their way are copied. That is a fact about the past,
// which later splits do not make wrong.
type region struct {
	shard     meta.ID
	low, high string // high "" has no end
	gen       int    // grows by two with each shard on the way from the root
}

func (r *region) covers(key string) bool { return key >= r.low && (r.high == "" || key < r.high) }

// children returns the parts of r that are the children's.
func (s *seal) children(r region) []region {
	left := region{shard: s.left, low: r.low, high: lower(r.high, s.at), gen: r.gen + 2}
	right := region{shard: s.right, low: max(r.low, s.at), high: r.high, gen: r.gen + 2}
	switch {
	case s.left == s.right || s.at <= r.low:
		right.low = r.low
		return []region{right}
	case r.high != "" && s.at >= r.high: // r is a part of a shard that replaced several
		return []region{left}
	}
	return []region{left, right}
}

// descend returns the region of the child that has key.
func (s *seal) descend(r region, key string) region {
	for _, c := range s.children(r) {
		if c.covers(key) {
			return c
		}
	}
	return r
}

// sealColumns are static columns as they are scanned.
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
	left, right := idOf(c.left), idOf(c.right)
	if isOwner(shard, left) {
		left, right = right, afterCuts(shard, 1)
	}
	return seal{sealed: true, at: *c.at, left: left, right: right, copied: c.copied}
}

// sealAlone reads a shard's seal at a row that is inserted with it, and that
// nothing deletes: a clustering row that is not there brings no static
// columns, and the first of the others may lie behind many tombstones.
// (CQL wants a column that is not static, too.)
const sealAlone = `SELECT split_key, left_id, right_id, copied, state FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ''`

// readSeal reads a shard's seal, at the consistency of plain reads.
func (s *Store) readSeal(ctx context.Context, bucket meta.BucketID, shard meta.ID) (seal, error) {
	return s.readSealAt(ctx, s.o.Consistency, bucket, shard)
}

func (s *Store) readSealAt(ctx context.Context, at gocql.Consistency, bucket meta.BucketID, shard meta.ID) (seal, error) {
	if cutsOf(shard) > 0 {
		return s.readCutSeal(ctx, at, bucket, shard)
	}
	var c sealColumns
	var state *int8 // none
	_, err := s.one(ctx, at, append(c.dest(), &state), sealAlone, bucket[:], shard[:])
	return c.seal(shard), err
}

// below is where a change goes on with key after it found shard sealed.
func (s *Store) below(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal, key string) meta.ID {
	if !s.shards.learn(bucket, key, shard, seal) || !seal.copied {
		return seal.child(key)
	}
	s.askMap(ctx, bucket, key)
	return s.shards.locate(bucket, key)
}

// leaf returns the shard that has key's rows whole: it is not copied away, and
// all before it are.
func (s *Store) leaf(ctx context.Context, bucket meta.BucketID, key string) (region, seal, error) {
	for asked := false; ; asked = true {
		r := s.shards.first(bucket, key)
		seal, err := s.readSeal(ctx, bucket, r.shard)
		if err == nil && seal.sealed && !seal.copied && s.breaks(ruleParentCopiedFirst) {
			r, seal.sealed = seal.descend(r, key), false
			return r, seal, nil
		}
		if err != nil || !seal.copied {
			return r, seal, err
		}
		s.shards.learn(bucket, key, r.shard, seal)
		if !asked {
			s.askMap(ctx, bucket, key)
		}
	}
}
