package listing

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// A shard may be split in place: the rows below a key move into another partition, and
// the rows above stay in the partition. They belong to a new shard, as after any split,
// but the new shard has the partition of the old one. So splitting off the beginning of
// a shard costs what is live there, not what is live in the whole shard: nothing, if
// the beginning is tombstones.
//
// The id of a shard says which partition has its rows: the last two bytes count how
// often the partition was split in place.
//
// The seal of the first shard of a partition is in static columns. After an in-place
// split the column left_id names the shard that has the partition now (the owner), and
// right_id the shard that got the rows below the key. The seals of the later shards are
// rows at kind -1, whose key is the count; the owner changes in the same conditional
// batch. So a page that is read with the owner's id is known not to be sealed.

// inPlaceMark is in the id of each shard that supports in-place splits. (Shards of
// older programs have random ids. They are split into two fresh partitions.)
var inPlaceMark = []byte("cut")

const (
	inPlaceMarkAt    = len(meta.ID{}) - 5
	inPlaceCountAt   = len(meta.ID{}) - 2
	maxInPlaceSplits = 1<<16 - 2 // the successor of one more would have no valid id
)

// newShardID returns the id of a fresh shard.
func newShardID() meta.ID {
	id := meta.NewID()
	copy(id[inPlaceMarkAt:], inPlaceMark)
	copy(id[inPlaceCountAt:], []byte{0, 0})
	return id
}

func supportsInPlaceSplit(shard meta.ID) bool {
	return bytes.Equal(shard[inPlaceMarkAt:inPlaceCountAt], inPlaceMark) || bytes.Equal(shard[:inPlaceCountAt], rootShard[:inPlaceCountAt])
}

// inPlaceSplits returns how often the shard's partition was split in place before it.
func inPlaceSplits(shard meta.ID) int {
	if !supportsInPlaceSplit(shard) {
		return 0
	}
	return int(binary.BigEndian.Uint16(shard[inPlaceCountAt:]))
}

func withInPlaceSplits(shard meta.ID, n int) meta.ID {
	binary.BigEndian.PutUint16(shard[inPlaceCountAt:], uint16(n))
	return shard
}

// partitionOf returns the partition that has a shard's rows.
func partitionOf(shard meta.ID) meta.ID {
	if inPlaceSplits(shard) == 0 {
		return shard
	}
	return withInPlaceSplits(shard, 0)
}

// successor returns the shard that gets the partition when a shard is split in place;
// false if the shard does not support that.
func successor(shard meta.ID) (meta.ID, bool) {
	if n := inPlaceSplits(shard); supportsInPlaceSplit(shard) && n < maxInPlaceSplits {
		return withInPlaceSplits(shard, n+1), true
	}
	return meta.ID{}, false
}

// inPlace reports whether the seal is that of an in-place split: the right child has
// the rows of shard's partition.
func (s *seal) inPlace(shard meta.ID) bool {
	return s.sealed && s.right != s.left && partitionOf(s.right) == partitionOf(shard)
}

// deleteRowsBelow deletes all rows of a partition below a key, late ones too.
const deleteRowsBelow = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key < ?`

// dropSplitOff deletes the copied rows of a shard that was split in place. It runs
// before the shard is marked as copied: so a reader of the new shard finds nothing
// below it in the partition. (Until the mark, readers use the copies too, which are
// complete.)
func (s *Index) dropSplitOff(ctx context.Context, bucket meta.BucketID, shard meta.ID, seal seal) error {
	part := partitionOf(shard)
	for _, kind := range []int8{visible, history} {
		if err := s.Exec(ctx, deleteRowsBelow, int64(cql.MaxTimestamp), bucket[:], part[:], kind, seal.at); err != nil {
			return err
		}
	}
	return nil
}

// isOwner reports whether the column left_id of shard's partition, whose first shard
// is shard, names an owner.
func isOwner(shard, left meta.ID) bool {
	return inPlaceSplits(left) > 0 && partitionOf(left) == shard
}

// The seal of a shard that an in-place split created is a row of its own.
const (
	selectSealRow = `SELECT state, doc FROM @.listing WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ?`
	transferOwner = `UPDATE @.listing SET left_id = ? WHERE bucket_id = ? AND shard_id = ? IF left_id = ?`
	putSealRow    = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, state, doc) VALUES (?, ?, -1, ?, ?, ?)`
	markSealRow   = `UPDATE @.listing SET state = ? WHERE bucket_id = ? AND shard_id = ? AND kind = -1 AND key = ? IF state = ?`
)

