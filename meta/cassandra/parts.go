package cassandra

import (
	"context"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// The state of an upload is in static columns that only Paxos changes. Its parts are
// plain rows of the same partition, with columns of their own.
const (
	putPart     = `INSERT INTO @.upload (upload_id, number, part) VALUES (?, ?, ?) USING TIMESTAMP ?`
	deletePart  = `DELETE FROM @.upload USING TIMESTAMP ? WHERE upload_id = ? AND number = ?`
	deleteParts = `DELETE FROM @.upload USING TIMESTAMP ? WHERE upload_id = ? AND number >= 0`
	selectParts = `SELECT number, part FROM @.upload WHERE upload_id = ? AND number > ? LIMIT ?`
	partWritten = `SELECT WRITETIME(part) FROM @.upload WHERE upload_id = ? AND number = ?`
)

// PutPart implements [meta.Uploads]. The part is written before the state is read. So
// either PutPart sees that the upload was closed, or the caller that closed it sees the
// part.
func (s *Store) PutPart(ctx context.Context, u meta.Upload, p meta.Part) error {
	doc, err := meta.Marshal(p)
	if err != nil {
		return err
	}
	last, err := s.beforePart(ctx, u, p.Number)
	if err != nil {
		return cql.Wrap(err, "put part %d of upload %s", p.Number, u.ID)
	}
	at := meta.NextRev(last, s.o.Now())
	if err := s.db.Exec(ctx, putPart, u.ID[:], p.Number, doc, at); err != nil {
		return cql.Wrap(err, "put part %d of upload %s", p.Number, u.ID)
	}
	now, found, err := s.readUpload(ctx, s.db.Consistency, u.ID)
	switch {
	case err != nil:
	case !found:
		err = meta.ErrNotFound
		s.background.Go(3*s.db.Timeout, func(ctx context.Context) {
			_ = s.db.Exec(ctx, deletePart, at, u.ID[:], p.Number) // a row that is never read
		})
	case now.State != meta.UploadOpen:
		err = meta.ErrUploadClosed
	}
	return cql.Wrap(err, "put part %d of upload %s", p.Number, u.ID)
}

// beforePart checks that the upload exists, and returns the timestamp of the part that
// will be replaced. The new part's timestamp follows it, whichever gateway wrote the old
// one: clocks decide nothing.
func (s *Store) beforePart(ctx context.Context, u meta.Upload, number int) (last int64, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		_, err := s.Upload(gctx, u.Bucket, u.Key, u.ID)
		return err
	})
	g.Go(func() error {
		_, err := s.db.QueryRow(gctx, s.db.Consistency, []any{&last}, partWritten, u.ID[:], number)
		return err
	})
	err = g.Wait()
	return last, err
}

// Parts implements [meta.Uploads].
func (s *Store) Parts(ctx context.Context, id meta.UploadID, after, limit int) ([]meta.Part, error) {
	var parts []meta.Part
	if limit <= 0 {
		return nil, nil
	}
	err := s.db.QueryRows(ctx, s.db.Consistency, limit, func(row gocql.Scanner) error {
		var p meta.Part
		var number int
		var doc []byte
		if err := row.Scan(&number, &doc); err != nil {
			return err
		}
		if err := meta.Unmarshal(doc, &p); err != nil {
			return cql.Wrap(err, "part %d", number)
		}
		p.Number = number
		parts = append(parts, p)
		return nil
	}, selectParts, id[:], after, min(limit, cql.MaxLimit))
	return parts, cql.Wrap(err, "parts of upload %s", id)
}
