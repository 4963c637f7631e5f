// Package schema installs and upgrades Pithos' tables in Cassandra.
//
// A keyspace serves one role or several; each role has migrations of its own,
// numbered from 1, in folder migrations. What was applied is on record in the
// table schema_version of the keyspace, by role. A migration that was
// released is never edited: changes are a new file.
//
// A statement of a migration must do no harm when repeated (IF NOT EXISTS),
// since Apply may be interrupted anywhere, and must leave binaries of the
// version before able to work, since gateways are upgraded one by one.
package schema

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/internal/cassandra"
)

// ErrNewer tells that a keyspace was upgraded by a later Pithos than this.
var ErrNewer = errors.New("schema is newer than this program")

// ErrEdited tells that a keyspace was made by a migration that differs from
// this program's of the same version.
var ErrEdited = errors.New("schema was made by a different migration")

// Report is what Apply did.
type Report struct {
	KeyspaceCreated bool
	From, To        int // versions; equal if there was nothing to do
}

// Apply brings a role's tables in a keyspace to the version of this program,
// creating the keyspace, replicated as told, if it does not exist. The
// session need not be bound to a keyspace; it is used at its consistency.
//
// Apply may be repeated, interrupted, and run by several at once. It returns
// when all nodes agree on the schema. A keyspace newer than this program is
// left alone: [ErrNewer].
func Apply(ctx context.Context, session *gocql.Session, keyspace string, role Role, r Replication) (Report, error) {
	ms, err := migrations(role)
	if err != nil {
		return Report{}, err
	}
	return apply(ctx, session, keyspace, role, r, ms)
}

func apply(ctx context.Context, session *gocql.Session, keyspace string, role Role, r Replication, ms []migration) (report Report, err error) {
	if err := checkKeyspace(keyspace); err != nil {
		return report, err
	}
	d, err := serverDialect(ctx, session)
	if err != nil {
		return report, err
	}
	if report.KeyspaceCreated, err = createKeyspace(ctx, session, keyspace, r); err != nil {
		return report, err
	}
	if err := createLockTable(ctx, session, keyspace); err != nil {
		return report, err
	}
	l, err := acquire(ctx, session, keyspace)
	if err != nil {
		return report, err
	}
	defer l.release(ctx)
	report.From, err = recorded(ctx, session, keyspace, role, ms)
	if err != nil {
		return report, err
	}
	report.To = report.From
	for _, m := range ms[report.From:] {
		if err := l.migrate(ctx, role, m, d); err != nil {
			return report, err
		}
		report.To = m.version
	}
	return report, awaitAgreement(ctx, session)
}

func serverDialect(ctx context.Context, session *gocql.Session) (dialect, error) {
	var release string
	err := session.Query("SELECT release_version FROM system.local WHERE key = 'local'").WithContext(ctx).Scan(&release)
	if err != nil {
		return dialect{}, fmt.Errorf("schema: ask for the server's release: %w", err)
	}
	return dialectOf(release)
}

// createKeyspace makes the keyspace if it does not exist. Two at once do no
// harm: a keyspace, unlike a table, has no identity but its name.
func createKeyspace(ctx context.Context, session *gocql.Session, keyspace string, r Replication) (created bool, err error) {
	exists, err := keyspaceExists(ctx, session, keyspace)
	if err != nil {
		return false, err
	}
	if exists { // perhaps made this moment, and not everywhere yet
		return false, awaitAgreement(ctx, session)
	}
	options, err := r.options(ctx, session)
	if err != nil {
		return false, err
	}
	return true, execDDL(ctx, session, fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = %s", quote(keyspace), options))
}

func keyspaceExists(ctx context.Context, session *gocql.Session, keyspace string) (bool, error) {
	return found(ctx, session, "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", keyspace)
}

// found tells whether a query of one text column has a row.
func found(ctx context.Context, session *gocql.Session, stmt string, args ...any) (bool, error) {
	var name string
	err := session.Query(stmt, args...).WithContext(ctx).Scan(&name)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("schema: read the server's schema: %w", err)
	}
	return true, nil
}

