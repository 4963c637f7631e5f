package cassandra

import (
	"context"
	"fmt"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	walkUploads    = `SELECT upload_id, bucket_id, key, rev, state, doc, number, part FROM @.upload WHERE token(upload_id) > ? AND token(upload_id) <= ?`
	walkReferences = `SELECT doc FROM @.blob_ref WHERE token(blob_id) > ? AND token(blob_id) <= ?`
)

// Walk implements [meta.Walker].
func (s *Store) Walk(ctx context.Context, share meta.Share, v meta.Visitor) error {
	err := share.Check()
	if err == nil && v.Version != nil {
		err = s.WalkVersions(ctx, share, v.Payload, v.Version)
	}
	if err == nil && v.Upload != nil {
		err = s.walkUploads(ctx, share, v.Upload)
	}
	if err == nil && v.QueueEntry != nil {
		err = s.WalkEntries(ctx, share, v.QueueEntry)
	}
	if err == nil && v.Reference != nil {
		err = s.walkReferences(ctx, share, v.Reference)
	}
	if err == nil && v.ListingPart != nil {
		err = s.WalkListings(ctx, share, v.ListingPart)
	}
	return err
}

func (s *Store) walkUploads(ctx context.Context, share meta.Share, visit func(meta.Upload, []meta.Part) error) error {
	var u meta.Upload
	var parts []meta.Part
	flush := func() error {
		if u.ID == (meta.UploadID{}) || u.State == "" && len(parts) == 0 {
			return nil
		}
		return visit(u, parts)
	}
	err := s.db.WalkTable(ctx, share, func(row gocql.Scanner) error {
		next, part, err := scanUpload(row)
		if err != nil {
			return err
		}
		if next.ID != u.ID {
			if err := flush(); err != nil {
				return err
			}
			parts = nil
		}
		u = next
		if part != nil {
			parts = append(parts, *part)
		}
		return nil
	}, walkUploads)
	if err == nil {
		err = flush()
	}
	return cql.Wrap(err, "walk uploads")
}

// scanUpload reads a row: an upload and one of its parts. Either may be missing.
func scanUpload(row gocql.Scanner) (meta.Upload, *meta.Part, error) {
	var id, bucket, doc, partDoc []byte
	var state string
	var number *int
	var u meta.Upload
	if err := row.Scan(&id, &bucket, &u.Key, &u.Rev, &state, &doc, &number, &partDoc); err != nil {
		return u, nil, err
	}
	u.ID, u.Bucket, u.State = cql.ID(id), cql.ID(bucket), meta.UploadState(state)
	if doc != nil {
		if err := meta.Unmarshal(doc, &u.Doc); err != nil {
			return u, nil, fmt.Errorf("upload %s: %w", u.ID, err)
		}
	}
	if number == nil {
		return u, nil, nil
	}
	p := &meta.Part{}
	if err := meta.Unmarshal(partDoc, p); err != nil {
		return u, nil, fmt.Errorf("part %d of upload %s: %w", *number, u.ID, err)
	}
	p.Number = *number
	return u, p, nil
}

func (s *Store) walkReferences(ctx context.Context, share meta.Share, visit func(meta.QueuedBlob) error) error {
	return cql.Wrap(s.db.WalkTable(ctx, share, func(row gocql.Scanner) error {
		var doc []byte
		if err := row.Scan(&doc); err != nil {
			return err
		}
		var b meta.QueuedBlob
		if err := meta.Unmarshal(doc, &b); err != nil {
			return fmt.Errorf("reference to a blob: %w", err)
		}
		return visit(b)
	}, walkReferences), "walk references")
}
