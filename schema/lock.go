package schema

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gocql/gocql"
)

// The lock of a keyspace is a row that its owner makes by a conditional write
// and that expires by itself: the servers count the time, so no clocks have
// to agree. Should an owner sleep beyond it, two run at once, which the
// statements bear: each can be repeated. What the lock prevents is the schema
// conflicts that Cassandra gets into when two nodes make the same table.
const (
	lockSeconds = 60
	lockPoll    = 300 * time.Millisecond
	lockName    = "apply"
)

type lock struct {
	session  *gocql.Session
	keyspace string
	owner    string
}

// createLockTable makes the one table that no lock protects. All who make it
// give it the same id, so that they make the same table.
func createLockTable(ctx context.Context, session *gocql.Session, keyspace string) error {
	id := md5.Sum([]byte("pithos schema_lock " + keyspace))
	ddl := fmt.Sprintf(`CREATE TABLE IF NOT EXISTS %s.schema_lock (name text PRIMARY KEY, owner text)
		WITH id = %s AND gc_grace_seconds = 86400 AND comment = 'who is changing the schema'`,
		quote(keyspace), gocql.UUID(id))
	return execDDL(ctx, session, ddl)
}

// acquire takes the lock, waiting until it is free or ctx ends.
func acquire(ctx context.Context, session *gocql.Session, keyspace string) (*lock, error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	l := &lock{session, keyspace, hex.EncodeToString(id)}
	stmt := fmt.Sprintf("INSERT INTO %s.schema_lock (name, owner) VALUES (?, ?) IF NOT EXISTS USING TTL %d", quote(keyspace), lockSeconds)
	for {
		was := map[string]any{}
		var applied bool
		err := repeat(ctx, func() (err error) {
			applied, err = session.Query(stmt, lockName, l.owner).WithContext(ctx).MapScanCAS(was)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("schema: lock %s: %w", keyspace, err)
		}
		// An insert whose answer got lost may have succeeded.
		if applied || was["owner"] == l.owner {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("schema: lock %s: it is held by %v, for at most %d s more (%w)",
				keyspace, was["owner"], lockSeconds, context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
}

// extend renews the lock, or fails if it has been lost.
func (l *lock) extend(ctx context.Context) error {
	stmt := fmt.Sprintf("UPDATE %s.schema_lock USING TTL %d SET owner = ? WHERE name = ? IF owner = ?", quote(l.keyspace), lockSeconds)
	var applied bool
	err := repeat(ctx, func() (err error) {
		applied, err = l.session.Query(stmt, l.owner, lockName, l.owner).WithContext(ctx).MapScanCAS(map[string]any{})
		return err
	})
	if err != nil {
		return fmt.Errorf("schema: extend the lock of %s: %w", l.keyspace, err)
	}
	if !applied {
		return fmt.Errorf("schema: the lock of %s expired before the work was done: run it again", l.keyspace)
	}
	return nil
}

// release frees the lock. Failing that it expires, so errors do not matter;
// nor does the end of ctx, for a moment.
func (l *lock) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	stmt := fmt.Sprintf("DELETE FROM %s.schema_lock WHERE name = ? IF owner = ?", quote(l.keyspace))
	_, _ = l.session.Query(stmt, lockName, l.owner).WithContext(ctx).MapScanCAS(map[string]any{})
}
