package head

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// revTTL is how long the revision of a key without versions is kept, in seconds.
// It must outlive every change that began before the last version was removed.
const revTTL = 10 * 24 * 3600

// Keys reads and changes the heads of keys.
type Keys struct {
	cql.DB
	locks stripes
}

// New returns the heads of a keyspace.
func New(db cql.DB) *Keys { return &Keys{DB: db, locks: newStripes(1024)} }

// head is a meta.Head with the id of its last change.
type head struct {
	meta.Head
	commitID meta.ID
}

const (
	selectHead        = `SELECT rev, null_seq, commit_id, seq, doc FROM @.object WHERE bucket_id = ? AND key = ? LIMIT ?`
	selectHeadPayload = `SELECT rev, null_seq, commit_id, seq, doc, payload FROM @.object WHERE bucket_id = ? AND key = ? LIMIT ?`
	selectVersion     = `SELECT rev, null_seq, commit_id, seq, doc FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`
	selectVersionBody = `SELECT rev, null_seq, commit_id, seq, doc, payload FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`
	selectListed      = `SELECT seq, listed FROM @.object WHERE bucket_id = ? AND key = ? AND seq < ? LIMIT ?`
	selectVersionDoc  = `SELECT doc FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`
	selectPages       = `SELECT doc, segments[?..?] FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`
	selectVersions    = `SELECT rev, null_seq, commit_id, seq, doc FROM @.object WHERE bucket_id = ? AND key = ? AND seq < ? LIMIT ?`

	walkObjects        = `SELECT bucket_id, key, rev, seq, doc, segments FROM @.object WHERE token(bucket_id, key) > ? AND token(bucket_id, key) <= ?`
	walkObjectsPayload = `SELECT bucket_id, key, rev, seq, doc, segments, payload FROM @.object WHERE token(bucket_id, key) > ? AND token(bucket_id, key) <= ?`
)

// Read implements [meta.Objects].
func (s *Keys) Read(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions) (meta.Head, error) {
	if err := meta.CheckText(key); err != nil {
		return meta.Head{}, cql.Wrap(err, "read head of key")
	}
	for try := range cql.MaxTries {
		h, steady, err := s.readOnce(ctx, s.Consistency, bucket, key, o)
		if err != nil || steady {
			return h.Head, cql.Wrap(err, "read head of key")
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return meta.Head{}, cql.Wrap(err, "read head of key")
		}
	}
	return meta.Head{}, fmt.Errorf("read head of key: it changed %d times during the operation: %w", cql.MaxTries, meta.ErrConflict)
}

// readOnce reads a head once. consistent reports that no change came between its
// statements.
func (s *Keys) readOnce(ctx context.Context, c gocql.Consistency, bucket meta.BucketID, key string, o meta.ReadOptions) (h head, steady bool, err error) {
	h, steady, err = s.readHead(ctx, c, bucket, key, o.Limit, o.Payload)
	if err != nil || !steady {
		return h, steady, err
	}
	seq := o.Seq
	if o.Null {
		seq = h.NullSeq
	}
	if seq == 0 || h.Rev == 0 {
		return h, true, nil
	}
	for i := range h.Versions {
		if h.Versions[i].Seq == seq {
			h.Named = &h.Versions[i]
			return h, true, nil
		}
	}
	if len(h.Versions) < max(o.Limit, 1) || h.Versions[len(h.Versions)-1].Seq < seq {
		return h, true, nil // it would be among the newest
	}
	return s.readNamed(ctx, c, bucket, key, h, seq, o.Payload)
}

// readNamed adds the version seq, which is not among the newest. The static
// revision is read with it, and must be the same.
func (s *Keys) readNamed(ctx context.Context, c gocql.Consistency, bucket meta.BucketID, key string, h head, seq int64, payload bool) (head, bool, error) {
	stmt := selectVersion
	if payload {
		stmt = selectVersionBody
	}
	named, _, err := s.scanHead(ctx, c, 1, payload, stmt, bucket[:], key, seq)
	if err != nil {
		return h, false, err
	}
	if len(named.Versions) == 1 {
		h.Named = &named.Versions[0]
		return h, named.Rev == h.Rev, nil
	}
	// A clustering row that does not exist returns no static columns either.
	after, _, err := s.readHead(ctx, c, bucket, key, 1, false)
	return h, after.Rev == h.Rev, err
}

// readHead reads the newest versions with one statement.
func (s *Keys) readHead(ctx context.Context, c gocql.Consistency, bucket meta.BucketID, key string, limit int, payload bool) (h head, steady bool, err error) {
	stmt := selectHead
	if payload {
		stmt = selectHeadPayload
	}
	limit = min(max(limit, 1), cql.MaxLimit)
	return s.scanHead(ctx, c, limit, payload, stmt, bucket[:], key, limit)
}

