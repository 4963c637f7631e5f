package schema

import (
	"context"
	"fmt"

	"github.com/gocql/gocql"
)

// State compares a keyspace with this program.
type State int

const (
	Missing State = iota // never installed
	Older                // an upgrade is due
	Current
	Newer  // upgraded by a later program
	Edited // by a migration other than this program's
)

// String returns the state's name, for logs.
func (s State) String() string {
	return [...]string{"missing", "older", "current", "newer", "edited"}[s]
}

// Status is what Check found.
type Status struct {
	State    State
	Keyspace string
	Role     Role
	Version  int // of the keyspace; 0: none
	Want     int // of this program
}

// String says what was found and, where something has to be done, what.
func (s Status) String() string {
	at := fmt.Sprintf("the %s tables of keyspace %s are at version %d", s.Role, s.Keyspace, s.Version)
	switch s.State {
	case Missing:
		return fmt.Sprintf("keyspace %s has no %s tables: run 'pithos bootstrap'", s.Keyspace, s.Role)
	case Older:
		return fmt.Sprintf("%s, this program needs %d: run 'pithos bootstrap' of this version", at, s.Want)
	case Newer:
		return fmt.Sprintf("%s, this program knows no later than %d: run the Pithos that upgraded them, or a later one", at, s.Want)
	case Edited:
		return at + ", but were made by another migration of that number than this program's: it is not of the same origin"
	}
	return at
}

// err returns why nothing may be applied, or nil.
func (s Status) err() error {
	switch s.State {
	case Newer:
		return fmt.Errorf("schema: %w: %s", ErrNewer, s)
	case Edited:
		return fmt.Errorf("schema: %w: %s", ErrEdited, s)
	}
	return nil
}

// Check compares the role's tables in a keyspace with what this program
// needs. Only Current is fit to serve; an error means that Cassandra gave no
// answer.
func Check(ctx context.Context, session *gocql.Session, keyspace string, role Role) (Status, error) {
	ms, err := migrations(role)
	if err != nil {
		return Status{}, err
	}
	if err := checkKeyspace(keyspace); err != nil {
		return Status{}, err
	}
	ok, err := found(ctx, session,
		"SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_version'", keyspace)
	if err != nil {
		return Status{}, err
	}
	if !ok {
		return Status{State: Missing, Keyspace: keyspace, Role: role, Want: len(ms)}, nil
	}
	return readStatus(ctx, session, keyspace, role, ms)
}

// readStatus compares the versions on record with the program's migrations.
func readStatus(ctx context.Context, session *gocql.Session, keyspace string, role Role, ms []migration) (Status, error) {
	s := Status{Keyspace: keyspace, Role: role, Want: len(ms)}
	edited := false
	stmt := fmt.Sprintf("SELECT version, checksum FROM %s.schema_version WHERE role = ?", quote(keyspace))
	iter := session.Query(stmt, string(role)).WithContext(ctx).Iter()
	var version int
	var checksum string
	for iter.Scan(&version, &checksum) {
		s.Version = max(s.Version, version)
		if version >= 1 && version <= len(ms) && checksum != ms[version-1].checksum() {
			edited = true
		}
	}
	if err := iter.Close(); err != nil {
		return Status{}, fmt.Errorf("schema: read the version of %s in %s: %w", role, keyspace, err)
	}
	switch {
	case s.Version > s.Want:
		s.State = Newer
	case edited:
		s.State = Edited
	case s.Version == 0:
		s.State = Missing
	case s.Version < s.Want:
		s.State = Older
	default:
		s.State = Current
	}
	return s, nil
}