// The states of such a row.
const (
	sealOpen   int8 = 0
	sealCopied int8 = 1
)

// sealDoc is the content of such a row.
type sealDoc struct {
	At    string  `cbor:"1,keyasint"`
	Left  meta.ID `cbor:"2,keyasint"`
	Right meta.ID `cbor:"3,keyasint"`
}

func sealRowKey(shard meta.ID) string { return strconv.Itoa(inPlaceSplits(shard)) }

func (s *Index) readInPlaceSeal(ctx context.Context, at gocql.Consistency, bucket meta.BucketID, shard meta.ID) (seal, error) {
	part := partitionOf(shard)
	var state *int8
	var doc []byte
	found, err := s.QueryRow(ctx, at, []any{&state, &doc}, selectSealRow, bucket[:], part[:], sealRowKey(shard))
	if err != nil || !found || state == nil {
		return seal{}, err
	}
	var d sealDoc
	if err := meta.Unmarshal(doc, &d); err != nil {
		return seal{}, fmt.Errorf("seal of shard %x of bucket %s: %w", shard[:], bucket, err)
	}
	return seal{sealed: true, at: d.At, left: d.Left, right: d.Right, copied: *state == sealCopied}, nil
}

// sealStatements returns the conditional change that seals a shard.
func sealStatements(bucket meta.BucketID, shard meta.ID, want seal) ([]gocql.BatchEntry, error) {
	if inPlaceSplits(shard) == 0 {
		left, right := want.left, want.right
		if want.inPlace(shard) {
			left, right = want.right, want.left
		}
		return []gocql.BatchEntry{cql.Statement(sealShard, want.at, left[:], right[:], bucket[:], shard[:]), cql.Statement(sealRow, bucket[:], shard[:])}, nil
	}
	doc, err := meta.Marshal(&sealDoc{want.at, want.left, want.right})
	part, next := partitionOf(shard), withInPlaceSplits(shard, inPlaceSplits(shard)+1)
	return []gocql.BatchEntry{
		cql.Statement(transferOwner, next[:], bucket[:], part[:], shard[:]),
		cql.Statement(putSealRow, bucket[:], part[:], sealRowKey(shard), sealOpen, doc),
	}, err
}

// markStatement returns the conditional change that marks a shard as copied.
func markStatement(bucket meta.BucketID, shard meta.ID, seal seal) gocql.BatchEntry {
	switch part := partitionOf(shard); {
	case inPlaceSplits(shard) > 0:
		return cql.Statement(markSealRow, sealCopied, bucket[:], part[:], sealRowKey(shard), sealOpen)
	case seal.inPlace(shard):
		return cql.Statement(markShard, bucket[:], shard[:], seal.right[:])
	}
	return cql.Statement(markShard, bucket[:], shard[:], seal.left[:])
}

// firstKey returns where a shard's rows begin in its partition. Below are only the
// tombstones of what in-place splits have moved away.
func (s *Index) firstKey(ctx context.Context, bucket meta.BucketID, shard meta.ID) (string, error) {
	n := inPlaceSplits(shard)
	if n == 0 {
		return "", nil
	}
	before := withInPlaceSplits(shard, n-1)
	seal, err := s.readSeal(ctx, bucket, before)
	if err == nil && seal.right != shard {
		err = fmt.Errorf("shard %x of bucket %s does not follow from shard %x", shard[:], bucket, before[:])
	}
	return seal.at, err
}
