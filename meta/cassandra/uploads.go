package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	insertUpload       = `UPDATE @.upload SET bucket_id = ?, key = ?, rev = ?, state = ?, doc = ?, listed = ?, change_id = ? WHERE upload_id = ? IF rev = null`
	updateUpload       = `UPDATE @.upload SET rev = ?, state = ?, doc = ?, listed = ?, change_id = ? WHERE upload_id = ? IF rev = ? AND bucket_id = ? AND key = ?`
	expireUpload       = `UPDATE @.upload USING TTL ? SET bucket_id = ?, key = ?, rev = ?, state = ?, doc = ?, listed = ?, change_id = ? WHERE upload_id = ? IF rev = ? AND bucket_id = ? AND key = ?`
	selectListedUpload = `SELECT bucket_id, key, rev, state, listed FROM @.upload WHERE upload_id = ? LIMIT 1`
	selectUpload       = `SELECT bucket_id, key, rev, state, doc, change_id FROM @.upload WHERE upload_id = ? LIMIT 1`

	// An index row is written once and deleted once.
	putUploadIndex    = `INSERT INTO @.upload_by_bucket (bucket_id, slot, key, upload_id) VALUES (?, ?, ?, ?) USING TIMESTAMP 1`
	deleteUploadIndex = `DELETE FROM @.upload_by_bucket USING TIMESTAMP 2 WHERE bucket_id = ? AND slot = ? AND key = ? AND upload_id = ?`
)

// uploadPartitions is how many partitions the index of a bucket's uploads has.
const uploadPartitions = 16

func uploadPartition(id meta.UploadID) int8 { return int8(id[0] % uploadPartitions) }

// uploadTTL is how long a forgotten upload is still found, in seconds.
const uploadTTL = 10 * 24 * 3600

// storedUpload is an upload with the id of its last change.
type storedUpload struct {
	meta.Upload
	changeID meta.ID
}

// CreateUpload implements [meta.Uploads]. The index is written first; readers read the
// upload itself. The bucket's state is read last: a caller that sets the state and then
// lists uploads either finds this one, or makes this call fail.
func (s *Store) CreateUpload(ctx context.Context, u meta.Upload) error {
	if err := meta.CheckText(u.Key); err != nil {
		return cql.Wrap(err, "create upload")
	}
	doc, listed, err := encodeUpload(u)
	if err != nil {
		return err
	}
	if err := s.db.Exec(ctx, putUploadIndex, u.Bucket[:], uploadPartition(u.ID), u.Key, u.ID[:]); err != nil {
		return cql.Wrap(err, "create upload")
	}
	change := meta.NewID()
	insert := cql.Statement(insertUpload, u.Bucket[:], u.Key, u.Rev, string(u.State), doc, listed, change[:], u.ID[:])
	if err := s.casUpload(ctx, u, 0, change, insert); err != nil {
		return cql.Wrap(err, "create upload")
	}
	err = s.checkBucket(ctx, u.Bucket)
	if err == nil {
		return nil
	}
	s.background.Go(3*s.db.Timeout, func(ctx context.Context) {
		if aborted, err := s.SetUploadState(ctx, u, meta.UploadAborted); err == nil {
			_ = s.ForgetUpload(ctx, aborted) // what is left costs listings a read
		}
	})
	return cql.Wrap(err, "create upload")
}

// encodeUpload returns an upload's doc, and what listings show of it.
func encodeUpload(u meta.Upload) (doc, listed []byte, err error) {
	if doc, err = meta.Marshal(u.Doc); err != nil {
		return nil, nil, err
	}
	listed, err = meta.Marshal(u.Doc.Listed())
	return doc, listed, err
}

// casUpload makes a conditional change of an upload's state; change is the id that it
// sets.
func (s *Store) casUpload(ctx context.Context, u meta.Upload, ifRev int64, change meta.ID, batch gocql.BatchEntry) error {
	unknown := false
	for try := range cql.MaxTries {
		applied, err := s.db.CAS(ctx, batch)
		if applied || errors.Is(err, cql.ErrNotApplied) && !unknown {
			return err
		}
		unknown = unknown || err != nil
		now, found, readErr := s.readUpload(ctx, s.db.Serial, u.ID)
		switch {
		case readErr != nil && unknown:
			return fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, readErr)
		case readErr != nil:
			return readErr
		case found && now.changeID == change:
			return nil
		case !found && ifRev != 0, found && (now.Bucket != u.Bucket || now.Key != u.Key):
			return meta.ErrNotFound
		case found && now.Rev != ifRev:
			return meta.ErrConflict
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return err
		}
	}
	return meta.ErrUnknownOutcome
}

// Upload implements [meta.Uploads].
func (s *Store) Upload(ctx context.Context, bucket meta.BucketID, key string, id meta.UploadID) (meta.Upload, error) {
	u, found, err := s.readUpload(ctx, s.db.Consistency, id)
	if err == nil && (!found || u.Bucket != bucket || u.Key != key) {
		err = meta.ErrNotFound
	}
	if err != nil {
		return meta.Upload{}, cql.Wrap(err, "upload %s", id)
	}
	return u.Upload, nil
}

