package cassandra

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// Holds change by Paxos only. They are in one partition of the keyspace that has
// the buckets, so that gateways of all regions see the same holds.
const (
	insertHold  = `INSERT INTO @.hold (scope, id, rev, doc) VALUES (?, ?, ?, ?) IF NOT EXISTS`
	updateHold  = `UPDATE @.hold SET rev = ?, doc = ? WHERE scope = ? AND id = ? IF rev = ?`
	deleteHold  = `DELETE FROM @.hold WHERE scope = ? AND id = ? IF rev = ?`
	selectHold  = `SELECT rev, doc FROM @.hold WHERE scope = ? AND id = ?`
	selectHolds = `SELECT id, rev, doc FROM @.hold WHERE scope = ?`

	// blobHolds is the scope of holds that keep blobs from being deleted.
	blobHolds = "blobs"
)

// holdDoc is a hold as it is stored in its row, without its id.
type holdDoc struct {
	rev int64
	doc []byte
}

// AddHold implements [meta.Holds].
func (s *Store) AddHold(ctx context.Context, h meta.Hold) error {
	doc, err := meta.Marshal(h)
	if err != nil {
		return err
	}
	return cql.Wrap(s.casHold(ctx, h.ID, cql.Statement(insertHold, blobHolds, h.ID[:], h.Rev, doc), func(now *holdDoc, unknown bool) (bool, error) {
		switch {
		case now == nil:
			return false, nil
		case unknown && now.rev == h.Rev && bytes.Equal(now.doc, doc):
			return true, nil
		}
		return false, meta.ErrExists
	}), "add hold %s", h.ID)
}

// UpdateHold implements [meta.Holds].
func (s *Store) UpdateHold(ctx context.Context, h meta.Hold, ifRev int64) error {
	if h.Rev <= ifRev {
		return fmt.Errorf("update hold %s: revision %d does not follow %d", h.ID, h.Rev, ifRev)
	}
	doc, err := meta.Marshal(h)
	if err != nil {
		return err
	}
	return cql.Wrap(s.casHold(ctx, h.ID, cql.Statement(updateHold, h.Rev, doc, blobHolds, h.ID[:], ifRev), func(now *holdDoc, unknown bool) (bool, error) {
		switch {
		case now == nil:
			return false, meta.ErrNotFound
		case unknown && now.rev == h.Rev && bytes.Equal(now.doc, doc):
			return true, nil
		case now.rev != ifRev:
			return false, meta.ErrConflict
		}
		return false, nil
	}), "update hold %s", h.ID)
}

// RemoveHold implements [meta.Holds].
func (s *Store) RemoveHold(ctx context.Context, id meta.ID, ifRev int64) error {
	return cql.Wrap(s.casHold(ctx, id, cql.Statement(deleteHold, blobHolds, id[:], ifRev), func(now *holdDoc, unknown bool) (bool, error) {
		switch {
		case now == nil && unknown:
			return true, nil
		case now == nil:
			return false, meta.ErrNotFound
		case now.rev != ifRev:
			return false, meta.ErrConflict
		}
		return false, nil
	}), "remove hold %s", id)
}

// casHold makes a conditional change of a hold's row. If it was not applied, or
// that is unknown, judge gets the current row (nil: none) and decides: done,
// failed (an error), or try again.
func (s *Store) casHold(ctx context.Context, id meta.ID, change gocql.BatchEntry, judge func(now *holdDoc, unknown bool) (done bool, err error)) error {
	unknown := false
	for try := range cql.MaxTries {
		applied, err := s.buckets.CAS(ctx, change)
		if applied || errors.Is(err, cql.ErrNotApplied) && !unknown {
			return err
		}
		unknown = unknown || err != nil
		now, err := s.readHold(ctx, id)
		if err != nil && unknown {
			return fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, err)
		}
		if err != nil {
			return err
		}
		if done, err := judge(now, unknown); done || err != nil {
			return err
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return err
		}
	}
	return meta.ErrUnknownOutcome
}

// readHold reads a hold's row by Paxos; nil where there is none.
func (s *Store) readHold(ctx context.Context, id meta.ID) (*holdDoc, error) {
	var h holdDoc
	found, err := s.buckets.QueryRow(ctx, s.buckets.Serial, []any{&h.rev, &h.doc}, selectHold, blobHolds, id[:])
	if err != nil || !found {
		return nil, err
	}
	return &h, nil
}

// ListHolds implements [meta.Holds].
func (s *Store) ListHolds(ctx context.Context) ([]meta.Hold, error) {
	var holds []meta.Hold
	err := s.buckets.QueryRows(ctx, s.buckets.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
		var id, doc []byte
		var h meta.Hold
		if err := row.Scan(&id, &h.Rev, &doc); err != nil {
			return err
		}
		if err := meta.Unmarshal(doc, &h); err != nil {
			return cql.Wrap(err, "hold %x", id)
		}
		h.ID = cql.ID(id)
		holds = append(holds, h)
		return nil
	}, selectHolds, blobHolds)
	return holds, cql.Wrap(err, "list holds")
}
