package cassandra

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// The kinds of rows of a shard.
const (
	// visible rows are what a listing of current versions shows.
	visible int8 = 0
	// history rows say that a key has, or may have, noncurrent versions or
	// delete markers. One is written before the change that makes it so, and
	// stays until the key has no version left: needless ones cost a read.
	history int8 = 1
)

// The states of a row. Of two cells with the same timestamp Cassandra keeps
// the greater: so pending, which is always safe, is the greater.
const (
	stateDeleted int8 = 0 // only in memory: in the table there is no row
	stateLive    int8 = 1
	statePending int8 = 2
	stateGone    int8 = 3 // deleted, and a row says so: see finals
)

// listingRow is a row of a shard.
type listingRow struct {
	kind  int8
	key   string
	rev   int64
	state int8
	doc   []byte
}

// written is the row's timestamp: a pending row's is its revision, and what
// a change writes behind itself comes right after. No later change has a
// revision as low.
func (r *listingRow) written() int64 {
	if r.state == statePending {
		return r.rev
	}
	return r.rev + 1
}

// placedRow is a row and the shard that it belongs to.
type placedRow struct {
	bucket meta.BucketID
	shard  meta.ID
	listingRow
}

const (
	// putPendingRow writes rows without an entry: pending ones, and gone ones.
	putPendingRow = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, rev, state) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	putLiveRow    = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, rev, state, doc) VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	deleteRow     = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key = ?`
)

// putRows writes rows into one shard, as one mutation.
func (s *Store) putRows(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) error {
	batch := make([]gocql.BatchEntry, 0, len(rows))
	part := partitionOf(shard)
	for _, r := range rows {
		batch = append(batch, r.statement(bucket, part))
	}
	return s.writes(ctx, batch)
}

func (r *listingRow) statement(bucket meta.BucketID, shard meta.ID) gocql.BatchEntry {
	switch r.state {
	case stateDeleted:
		return entry(deleteRow, r.written(), bucket[:], shard[:], r.kind, r.key)
	case stateLive:
		return entry(putLiveRow, bucket[:], shard[:], r.kind, r.key, r.rev, r.state, r.doc, r.written())
	}
	return entry(putPendingRow, bucket[:], shard[:], r.kind, r.key, r.rev, r.state, r.written())
}

// encodeEntry encodes what a live row shows of its key.
//
// It says whether the key had other versions when it was written: a reader
// that finds no history row beside it, since all versions were removed between
// its two reads, must not take this version for the only one.
func encodeEntry(e *meta.Entry, several bool) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	marked := *e
	marked.HasOlderVersions = several
	return meta.Marshal(&marked)
}
