// Package damagetest damages blobs in Cassandra, for tests of what finds that.
package damagetest

import (
	"context"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/blob"
)

// FlipByte changes a byte in the middle of a blob's first chunk, in every
// replica.
func FlipByte(ctx context.Context, session *gocql.Session, keyspace string, id blob.ID) error {
	const chunk = " WHERE blob_id = ? AND block = 0 AND chunk = 0"
	var data []byte
	if err := session.Query("SELECT data FROM "+keyspace+".chunk"+chunk, id[:]).WithContext(ctx).Scan(&data); err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	// Chunks are written at timestamp 1, or a few above it once they were healed.
	return session.Query("UPDATE "+keyspace+".chunk USING TIMESTAMP 5 SET data = ?"+chunk, data, id[:]).WithContext(ctx).Exec()
}