// scanHead collects a head. It is consistent if it came in one page, or with the
// same revision in all pages.
func (s *Keys) scanHead(ctx context.Context, c gocql.Consistency, page int, payload bool, stmt string, args ...any) (h head, steady bool, err error) {
	steady, first := true, true
	err = s.QueryRows(ctx, c, page, func(row gocql.Scanner) error {
		var rev int64
		var commit, doc, body []byte
		var seq *int64
		dest := []any{&rev, &h.NullSeq, &commit, &seq, &doc}
		if payload {
			dest = append(dest, &body)
		}
		if err := row.Scan(dest...); err != nil {
			return err
		}
		steady = steady && (first || rev == h.Rev)
		first, h.Rev, h.commitID = false, rev, cql.ID(commit)
		if seq == nil {
			return nil // only the static columns
		}
		v := meta.Version{}
		if err := meta.Unmarshal(doc, &v); err != nil {
			return fmt.Errorf("version %d: %w", *seq, err)
		}
		v.Seq, v.Payload = *seq, body
		h.Versions = append(h.Versions, v)
		return nil
	}, stmt, args...)
	return h, steady, err
}

// ReadSerial reads the newest versions of a key by Paxos: it completes a change that
// is decided and not yet visible.
func (s *Keys) ReadSerial(ctx context.Context, bucket meta.BucketID, key string, limit int) (meta.Head, error) {
	h, _, err := s.readHead(ctx, s.Serial, bucket, key, limit, false)
	return h.Head, err
}

// Versions implements [meta.Objects].
func (s *Keys) Versions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Version, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, cql.Wrap(err, "read versions of key")
	}
	if limit <= 0 {
		return nil, nil
	}
	if before == 0 {
		before = math.MaxInt64
	}
	h, _, err := s.scanHead(ctx, s.Consistency, limit, false, selectVersions, bucket[:], key, before, min(limit, cql.MaxLimit))
	return h.Versions, cql.Wrap(err, "read versions of key")
}

// Pages implements [meta.Objects].
//
// A read repairs the columns that it selects: after a read of the head, a replica
// may have a new index and the pages of before. So the pages are read with the
// index of their row, and by Paxos if they do not fit it: that gives each replica
// which it asks what the last change wrote.
func (s *Keys) Pages(ctx context.Context, bucket meta.BucketID, key string, seq int64, from, n int) ([]meta.Page, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, cql.Wrap(err, "read segments of a version")
	}
	pages, fit, err := s.readPages(ctx, s.Consistency, bucket, key, seq, from, n)
	if err == nil && !fit {
		pages, _, err = s.readPages(ctx, s.Serial, bucket, key, seq, from, n)
	}
	if err == nil && len(pages) < n {
		err = meta.ErrNotFound
	}
	return pages, cql.Wrap(err, "read segments of a version")
}

// readPages reads pages of a version, none if one of them is missing. fit reports
// that they are what the index of the version states.
func (s *Keys) readPages(ctx context.Context, c gocql.Consistency, bucket meta.BucketID, key string, seq int64, from, n int) (pages []meta.Page, fit bool, err error) {
	var doc []byte
	var stored map[int][]byte
	found, err := s.QueryRow(ctx, c, []any{&doc, &stored}, selectPages, from, from+n-1, bucket[:], key, seq)
	if err != nil || !found || doc == nil {
		return nil, true, err // there is no such version
	}
	var v meta.Version
	if err := meta.Unmarshal(doc, &v); err != nil {
		return nil, false, err
	}
	if v.Pages == nil || from+n > len(v.Pages.Index) {
		return nil, true, nil
	}
	if len(stored) < n {
		return nil, false, nil
	}
	pages, fit = make([]meta.Page, n), true
	for i := range pages {
		if err := meta.Unmarshal(stored[from+i], &pages[i]); err != nil {
			return nil, false, err
		}
		fit = fit && v.Pages.Fits(from+i, &pages[i]) == nil
	}
	return pages, fit, nil
}

// ListVersions implements [meta.Listings]. A page shorter than limit is the last
// one: if versions are removed while it is read, reading continues after them.
func (s *Keys) ListVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) ([]meta.Entry, error) {
	if limit <= 0 {
		return nil, nil
	}
	if before == 0 {
		before = math.MaxInt64
	}
	if err := meta.CheckText(key); err != nil {
		return nil, cql.Wrap(err, "list versions of key")
	}
	limit = min(limit, cql.MaxLimit)
	var found []meta.Entry
	for {
		want := limit - len(found)
		rows, err := s.readListedVersions(ctx, bucket, key, before, want)
		if err != nil {
			return nil, cql.Wrap(err, "list versions of key")
		}
		for i := range rows {
			if !rows[i].removed {
				found = append(found, rows[i].Entry)
			}
		}
		if len(rows) < want || len(found) == limit {
			return found, nil
		}
		before = rows[len(rows)-1].Seq
	}
}

