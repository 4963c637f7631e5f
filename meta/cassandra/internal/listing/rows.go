package listing

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// The kinds of rows of a shard.
const (
	// visible rows: the key has a current object.
	visible int8 = 0
	// history rows: the key has, or may have, noncurrent versions or delete
	// markers. The row is written before the change that makes it so, and stays
	// until the key has no version left. A needless one costs a read.
	history int8 = 1
)

// The states of a row. Of two cells with the same timestamp Cassandra keeps the
// greater value. So pending, which is always safe, is greater than live.
const (
	stateDeleted int8 = 0 // only in memory: in the table there is no row
	stateLive    int8 = 1
	statePending int8 = 2
	stateGone    int8 = 3 // deleted, with a row that says so: see finalRows
)

// listingRow is a row of a shard.
type listingRow struct {
	kind  int8
	key   string
	rev   int64
	state int8
	doc   []byte
}

// timestamp is the row's timestamp: the revision for a pending row, and the
// revision + 1 for the row that a change writes afterwards. No later change has
// a revision as low as that.
func (r *listingRow) timestamp() int64 {
	if r.state == statePending {
		return r.rev
	}
	return r.rev + 1
}

// shardRow is a row and the shard that it belongs to.
type shardRow struct {
	bucket meta.BucketID
	shard  meta.ID
	listingRow
}

const (
	// putPendingRow writes rows without a doc: in the states pending and gone.
	putPendingRow = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, rev, state) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	putLiveRow    = `INSERT INTO @.listing (bucket_id, shard_id, kind, key, rev, state, doc) VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	deleteRow     = `DELETE FROM @.listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = ? AND key = ?`
)

// putRows writes rows into one shard, as one mutation.
func (s *Index) putRows(ctx context.Context, bucket meta.BucketID, shard meta.ID, rows []listingRow) error {
	batch := make([]gocql.BatchEntry, 0, len(rows))
	part := partitionOf(shard)
	for _, r := range rows {
		batch = append(batch, r.statement(bucket, part))
	}
	return s.ExecBatch(ctx, batch)
}

func (r *listingRow) statement(bucket meta.BucketID, shard meta.ID) gocql.BatchEntry {
	switch r.state {
	case stateDeleted:
		return cql.Statement(deleteRow, r.timestamp(), bucket[:], shard[:], r.kind, r.key)
	case stateLive:
		return cql.Statement(putLiveRow, bucket[:], shard[:], r.kind, r.key, r.rev, r.state, r.doc, r.timestamp())
	}
	return cql.Statement(putPendingRow, bucket[:], shard[:], r.kind, r.key, r.rev, r.state, r.timestamp())
}

// encodeEntry encodes what a live row shows of its key.
//
// The entry says whether the key had other versions when it was written. A
// reader may find no history row for the key, because all versions were removed
// between its two reads; it must not take this version for the only one then.
func encodeEntry(e *meta.Entry, several bool) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	marked := *e
	marked.HasOlderVersions = several
	return meta.Marshal(&marked)
}