func (s *Store) readUpload(ctx context.Context, c gocql.Consistency, id meta.UploadID) (storedUpload, bool, error) {
	var bucket, doc, change []byte
	var state string
	u := storedUpload{Upload: meta.Upload{ID: id}}
	found, err := s.db.QueryRow(ctx, c, []any{&bucket, &u.Key, &u.Rev, &state, &doc, &change}, selectUpload, id[:])
	if err != nil || !found || u.Rev == 0 {
		return storedUpload{}, false, err
	}
	u.Bucket, u.State, u.changeID = cql.ID(bucket), meta.UploadState(state), cql.ID(change)
	return u, true, meta.Unmarshal(doc, &u.Doc)
}

// SetUploadState implements [meta.Uploads].
func (s *Store) SetUploadState(ctx context.Context, u meta.Upload, state meta.UploadState) (meta.Upload, error) {
	doc, listed, err := encodeUpload(u)
	if err != nil {
		return meta.Upload{}, err
	}
	change := meta.NewID()
	next := u
	next.Rev, next.State = meta.NextRev(u.Rev, s.o.Now()), state
	update := cql.Statement(updateUpload, next.Rev, string(state), doc, listed, change[:], u.ID[:], u.Rev, u.Bucket[:], u.Key)
	if err := s.casUpload(ctx, u, u.Rev, change, update); err != nil {
		return meta.Upload{}, cql.Wrap(err, "upload %s to %s", u.ID, state)
	}
	return next, nil
}

// ForgetUpload implements [meta.Uploads].
func (s *Store) ForgetUpload(ctx context.Context, u meta.Upload) error {
	doc, listed, err := encodeUpload(u)
	if err != nil {
		return err
	}
	change := meta.NewID()
	expire := cql.Statement(expireUpload, uploadTTL, u.Bucket[:], u.Key, u.Rev, string(u.State), doc, listed, change[:], u.ID[:], u.Rev, u.Bucket[:], u.Key)
	if err := s.casUpload(ctx, u, u.Rev, change, expire); err != nil && !errors.Is(err, meta.ErrNotFound) {
		return cql.Wrap(err, "forget upload %s", u.ID)
	}
	if err := s.db.Exec(ctx, deleteParts, int64(cql.MaxTimestamp), u.ID[:]); err != nil {
		return cql.Wrap(err, "forget upload %s", u.ID)
	}
	// The index row is deleted last, so that after a failure the upload is still
	// found and forgotten again.
	return cql.Wrap(s.db.Exec(ctx, deleteUploadIndex, u.Bucket[:], uploadPartition(u.ID), u.Key, u.ID[:]), "forget upload %s", u.ID)
}

// ListUploads implements [meta.Uploads].
func (s *Store) ListUploads(ctx context.Context, bucket meta.BucketID, from, to string, afterID meta.UploadID, limit int) ([]meta.Upload, error) {
	if err := meta.CheckText(from, to); err != nil {
		return nil, cql.Wrap(err, "list uploads")
	}
	var list []meta.Upload
	at := uploadName{from, afterID}
	for len(list) < limit {
		names, end, err := s.indexedUploads(ctx, bucket, at, to, limit)
		if err != nil {
			return nil, cql.Wrap(err, "list uploads")
		}
		// The index is read from all its partitions concurrently. Of the uploads, only
		// those are read that may still be needed.
		for i := 0; i < len(names) && len(list) < limit; {
			n := min(limit-len(list), len(names)-i)
			found, err := s.openUploads(ctx, bucket, names[i:i+n])
			if err != nil {
				return nil, cql.Wrap(err, "list uploads")
			}
			list = append(list, found...)
			i += n
		}
		if end {
			break
		}
		at = names[len(names)-1]
	}
	return list[:min(len(list), max(limit, 0))], nil
}

// readListedUpload reads what a listing shows of an upload; its state is "" if it does
// not exist. An upload that an older program wrote is read whole.
func (s *Store) readListedUpload(ctx context.Context, id meta.UploadID) (meta.Upload, error) {
	var bucket, listed []byte
	var state string
	u := meta.Upload{ID: id}
	found, err := s.db.QueryRow(ctx, s.db.Consistency, []any{&bucket, &u.Key, &u.Rev, &state, &listed}, selectListedUpload, id[:])
	if err != nil || !found || u.Rev == 0 {
		return meta.Upload{}, err
	}
	if len(listed) == 0 {
		whole, _, err := s.readUpload(ctx, s.db.Consistency, id)
		whole.Doc = whole.Doc.Listed()
		return whole.Upload, err
	}
	u.Bucket, u.State = cql.ID(bucket), meta.UploadState(state)
	return u, meta.Unmarshal(listed, &u.Doc)
}

// uploadName is an upload's position in the order of listings.
type uploadName struct {
	key string
	id  meta.UploadID
}

func (a uploadName) compare(b uploadName) int {
	if a.key != b.key {
		if a.key < b.key {
			return -1
		}
		return 1
	}
	return bytes.Compare(a.id[:], b.id[:])
}

// openUploads reads the uploads of index rows and returns those that are open.
func (s *Store) openUploads(ctx context.Context, bucket meta.BucketID, names []uploadName) ([]meta.Upload, error) {
	found := make([]meta.Upload, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for i, n := range names {
		g.Go(func() (err error) {
			found[i], err = s.readListedUpload(gctx, n.id)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var list []meta.Upload
	for i, u := range found {
		if u.State == meta.UploadOpen && u.Bucket == bucket && u.Key == names[i].key {
			list = append(list, u)
		}
	}
	return list, nil
}