// listedVersion is a version as listings show it.
type listedVersion struct {
	meta.Entry
	removed bool // between the read of its listed column and that of its doc
}

// readListedVersions reads limit versions older than before. Programs before schema 6
// wrote no column for listings: their versions are read whole.
func (s *Keys) readListedVersions(ctx context.Context, bucket meta.BucketID, key string, before int64, limit int) (rows []listedVersion, err error) {
	var whole []int // the versions to read whole
	err = s.QueryRows(ctx, s.Consistency, min(limit, cql.MaxPageRows), func(row gocql.Scanner) error {
		var seq int64
		var listed []byte
		if err := row.Scan(&seq, &listed); err != nil {
			return err
		}
		e := meta.Entry{Key: key}
		if len(listed) == 0 {
			whole = append(whole, len(rows))
		} else if err := meta.Unmarshal(listed, &e); err != nil {
			return fmt.Errorf("version %d: %w", seq, err)
		}
		e.Seq = seq
		rows = append(rows, listedVersion{Entry: e})
		return nil
	}, selectListed, bucket[:], key, before, limit)
	if err != nil {
		return nil, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, i := range whole {
		g.Go(func() error { return s.readWhole(gctx, bucket, key, &rows[i]) })
	}
	return rows, g.Wait()
}

// readWhole reads what a listing shows of a version that has no column for it.
func (s *Keys) readWhole(ctx context.Context, bucket meta.BucketID, key string, r *listedVersion) error {
	var doc []byte
	found, err := s.QueryRow(ctx, s.Consistency, []any{&doc}, selectVersionDoc, bucket[:], key, r.Seq)
	if r.removed = !found; err != nil || !found {
		return err
	}
	r.Entry, err = meta.UnmarshalEntryOf(doc, key, r.Seq)
	return err
}

const (
	fenceKnown   = `UPDATE @.object USING TTL ? SET rev = ? WHERE bucket_id = ? AND key = ? IF rev = ?`
	fenceUnknown = `UPDATE @.object USING TTL ? SET rev = ? WHERE bucket_id = ? AND key = ? IF rev = null`
)

// Fence implements [meta.Objects]. It keeps the id of the last change, so that a
// change whose outcome is unknown can still find itself.
func (s *Keys) Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error) {
	if err := meta.CheckText(key); err != nil {
		return meta.Head{}, cql.Wrap(err, "fence key")
	}
	c := s.Consistency
	for try := range cql.MaxTries {
		h, steady, err := s.readOnce(ctx, c, bucket, key, o)
		if err != nil {
			return meta.Head{}, cql.Wrap(err, "fence key")
		}
		next := max(h.Rev, rev) + 2
		if steady {
			applied, err := s.fence(ctx, bucket, key, h, next)
			if applied {
				// The condition held: the head is still what was read.
				h.Rev = next
				return h.Head, nil
			}
			if err != nil && try == cql.MaxTries-1 {
				return meta.Head{}, cql.Wrap(err, "fence key")
			}
		}
		c = s.Serial // completes what Paxos has begun, this fence included
		if err := cql.Backoff(ctx, try); err != nil {
			return meta.Head{}, cql.Wrap(err, "fence key")
		}
	}
	return meta.Head{}, fmt.Errorf("fence key: it changed %d times during the operation: %w", cql.MaxTries, meta.ErrUnavailable)
}

func (s *Keys) fence(ctx context.Context, bucket meta.BucketID, key string, h head, next int64) (bool, error) {
	ttl := 0
	if len(h.Versions) == 0 {
		ttl = revTTL
	}
	unlock, err := s.locks.lock(ctx, bucket, key)
	if err != nil {
		return false, err
	}
	defer unlock()
	if h.Rev == 0 {
		return s.CAS(ctx, cql.Statement(fenceUnknown, ttl, next, bucket[:], key))
	}
	return s.CAS(ctx, cql.Statement(fenceKnown, ttl, next, bucket[:], key, h.Rev))
}

// WalkVersions visits the versions of a share of the keys.
func (s *Keys) WalkVersions(ctx context.Context, share meta.Share, payload bool, visit func(meta.VersionRow) error) error {
	stmt := walkObjects
	if payload {
		stmt = walkObjectsPayload
	}
	return cql.Wrap(s.WalkTable(ctx, share, func(row gocql.Scanner) error {
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
		r.Bucket, r.Seq, r.Payload = cql.ID(bucket), *seq, body
		if err := r.JoinPages(pages); errors.Is(err, meta.ErrNotFound) {
			// A read at a quorum may have a new index and old pages: Pages reads
			// such a version by Paxos.
			if gone, err := meta.WholeAgain(ctx, s, &r, payload); err != nil || gone {
				return err
			}
		} else if err != nil {
			return fmt.Errorf("key %q: %w", r.Key, err)
		}
		return visit(r)
	}, stmt), "walk versions")
}
