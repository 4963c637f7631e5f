package cassandra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

const (
	insertAccessKey = `INSERT INTO @.access_key (id, doc) VALUES (?, ?) IF NOT EXISTS`
	updateAccessKey = `UPDATE @.access_key SET doc = ? WHERE id = ? IF EXISTS`
	deleteAccessKey = `DELETE FROM @.access_key WHERE id = ? IF EXISTS`
	selectAccessKey = `SELECT doc FROM @.access_key WHERE id = ?`
)

// PutAccessKey implements [meta.AccessKeys]. Keys change by Paxos only, so that the last
// change wins whatever the clocks say.
func (s *Store) PutAccessKey(ctx context.Context, k meta.AccessKey) error {
	if err := meta.CheckText(k.ID); err != nil {
		return cql.Wrap(err, "put access key")
	}
	doc, err := meta.Marshal(k)
	if err != nil {
		return err
	}
	for try := range cql.MaxTries {
		for _, e := range []gocql.BatchEntry{cql.Statement(insertAccessKey, k.ID, doc), cql.Statement(updateAccessKey, doc, k.ID)} {
			applied, err := s.buckets.CAS(ctx, e)
			if applied {
				return nil
			}
			if errors.Is(err, cql.ErrNotApplied) || err != nil && try == cql.MaxTries-1 {
				return cql.Wrap(err, "put access key %q", k.ID)
			}
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return cql.Wrap(err, "put access key %q", k.ID)
		}
	}
	return fmt.Errorf("put access key %q: %w", k.ID, meta.ErrConflict)
}

// AccessKey implements [meta.AccessKeys].
func (s *Store) AccessKey(ctx context.Context, id string) (meta.AccessKey, error) {
	var doc []byte
	var found bool
	var err error
	if id != "" && meta.CheckText(id) == nil { // Cassandra refuses others as keys
		found, err = s.buckets.QueryRow(ctx, s.buckets.Consistency, []any{&doc}, selectAccessKey, id)
	}
	if err == nil && !found {
		err = meta.ErrNotFound
	}
	k := meta.AccessKey{ID: id}
	if err == nil {
		err = meta.Unmarshal(doc, &k)
	}
	if err != nil {
		return meta.AccessKey{}, cql.Wrap(err, "access key %q", id)
	}
	return k, nil
}

// ListAccessKeys implements [meta.AccessKeys]. It reads the whole table.
func (s *Store) ListAccessKeys(ctx context.Context) ([]meta.AccessKey, error) {
	var keys []meta.AccessKey
	err := s.buckets.QueryRows(ctx, s.buckets.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
		var k meta.AccessKey
		var id string
		var doc []byte
		if err := row.Scan(&id, &doc); err != nil {
			return err
		}
		if err := meta.Unmarshal(doc, &k); err != nil {
			return cql.Wrap(err, "access key %q", id)
		}
		k.ID = id
		keys = append(keys, k)
		return nil
	}, `SELECT id, doc FROM @.access_key`)
	slices.SortFunc(keys, func(a, b meta.AccessKey) int { return cmp.Compare(a.ID, b.ID) })
	return keys, cql.Wrap(err, "list access keys")
}

// DeleteAccessKey implements [meta.AccessKeys].
func (s *Store) DeleteAccessKey(ctx context.Context, id string) error {
	if id == "" {
		return fmt.Errorf("delete access key: it has no id: %w", meta.ErrNotFound)
	}
	unknown := false
	for try := range cql.MaxTries {
		applied, err := s.buckets.CAS(ctx, cql.Statement(deleteAccessKey, id))
		switch {
		case applied, err == nil && unknown:
			return nil
		case err == nil:
			return fmt.Errorf("delete access key %q: %w", id, meta.ErrNotFound)
		case errors.Is(err, cql.ErrNotApplied), try == 3:
			return cql.Wrap(err, "delete access key %q", id)
		}
		unknown = true
		if err := cql.Backoff(ctx, try); err != nil {
			return cql.Wrap(err, "delete access key %q", id)
		}
	}
	return fmt.Errorf("delete access key %q: %w", id, meta.ErrUnknownOutcome)
}
