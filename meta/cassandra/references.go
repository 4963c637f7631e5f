package cassandra

import (
	"context"
	"fmt"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// A reference is written once and removed once, so its two timestamps are constants: an
// addition that arrives after the removal changes nothing. The reference of a home is
// removed when its key will never need it again.
const (
	putReference    = `INSERT INTO @.blob_ref (blob_id, ref, doc) VALUES (?, ?, ?) USING TIMESTAMP 1`
	removeReference = `DELETE FROM @.blob_ref USING TIMESTAMP 2 WHERE blob_id = ? AND ref = ?`
	readReferences  = `SELECT doc FROM @.blob_ref WHERE blob_id = ?`
)

// AddReferences implements [meta.References].
func (s *Store) AddReferences(ctx context.Context, entries []meta.QueueEntry, homes []meta.QueuedBlob) error {
	batches := map[meta.ID][]gocql.BatchEntry{} // by blob: each is a partition
	add := func(b meta.QueuedBlob) error {
		doc, err := meta.Marshal(b)
		if err == nil {
			batches[b.Blob] = append(batches[b.Blob], cql.Statement(putReference, b.Blob[:], b.Ref[:], doc))
		}
		return err
	}
	for _, e := range entries {
		if err := add(e.Blob); err != nil {
			return err
		}
	}
	for _, b := range homes {
		if err := add(b); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, batch := range batches {
		g.Go(func() error { return s.db.ExecBatch(gctx, batch) })
	}
	return cql.Wrap(g.Wait(), "add references to blobs")
}

// References implements [meta.References].
func (s *Store) References(ctx context.Context, b meta.QueuedBlob) ([]meta.QueuedBlob, error) {
	var found []meta.QueuedBlob
	err := s.db.QueryRows(ctx, s.db.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
		var doc []byte
		if err := row.Scan(&doc); err != nil {
			return err
		}
		var r meta.QueuedBlob
		if err := meta.Unmarshal(doc, &r); err != nil {
			return fmt.Errorf("reference to blob %s: %w", b.Blob, err)
		}
		found = append(found, r)
		return nil
	}, readReferences, b.Blob[:])
	return found, cql.Wrap(err, "read references to a blob")
}

// RemoveReference implements [meta.References].
func (s *Store) RemoveReference(ctx context.Context, b meta.QueuedBlob) error {
	return cql.Wrap(s.db.Exec(ctx, removeReference, b.Blob[:], b.Ref[:]), "remove a reference to a blob")
}
