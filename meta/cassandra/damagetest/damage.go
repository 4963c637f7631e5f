// Package damagetest damages the metadata in Cassandra, for tests of what finds
// that.
package damagetest

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

// DropHistory drops the listing row that says that a key has older versions, as
// of timestamp in microseconds. The bucket's listing has never been split.
func DropHistory(ctx context.Context, session *gocql.Session, keyspace string, bucket meta.BucketID, key string, timestamp int64) error {
	var root meta.ID
	return session.Query("DELETE FROM "+keyspace+".listing USING TIMESTAMP ? WHERE bucket_id = ? AND shard_id = ? AND kind = 1 AND key = ?",
		timestamp, bucket[:], root[:], key).WithContext(ctx).Exec()
}

// DropReferences drops all references to the blobs of a keyspace but the owner's
// reference to blob. It leaves no tombstone, which would outlast a reference that
// is written again.
func DropReferences(ctx context.Context, session *gocql.Session, keyspace string, blob meta.ID) error {
	var doc []byte
	var owner meta.ID
	if err := session.Query("SELECT doc FROM "+keyspace+".blob_ref WHERE blob_id = ? AND ref = ?", blob[:], owner[:]).WithContext(ctx).Scan(&doc); err != nil {
		return err
	}
	if err := session.Query("TRUNCATE " + keyspace + ".blob_ref").WithContext(ctx).Exec(); err != nil {
		return err
	}
	return session.Query("INSERT INTO "+keyspace+".blob_ref (blob_id, ref, doc) VALUES (?, ?, ?) USING TIMESTAMP 1", blob[:], owner[:], doc).WithContext(ctx).Exec()
}
