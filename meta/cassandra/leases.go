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

// Leases change by Paxos alone. They lie in one partition of the keyspace that
// has the buckets, so that the gateways of all regions see the same ones.
const (
	insertLease  = `INSERT INTO @.lease (scope, job, shard, rev, doc) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS`
	updateLease  = `UPDATE @.lease SET rev = ?, doc = ? WHERE scope = ? AND job = ? AND shard = ? IF rev = ?`
	selectLease  = `SELECT rev, doc FROM @.lease WHERE scope = ? AND job = ? AND shard = ?`
	selectLeases = `SELECT job, shard, rev, doc FROM @.lease WHERE scope = ?`
	selectJob    = `SELECT job, shard, rev, doc FROM @.lease WHERE scope = ? AND job = ?`

	// jobLeases is the scope of the leases of background jobs.
	jobLeases = "jobs"
)

// PutLease implements [meta.Leases].
func (s *Store) PutLease(ctx context.Context, l meta.Lease, ifRev int64) error {
	return cql.Wrap(s.putLease(ctx, l, ifRev), "lease %s/%d", l.Job, l.Shard)
}

func (s *Store) putLease(ctx context.Context, l meta.Lease, ifRev int64) error {
	if l.Rev <= ifRev {
		return fmt.Errorf("revision %d does not follow %d", l.Rev, ifRev)
	}
	doc, err := meta.Marshal(l)
	if err != nil {
		return err
	}
	change := cql.Statement(insertLease, jobLeases, l.Job, l.Shard, l.Rev, doc)
	if ifRev != 0 {
		change = cql.Statement(updateLease, l.Rev, doc, jobLeases, l.Job, l.Shard, ifRev)
	}
	unknown := false // whether an attempt may have been applied
	for try := range cql.MaxTries {
		applied, err := s.buckets.CAS(ctx, change)
		if applied || errors.Is(err, cql.ErrNotApplied) && !unknown {
			return err
		}
		unknown = unknown || err != nil
		var rev int64
		var stored []byte
		_, err = s.buckets.QueryRow(ctx, s.buckets.Serial, []any{&rev, &stored}, selectLease, jobLeases, l.Job, l.Shard)
		switch {
		case err != nil && unknown:
			return fmt.Errorf("%w: %w", meta.ErrUnknownOutcome, err)
		case err != nil:
			return err
		case unknown && rev == l.Rev && bytes.Equal(stored, doc):
			return nil // an attempt of this call was applied: rows name their holder
		case rev != ifRev:
			return meta.ErrConflict
		}
		if err := cql.Backoff(ctx, try); err != nil {
			return err
		}
	}
	return meta.ErrUnknownOutcome
}

// ListLeases implements [meta.Leases].
func (s *Store) ListLeases(ctx context.Context, job string) ([]meta.Lease, error) {
	query, args := selectLeases, []any{jobLeases}
	if job != "" {
		query, args = selectJob, append(args, job)
	}
	var leases []meta.Lease
	err := s.buckets.QueryRows(ctx, s.buckets.Consistency, cql.MaxPageRows, func(row gocql.Scanner) error {
		var doc []byte
		var l meta.Lease
		var name string
		var shard int
		var rev int64
		if err := row.Scan(&name, &shard, &rev, &doc); err != nil {
			return err
		}
		if err := meta.Unmarshal(doc, &l); err != nil {
			return cql.Wrap(err, "lease %s/%d", name, shard)
		}
		l.Job, l.Shard, l.Rev = name, shard, rev
		leases = append(leases, l)
		return nil
	}, query, args...)
	return leases, cql.Wrap(err, "list leases")
}