// recorded returns the role's version in the keyspace, 0 if there is none,
// and refuses one that this program cannot go on from. The lock is held.
func recorded(ctx context.Context, session *gocql.Session, keyspace string, role Role, ms []migration) (int, error) {
	ddl := fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s.schema_version (
		role text, version int, checksum text, name text, applied timestamp, PRIMARY KEY ((role), version))`, quote(keyspace))
	if err := execDDL(ctx, session, ddl); err != nil {
		return 0, err
	}
	var status Status
	err := repeat(ctx, func() (err error) {
		status, err = readStatus(ctx, session, keyspace, role, ms)
		return err
	})
	if err != nil {
		return 0, err
	}
	return status.Version, status.err()
}

// migrate runs one migration and puts it on record.
func (l *lock) migrate(ctx context.Context, role Role, m migration, d dialect) error {
	for _, statement := range m.statements {
		if err := l.extend(ctx); err != nil {
			return err
		}
		if err := execDDL(ctx, l.session, d.render(statement, l.keyspace)); err != nil {
			return fmt.Errorf("schema: %s, migration %s/%s: %w", l.keyspace, role, m.name, err)
		}
	}
	if err := l.extend(ctx); err != nil {
		return err
	}
	// A plain write: concurrent writers of this row write the same.
	stmt := fmt.Sprintf("INSERT INTO %s.schema_version (role, version, checksum, name, applied) VALUES (?, ?, ?, ?, ?)", quote(l.keyspace))
	err := repeat(ctx, func() error {
		return l.session.Query(stmt, string(role), m.version, m.checksum(), m.name, time.Now().UTC()).WithContext(ctx).Exec()
	})
	if err != nil {
		return fmt.Errorf("schema: record version %d of %s in %s: %w", m.version, role, l.keyspace, err)
	}
	return nil
}

// execDDL runs a statement that may be repeated, and returns when all nodes
// that are up agree on the schema.
func execDDL(ctx context.Context, session *gocql.Session, ddl string) error {
	err := repeat(ctx, func() error { return session.Query(ddl).WithContext(ctx).Exec() })
	if err != nil {
		return fmt.Errorf("schema: %.60s...: %w", ddl, err)
	}
	return awaitAgreement(ctx, session)
}

func awaitAgreement(ctx context.Context, session *gocql.Session) error {
	if err := session.AwaitSchemaAgreement(ctx); err != nil {
		return fmt.Errorf("schema: the nodes do not agree on the schema: %w", err)
	}
	return nil
}

const attempts = 8

// repeat runs f until it succeeds, fails for good, or failed often enough:
// some 7 s, when the nodes refuse at once.
func repeat(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if err == nil || n == attempts || !worthRepeating(err) {
			return counted(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-time.After(time.Duration(n) * 250 * time.Millisecond):
		}
	}
}

// counted says of a missing quorum how many replicas there are, which
// Cassandra's own text leaves out.
func counted(err error) error {
	var missing *gocql.RequestErrUnavailable
	if !errors.As(err, &missing) {
		return err
	}
	return fmt.Errorf("%w: %d replicas are up and %d are needed", err, missing.Alive, missing.Required)
}

func worthRepeating(err error) bool {
	c := cassandra.Classify(err)
	return c == cassandra.Unavailable || c == cassandra.Unknown || unheardOf(err)
}

// unheardOf tells whether a node may only lack what another has just made.
// Awaiting agreement does not exclude that: the node that is asked for it
// hears of the others' versions by gossip, and may not have heard yet that
// there is something to agree on.
func unheardOf(err error) bool {
	var request gocql.RequestError
	if !errors.As(err, &request) {
		return false
	}
	return request.Code() == gocql.ErrCodeInvalid || request.Code() == gocql.ErrCodeConfig
}
