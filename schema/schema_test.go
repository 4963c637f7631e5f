package schema

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/cassandratest"
)

func open(t *testing.T, c cassandratest.Cluster) *gocql.Session {
	t.Helper()
	s, err := cassandra.Open(t.Context(), cassandra.Config{Hosts: c.Addrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustApply(t *testing.T, s *gocql.Session, keyspace string, role Role, ms []migration) Report {
	t.Helper()
	r, err := apply(t.Context(), s, keyspace, role, Replication{}, ms)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustLoad(t *testing.T, role Role) []migration {
	t.Helper()
	ms, err := migrations(role)
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func wantState(t *testing.T, s *gocql.Session, keyspace string, role Role, want State) {
	t.Helper()
	got, err := Check(t.Context(), s, keyspace, role)
	if err != nil || got.State != want {
		t.Errorf("%s in %s: %v (%v), want %v", role, keyspace, got, err, want)
	}
}

func TestApplyTwiceChangesNothing(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t)
	wantState(t, s, keyspace, Meta, Missing)

	first, err := Apply(t.Context(), s, keyspace, Meta, Replication{})
	if want := (Report{KeyspaceCreated: true, From: 0, To: len(mustLoad(t, Meta))}); err != nil || first != want {
		t.Fatalf("first: %+v, %v; want %+v", first, err, want)
	}
	wantState(t, s, keyspace, Meta, Current)
	before := describe(t, s, keyspace)
	again, err := Apply(t.Context(), s, keyspace, Meta, Replication{})
	if want := (Report{From: first.To, To: first.To}); err != nil || again != want {
		t.Errorf("again: %+v, %v; want %+v", again, err, want)
	}
	if after := describe(t, s, keyspace); !maps.Equal(before, after) {
		t.Errorf("the second time changed\n%v to\n%v", before, after)
	}
}

func TestRolesShareAKeyspace(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t)
	mustApply(t, s, keyspace, Blob, mustLoad(t, Blob))
	wantState(t, s, keyspace, Blob, Current)
	wantState(t, s, keyspace, Meta, Missing)
	mustApply(t, s, keyspace, Meta, mustLoad(t, Meta))
	wantState(t, s, keyspace, Meta, Current)
}

func TestKeyspaceNamesKeepTheirCase(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t) // lower case: dropped by the test
	upper := strings.ToUpper(keyspace)
	t.Cleanup(func() { _ = s.Query(`DROP KEYSPACE IF EXISTS "` + upper + `"`).Exec() })
	mustApply(t, s, upper, Blob, mustLoad(t, Blob))
	wantState(t, s, upper, Blob, Current)
	wantState(t, s, keyspace, Blob, Missing)
}

// applyAtOnce has n sessions apply the same migrations, each through a
// contact point of its own where there are several.
func applyAtOnce(t *testing.T, c cassandratest.Cluster, keyspace string, n int) {
	t.Helper()
	var g errgroup.Group
	reports := make([]Report, n)
	for i := range n {
		s := open(t, c)
		g.Go(func() (err error) {
			reports[i], err = Apply(t.Context(), s, keyspace, Meta, Replication{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	worked := 0
	for _, r := range reports {
		if r.From != r.To {
			worked++
		}
	}
	if worked != 1 {
		t.Errorf("%d of %d did the work: %+v", worked, n, reports)
	}
	s := open(t, c)
	wantState(t, s, keyspace, Meta, Current)
	// Tables made twice over would refuse conditional writes.
	applied, err := s.Query(`INSERT INTO ` + keyspace + `.bucket (name, rev) VALUES ('b', 1) IF NOT EXISTS`).MapScanCAS(map[string]any{})
	if err != nil || !applied {
		t.Errorf("a conditional insert into the new table: %v, %v", applied, err)
	}
}

func TestSeveralApplyAtOnce(t *testing.T) {
	c := cassandratest.Start(t)
	applyAtOnce(t, c, c.Keyspace(t), 3)
}

func TestSeveralApplyAtOnceThroughDifferentNodes(t *testing.T) {
	r := cassandratest.StartRing(t, 3)
	keyspace := r.Keyspace(t)
	applyAtOnce(t, r.Cluster, keyspace, 4)
	var replication map[string]string
	err := r.Session(t).Query("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", keyspace).Scan(&replication)
	if err != nil || replication["datacenter1"] != "3" {
		t.Errorf("replication on three nodes: %v, %v", replication, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t)
	known := mustLoad(t, Blob)
	later := append(known[:len(known):len(known)], migration{len(known) + 1, "next.cql",
		[]string{"ALTER TABLE {{keyspace}}.chunk ADD IF NOT EXISTS extra blob"}})
	mustApply(t, s, keyspace, Blob, later)
	before := describe(t, s, keyspace)

	_, err := Apply(t.Context(), s, keyspace, Blob, Replication{})
	if !errors.Is(err, ErrNewer) {
		t.Fatalf("applied: %v", err)
	}
	for _, want := range []string{keyspace, fmt.Sprint("version ", len(later))} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if after := describe(t, s, keyspace); !maps.Equal(before, after) {
		t.Error("the refused keyspace was changed")
	}
	wantState(t, s, keyspace, Blob, Newer)
}

func TestUpgradeKeepsData(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t)
	v1 := migration{1, "0001_initial.cql", []string{
		"CREATE TABLE IF NOT EXISTS {{keyspace}}.thing (k text PRIMARY KEY, v text) WITH compaction = {{leveled}}"}}
	v2 := migration{2, "0002_more.cql", []string{
		"ALTER TABLE {{keyspace}}.thing ADD IF NOT EXISTS w text",
		"CREATE TABLE IF NOT EXISTS {{keyspace}}.other (k text PRIMARY KEY) WITH compaction = {{tiered}}"}}
	mustApply(t, s, keyspace, Meta, []migration{v1})
	if err := s.Query("INSERT INTO " + keyspace + ".thing (k, v) VALUES ('a', 'kept')").Exec(); err != nil {
		t.Fatal(err)
	}
	status, err := readStatus(t.Context(), s, keyspace, Meta, []migration{v1, v2})
	if err != nil || status.State != Older {
		t.Errorf("before the upgrade: %v, %v", status, err)
	}
	// An upgrade that died half way left its first statement behind.
	if err := s.Query("ALTER TABLE " + keyspace + ".thing ADD w text").Exec(); err != nil {
		t.Fatal(err)
	}
	if r := mustApply(t, s, keyspace, Meta, []migration{v1, v2}); r.From != 1 || r.To != 2 {
		t.Errorf("upgrade: %+v", r)
	}
	var v, w string
	if err := s.Query("SELECT v, w FROM "+keyspace+".thing WHERE k = 'a'").Scan(&v, &w); err != nil || v != "kept" {
		t.Errorf("after the upgrade: %q, %v", v, err)
	}
	if err := s.Query("INSERT INTO " + keyspace + ".other (k) VALUES ('a')").Exec(); err != nil {
		t.Error(err)
	}
}

func TestEditedMigrationIsRefused(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.Keyspace(t)
	mustApply(t, s, keyspace, Blob, []migration{{1, "0001_initial.cql",
		[]string{"CREATE TABLE IF NOT EXISTS {{keyspace}}.chunk (k text PRIMARY KEY)"}}})
	if _, err := Apply(t.Context(), s, keyspace, Blob, Replication{}); !errors.Is(err, ErrEdited) {
		t.Errorf("applied: %v", err)
	}
	wantState(t, s, keyspace, Blob, Edited)
}

func TestApplyWaitsForTheLockAndEndsWithItsContext(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	keyspace := c.CreateKeyspace(t)
	if err := createLockTable(t.Context(), s, keyspace); err != nil {
		t.Fatal(err)
	}
	l, err := acquire(t.Context(), s, keyspace)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*lockPoll)
	defer cancel()
	if _, err := acquire(ctx, s, keyspace); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("took a held lock, or waited beyond its context: %v", err)
	}
	if err := l.extend(t.Context()); err != nil {
		t.Error(err)
	}
	l.release(t.Context())
	next, err := acquire(t.Context(), s, keyspace)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.extend(t.Context()); err == nil {
		t.Error("extended a lock that another process holds")
	}
	l.release(t.Context()) // another process holds it
	if err := next.extend(t.Context()); err != nil {
		t.Errorf("a former owner released the lock: %v", err)
	}
}

func TestKeyspaceIsReplicatedAsTold(t *testing.T) {
	c := cassandratest.Start(t)
	s := open(t, c)
	dc, nodes, err := localDatacenter(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		r    Replication
		want map[string]string
	}{
		"default":           {Replication{}, map[string]string{dc: fmt.Sprint(min(3, nodes))}},
		"simple":            {Replication{Strategy: simple, Factor: 2}, map[string]string{"replication_factor": "2"}},
		"each datacenter":   {Replication{Strategy: networkTopology, Factor: 2}, map[string]string{dc: "2"}},
		"named datacenters": {Replication{Datacenters: map[string]int{dc: 1}}, map[string]string{dc: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			keyspace := c.Keyspace(t)
			created, err := createKeyspace(t.Context(), s, keyspace, tc.r)
			if err != nil || !created {
				t.Fatalf("created %v, %v", created, err)
			}
			var got map[string]string
			if err := s.Query("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?", keyspace).Scan(&got); err != nil {
				t.Fatal(err)
			}
			delete(got, "class")
			if !maps.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			if created, err := createKeyspace(t.Context(), s, keyspace, Replication{Factor: 1}); created || err != nil {
				t.Errorf("an existing keyspace was not left as it is: %v, %v", created, err)
			}
		})
	}
}

// describe returns the columns and options of a keyspace's tables.
func describe(t *testing.T, s *gocql.Session, keyspace string) map[string]string {
	t.Helper()
	d := map[string]string{}
	iter := s.Query("SELECT table_name, column_name, kind, position, type, clustering_order FROM system_schema.columns WHERE keyspace_name = ?", keyspace).Iter()
	var table, column, kind, typ, order string
	var position int
	for iter.Scan(&table, &column, &kind, &position, &typ, &order) {
		d[table+"."+column] = fmt.Sprint(kind, position, typ, order)
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}
