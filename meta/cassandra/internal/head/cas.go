package head

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	setHeadKnown   = `UPDATE @.object USING TTL ? SET rev = ?, null_seq = ?, commit_id = ? WHERE bucket_id = ? AND key = ? IF rev = ?`
	setHeadUnknown = `UPDATE @.object USING TTL ? SET rev = ?, null_seq = ?, commit_id = ? WHERE bucket_id = ? AND key = ? IF rev = null`
	// A change that only adds a version: one statement costs less than a batch
	// of two.
	addVersionKnown   = `UPDATE @.object SET rev = ?, null_seq = ?, commit_id = ?, doc = ?, listed = ? WHERE bucket_id = ? AND key = ? AND seq = ? IF rev = ?`
	addVersionUnknown = `UPDATE @.object SET rev = ?, null_seq = ?, commit_id = ?, doc = ?, listed = ? WHERE bucket_id = ? AND key = ? AND seq = ? IF rev = null`
	addInlineKnown    = `UPDATE @.object SET rev = ?, null_seq = ?, commit_id = ?, doc = ?, listed = ?, payload = ? WHERE bucket_id = ? AND key = ? AND seq = ? IF rev = ?`
	addInlineUnknown  = `UPDATE @.object SET rev = ?, null_seq = ?, commit_id = ?, doc = ?, listed = ?, payload = ? WHERE bucket_id = ? AND key = ? AND seq = ? IF rev = null`

	putVersion = `INSERT INTO @.object (bucket_id, key, seq, doc, payload, listed) VALUES (?, ?, ?, ?, ?, ?)`
	// The pages of segments are cells of their own: the others stay as they are.
	putPages      = `UPDATE @.object SET segments = segments + ? WHERE bucket_id = ? AND key = ? AND seq = ?`
	deleteVersion = `DELETE FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`
)

// Change makes the change c by one conditional statement or batch.
//
// It is safe to send the batch again at any time, even while an earlier attempt
// may still be running: both have the same condition, so at most one is applied,
// and the id of the change tells whether one was.
func (s *Keys) Change(ctx context.Context, bucket meta.BucketID, key string, c meta.Change) error {
	batch, err := changeStatements(bucket, key, c)
	if err != nil {
		return err
	}
	unlock, err := s.locks.lock(ctx, bucket, key)
	if err != nil {
		return err
	}
	defer unlock()
	applied, err := s.CAS(ctx, batch...)
	switch {
	case applied:
		return nil
	case err == nil:
		return meta.ErrConflict
	case errors.Is(err, cql.ErrNotApplied):
		return err
	}
	return s.resolveOutcome(ctx, bucket, key, c, batch, err)
}

// resolveOutcome finds out whether a change was applied whose outcome is unknown.
// It does so even if the caller's context has ended: after a change that was
// applied there is more to do.
func (s *Keys) resolveOutcome(ctx context.Context, bucket meta.BucketID, key string, c meta.Change, batch []gocql.BatchEntry, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*s.Timeout)
	defer cancel()
	for try := range 4 {
		done, err := s.readOutcome(ctx, bucket, key, c, batch)
		if done {
			return err
		}
		if err == nil {
			// The head is unchanged. Paxos has completed or superseded what its replicas
			// knew of, but a coordinator that does not answer may still begin another
			// round. So the same change is sent again.
			var applied bool
			if applied, err = s.CAS(ctx, batch...); applied {
				return nil
			}
		}
		if err != nil {
			cause = err
		}
		if cql.Backoff(ctx, try+3) != nil {
			break
		}
	}
	return fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, cause)
}

// readOutcome finds out, by Paxos, whether c was applied. It is done if that is
// certain (err is the result of c then) or can never be found out. Not done and
// no error: the head still has the revision c.IfRev.
//
// A serial read completes any proposal that a majority may have accepted, and
// supersedes the others (it proposes an empty update, CASSANDRA-12126). So a round
// that began before the read cannot change what it returned.
func (s *Keys) readOutcome(ctx context.Context, bucket meta.BucketID, key string, c meta.Change, batch []gocql.BatchEntry) (done bool, err error) {
	h, _, err := s.readHead(ctx, s.Serial, bucket, key, 1, false)
	switch {
	case err != nil:
		return false, err
	case h.commitID == c.ID: // a later fence keeps the id
		return true, nil
	case h.Rev == c.IfRev:
		return false, nil
	case h.Rev <= c.Rev: // revisions only grow: c was not applied; an equal one is another change's
		return true, meta.ErrConflict
	}
	// Later changes were applied. The versions that c has put may still be there.
	for _, v := range c.Put {
		if same, err := s.hasVersion(ctx, bucket, key, v); err != nil || same {
			return err == nil, err
		}
	}
	return true, fmt.Errorf("%w: the key has changed again", meta.ErrUnknownOutcome)
}

