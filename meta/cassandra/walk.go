package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

const (
	walkObjects        = `SELECT bucket_id, key, rev, seq, doc, segments FROM @.object WHERE token(bucket_id, key) > ? AND token(bucket_id, key) <= ?`
	walkObjectsPayload = `SELECT bucket_id, key, rev, seq, doc, segments, payload FROM @.object WHERE token(bucket_id, key) > ? AND token(bucket_id, key) <= ?`
	walkUploads        = `SELECT upload_id, bucket_id, key, rev, state, doc, number, part FROM @.upload WHERE token(upload_id) > ? AND token(upload_id) <= ?`
	walkQueue          = `SELECT due, entry, kind, claimed, doc FROM @.gc WHERE token(slot, part) > ? AND token(slot, part) <= ?`
	walkReferences     = `SELECT doc FROM @.blob_ref WHERE token(blob_id) > ? AND token(blob_id) <= ?`
)

// walkPage is how many rows a walk reads per page: manifests of large objects take a
// megabyte each.
const walkPage = 500

// tokens returns the part of the ring that a share covers: above low, up to high.
func tokens(s meta.Share) (low, high int64) {
	at := func(part int) int64 {
		if part == s.Of {
			return math.MaxInt64
		}
		// part/Of of 2^64, counted from the lowest token.
		quotient, _ := bits.Div64(uint64(part), 0, uint64(s.Of))
		return int64(quotient ^ 1<<63)
	}
	return at(s.Part), at(s.Part + 1) // no row has the lowest token
}

// QueryPage implements database.
func (d *cluster) QueryPage(ctx context.Context, c gocql.Consistency, size int, state []byte, row func(gocql.Scanner) error, stmt string, args ...any) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	iter := d.query(limited, stmt, args...).Consistency(c).PageSize(size).PageState(state).Idempotent(true).RetryPolicy(retryOnce).Iter()
	next, rows := iter.PageState(), iter.NumRows() // read here: scanning further would fetch the next page
	scanner := iter.Scanner()
	for range rows {
		if !scanner.Next() {
			break
		}
		if err := row(scanner); err != nil {
			scanner.Err() // releases the query
			return nil, err
		}
	}
	return next, classify(ctx, scanner.Err())
}

// walkTokens calls row for each row of a share of a table. Between pages it holds no
// resources.
func (s *Store) walkTokens(ctx context.Context, share meta.Share, row func(gocql.Scanner) error, stmt string) error {
	low, high := tokens(share)
	for try, state := 0, []byte(nil); ; {
		next, err := s.QueryPage(ctx, s.o.Consistency, walkPage, state, row, stmt, low, high)
		switch {
		case err == nil && len(next) == 0:
			return nil
		case err == nil:
			state, try = next, 0
			continue
		case !errors.Is(err, meta.ErrUnavailable) || try == walkTries:
			return err
		}
		// The page is read again, and its rows are visited again.
		if err := backoff(ctx, 8+try); err != nil {
			return err
		}
		try++
	}
}

// walkTries is how often a failed page is read again.
const walkTries = 5

// Walk implements [meta.Walker].
func (s *Store) Walk(ctx context.Context, share meta.Share, v meta.Visitor) error {
	err := share.Check()
	if err == nil && v.Version != nil {
		err = s.walkVersions(ctx, share, v.Payload, v.Version)
	}
	if err == nil && v.Upload != nil {
		err = s.walkUploads(ctx, share, v.Upload)
	}
	if err == nil && v.QueueEntry != nil {
		err = s.walkQueue(ctx, share, v.QueueEntry)
	}
	if err == nil && v.Reference != nil {
		err = s.walkReferences(ctx, share, v.Reference)
	}
	if err == nil && v.ListingPart != nil {
		err = s.walkListings(ctx, share, v.ListingPart)
	}
	return err
}

func (s *Store) walkVersions(ctx context.Context, share meta.Share, payload bool, visit func(meta.VersionRow) error) error {
	stmt := walkObjects
	if payload {
		stmt = walkObjectsPayload
	}
	return wrap(s.walkTokens(ctx, share, func(row gocql.Scanner) error {
		var bucket, doc, body []byte
		var seq *int64
		var r meta.VersionRow
		var pages map[int][]byte
		dest := []any{&bucket, &r.Key, &r.Rev, &seq, &doc, &pages}
		if payload {
			dest = append(dest, &body)
		}
		if err := row.Scan(dest...); err != nil {
			return err
		}
		if seq == nil {
			return nil // a key without versions
		}
		if err := meta.Unmarshal(doc, &r.Version); err != nil {
			return fmt.Errorf("version %d of key %q: %w", *seq, r.Key, err)
		}
		r.Bucket, r.Seq, r.Payload = idOf(bucket), *seq, body
		if err := r.JoinPages(pages); err != nil {
			return fmt.Errorf("key %q: %w", r.Key, err)
		}
		return visit(r)
	}, stmt), "walk versions")
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
	err := s.walkTokens(ctx, share, func(row gocql.Scanner) error {
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
	return wrap(err, "walk uploads")
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
	u.ID, u.Bucket, u.State = idOf(id), idOf(bucket), meta.UploadState(state)
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

// walkQueue reads the entries, not the index of time buckets.
func (s *Store) walkQueue(ctx context.Context, share meta.Share, visit func(meta.QueueEntry) error) error {
	return wrap(s.walkTokens(ctx, share, func(row gocql.Scanner) error {
		var due int64
		var entry, doc []byte
		var kind string
		e := meta.QueueEntry{}
		if err := row.Scan(&due, &entry, &kind, &e.Claimed, &doc); err != nil {
			return err
		}
		e.Due, e.Entry, e.Kind = time.UnixMicro(due).UTC(), idOf(entry), meta.QueueKind(kind)
		if isClaimOnly(e) {
			return nil
		}
		if doc != nil {
			if err := meta.Unmarshal(doc, &e.Blob); err != nil {
				return fmt.Errorf("queue entry %s: %w", e.Entry, err)
			}
		}
		return visit(e)
	}, walkQueue), "walk queue")
}

func (s *Store) walkReferences(ctx context.Context, share meta.Share, visit func(meta.QueuedBlob) error) error {
	return wrap(s.walkTokens(ctx, share, func(row gocql.Scanner) error {
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
