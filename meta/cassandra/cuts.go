package cassandra

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// A shard may be cut: the rows below a key move into another partition, and
// the rows above stay where they lie. They belong to a new shard then, as after
// any split; only its rows are where the rows of the shard before it were. So
// cutting off the head of a shard costs what is alive there, not what is alive
// in the whole shard: nothing, if the head is tombstones.
//
// The name of a shard says where its rows are: the last two bytes count how
// often it was cut.
//
// The seal of the first shard of a partition is in static columns. Once that
// is cut, the column left_id names the shard that has the partition (the
// owner), and right_id the one that got what was cut off; the rest of the seal
// is as ever. The seals of later shards are rows at kind -1, whose key is the
// count; the owner changes in the same conditional batch. So a page that comes
// with the owner's name comes with the fact that it is not sealed.

// cutMark is in the name of each shard that may be cut. (Shards of before have
// names of random bytes. They are split instead.)
var cutMark = []byte("cut")

const (
	cutMarkAt = len(meta.ID{}) - 5
	cutsAt    = len(meta.ID{}) - 2
	maxCuts   = 1<<16 - 2 // one more names no shard, when the last is sealed
)

// newShard names a fresh shard.
func newShard() meta.ID {
	id := meta.NewID()
	copy(id[cutMarkAt:], cutMark)
	copy(id[cutsAt:], []byte{0, 0})
	return id
}

func mayBeCut(shard meta.ID) bool {
	return bytes.Equal(shard[cutMarkAt:cutsAt], cutMark) || bytes.Equal(shard[:cutsAt], rootShard[:cutsAt])
}

// cutsOf is how often the shard was cut that has the partition now.
func cutsOf(shard meta.ID) int {
	if !mayBeCut(shard) {
		return 0
	}
	return int(binary.BigEndian.Uint16(shard[cutsAt:]))
}

func afterCuts(shard meta.ID, n int) meta.ID {
	binary.BigEndian.PutUint16(shard[cutsAt:], uint16(n))
	return shard
}

// partitionOf returns the partition that has a shard's rows.
func partitionOf(shard meta.ID) meta.ID {
	if cutsOf(shard) == 0 {
		return shard
	}
	return afterCuts(shard, 0)
}

// remainder names the shard that has what is left of a shard when it is cut; false
// where it cannot be cut.
func remainder(shard meta.ID) (meta.ID, bool) {
	if n := cutsOf(shard); mayBeCut(shard) && n < maxCuts {
		return afterCuts(shard, n+1), true
	}
	return meta.ID{}, false
}

// cuts tells whether the seal is that of a shard that was cut: of its children
// the right one has its rows.
func (s *seal) cuts(shard meta.ID) bool {
	return s.sealed && s.right != s.left && partitionOf(s.right) == partitionOf(shard)
}

// below a key all rows of a partition are gone, also those that arrive late.
const dropBelow = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key < ?`

// cutOff deletes the rows of a cut shard that were copied. That comes before
// the shard is marked as copied: so whoever meets the new shard finds nothing
// below it in its partition. (Until the mark comes readers go by the copies
// too, which are complete.)
func (s *Store) cutOff(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal) error {
	part := partitionOf(shard)
	for _, kind := range []int8{visible, history} {
		if err := s.write(ctx, dropBelow, int64(endOfTime), bucket[:], part[:], kind, seal.at); err != nil {
			return err
		}
	}
	return nil
}

// isOwner tells whether the column left_id of shard's partition, of which shard
// was the first, names an owner.
func isOwner(shard, left meta.ID) bool {
	return cutsOf(left) > 0 && partitionOf(left) == shard
}

// The seal of a shard that came of a cut is a row, whose entry says it.
const (
	readSealRow = `SELECT state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ?`
	disown      = `UPDATE @.listing SET left_id = ? WHERE bucket_id = ? AND shard_id = ? IF left_id = ?`
	putSealRow  = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, state, doc) VALUES (?, ?, -1, ?, ?, ?)`
	markSealRow = `UPDATE @.listing SET state = ? WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ? IF state = ?`
)

// The states of such a row.
const (
	sealOpen   int8 = 0
	sealCopied int8 = 1
)

// sealDoc is what such a row says.
type sealDoc struct {
	At    string  `cbor:"1,keyasint"`
	Left  meta.ID `cbor:"2,keyasint"`
	Right meta.ID `cbor:"3,keyasint"`
}

func sealRowKey(shard meta.ID) string { return strconv.Itoa(cutsOf(shard)) }

func (s *Store) readCutSeal(ctx context.Context, at gocql.Consistency, bucket meta.BucketID, shard meta.ID) (seal, error) {
	part := partitionOf(shard)
	var state *int8
	var doc []byte
	found, err := s.one(ctx, at, []any{&state, &doc}, readSealRow, bucket[:], part[:], sealRowKey(shard))
	if err != nil || !found || state == nil {
		return seal{}, err
	}
	var d sealDoc
	if err := meta.Unmarshal(doc, &d); err != nil {
		return seal{}, fmt.Errorf("seal of shard %x of bucket %s: %w", shard[:], bucket, err)
	}
	return seal{sealed: true, at: d.At, left: d.Left, right: d.Right, copied: *state == sealCopied}, nil
}

// sealing returns the conditional change that seals a shard.
func sealing(bucket meta.BucketID, shard meta.ID, want seal) ([]gocql.BatchEntry, error) {
	if cutsOf(shard) == 0 {
		left, right := want.left, want.right
		if want.cuts(shard) {
			left, right = want.right, want.left
		}
		return []gocql.BatchEntry{entry(sealShard, want.at, left[:], right[:], bucket[:], shard[:]), entry(sealRow, bucket[:], shard[:])}, nil
	}
	doc, err := meta.Marshal(&sealDoc{want.at, want.left, want.right})
	part, next := partitionOf(shard), afterCuts(shard, cutsOf(shard)+1)
	return []gocql.BatchEntry{
		entry(disown, next[:], bucket[:], part[:], shard[:]),
		entry(putSealRow, bucket[:], part[:], sealRowKey(shard), sealOpen, doc),
	}, err
}

// marking returns the conditional change that marks a shard as copied.
func marking(bucket meta.BucketID, shard meta.ID, seal seal) gocql.BatchEntry {
	switch part := partitionOf(shard); {
	case cutsOf(shard) > 0:
		return entry(markSealRow, sealCopied, bucket[:], part[:], sealRowKey(shard), sealOpen)
	case seal.cuts(shard):
		return entry(markShard, bucket[:], shard[:], seal.right[:])
	}
	return entry(markShard, bucket[:], shard[:], seal.left[:])
}

// begin returns where a shard's rows begin in its partition: what is below was
// cut off, and there may be many tombstones.
func (s *Store) begin(ctx context.Context, bucket meta.BucketID, shard meta.ID) (string, error) {
	n := cutsOf(shard)
	if n == 0 {
		return "", nil
	}
	before := afterCuts(shard, n-1)
	seal, err := s.readSeal(ctx, bucket, before)
	if err == nil && seal.right != shard {
		err = fmt.Errorf("shard %x of bucket %s does not follow from shard %x", shard[:], bucket, before[:])
	}
	return seal.at, err
}