// hasVersion reports whether the key has exactly the version v.
func (s *Keys) hasVersion(ctx context.Context, bucket meta.BucketID, key string, v meta.Version) (bool, error) {
	want, err := meta.Marshal(v)
	if err != nil {
		return false, err
	}
	var doc, payload []byte
	found, err := s.QueryRow(ctx, s.Serial, []any{&doc, &payload},
		`SELECT doc, payload FROM @.object WHERE bucket_id = ? AND key = ? AND seq = ?`, bucket[:], key, v.Seq)
	return found && bytes.Equal(doc, want) && bytes.Equal(payload, v.Payload), err
}

// encodeVersion returns a version as it is stored, and what listings show of it.
// Each statement that writes one of them writes the other. (Programs before schema
// version 6 do not. While both run, a version that one of them renames stays listed
// under its old name until the rename is complete.)
func encodeVersion(key string, v *meta.Version) (doc, listed []byte, err error) {
	if doc, err = meta.Marshal(v); err != nil {
		return nil, nil, err
	}
	listed, err = meta.Marshal(meta.EntryOf(key, v))
	return doc, listed, err
}

// encodePages returns the pages of v that a change writes.
func encodePages(v *meta.Version) (map[int][]byte, error) {
	pages := map[int][]byte{}
	for i, p := range v.Pages.Write {
		b, err := meta.Marshal(p)
		if err != nil {
			return nil, err
		}
		pages[i] = b
	}
	return pages, nil
}

// addVersionStatement is the statement of a change that only adds a version.
func addVersionStatement(bucket meta.BucketID, key string, c meta.Change) ([]gocql.BatchEntry, error) {
	v := c.Put[0]
	doc, listed, err := encodeVersion(key, &v)
	if err != nil {
		return nil, err
	}
	known, unknown := addVersionKnown, addVersionUnknown
	args := []any{c.Rev, c.NullSeq, c.ID[:], doc, listed}
	if v.Payload != nil {
		known, unknown = addInlineKnown, addInlineUnknown
		args = append(args, v.Payload)
	}
	args = append(args, bucket[:], key, v.Seq)
	if c.IfRev == 0 {
		return []gocql.BatchEntry{cql.Statement(unknown, args...)}, nil
	}
	return []gocql.BatchEntry{cql.Statement(known, append(args, c.IfRev)...)}, nil
}

func changeStatements(bucket meta.BucketID, key string, c meta.Change) ([]gocql.BatchEntry, error) {
	if len(c.Put) == 1 && len(c.Delete) == 0 && c.Put[0].Seq == c.Rev && !c.RemovesKey && c.Put[0].Pages == nil {
		return addVersionStatement(bucket, key, c)
	}
	ttl := 0
	if c.RemovesKey {
		ttl = revTTL
	}
	first := cql.Statement(setHeadUnknown, ttl, c.Rev, c.NullSeq, c.ID[:], bucket[:], key)
	if c.IfRev != 0 {
		first = cql.Statement(setHeadKnown, ttl, c.Rev, c.NullSeq, c.ID[:], bucket[:], key, c.IfRev)
	}
	batch := []gocql.BatchEntry{first}
	put := map[int64]bool{}
	for _, v := range c.Put {
		doc, listed, err := encodeVersion(key, &v)
		if err != nil {
			return nil, err
		}
		put[v.Seq] = true
		batch = append(batch, cql.Statement(putVersion, bucket[:], key, v.Seq, doc, v.Payload, listed))
		if v.Pages == nil || len(v.Pages.Write) == 0 {
			continue
		}
		pages, err := encodePages(&v)
		if err != nil {
			return nil, err
		}
		batch = append(batch, cql.Statement(putPages, pages, bucket[:], key, v.Seq))
	}
	for _, seq := range c.Delete {
		// A batch has one timestamp, at which a deletion wins over an insertion.
		if !put[seq] {
			batch = append(batch, cql.Statement(deleteVersion, bucket[:], key, seq))
		}
	}
	return batch, nil
}
