// Package cql sends the statements of meta/cassandra to Apache Cassandra.
//
// Database is the interface, DB a keyspace with the consistencies to use there,
// and Open returns the DB of a session. Errors are those of package meta: a plain
// statement that failed is ErrUnavailable or ErrOverloaded, and was retried once; a
// conditional change is never retried, and its outcome is unknown after an error
// unless that is ErrNotApplied.
//
// The package knows no table.
package cql

import (
	"fmt"
	"regexp"
	"time"

	"github.com/gocql/gocql"
)

// DB is a keyspace, with the consistencies to use there.
type DB struct {
	Database
	// Consistency of plain reads and writes, and of what Paxos commits.
	Consistency gocql.Consistency
	// Serial is the consistency of a read that completes what Paxos has begun.
	Serial gocql.Consistency
	// Timeout bounds each statement.
	Timeout time.Duration
}

// keyspaceName is what Cassandra accepts as a name.
var keyspaceName = regexp.MustCompile(`^[A-Za-z0-9_]{1,48}$`)

// Open returns the database of a session's keyspace.
func Open(session *gocql.Session, keyspace string, c gocql.Consistency, serial gocql.SerialConsistency, timeout time.Duration) (DB, error) {
	if !keyspaceName.MatchString(keyspace) {
		return DB{}, fmt.Errorf("keyspace %q: want up to 48 letters, digits and underscores", keyspace)
	}
	return DB{
		Database: &cluster{
			session: session, statements: statementCache{keyspace: keyspace},
			consistency: c, serial: serial, timeout: timeout,
		},
		Consistency: c, Serial: gocql.Consistency(serial), Timeout: timeout,
	}, nil
}
