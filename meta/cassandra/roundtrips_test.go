package cassandra

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRoundTrips holds how many statements each operation costs: those before
// the answer, by kind, and those that follow it asynchronously. The golden file
// has them; "go test -run TestRoundTrips -update" writes it.
func TestRoundTrips(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	var n cqltest.StatementCount
	session := cqltest.NewSession(t, c, keyspace, n.Observe)
	s := newStore(t, session, keyspace, Options{})
	b := createBucket(t, s, "bucket")
	cqltest.Must(t, cqltest.Put(t.Context(), s, b.ID, "warm", "1"))
	var out strings.Builder
	fmt.Fprintf(&out, "%-34s %6s %6s %6s %6s\n", "operation", "reads", "writes", "paxos", "async")
	none := func(context.Context, string) error { return nil }
	first := func(ctx context.Context, key string) error { return cqltest.Put(ctx, s, b.ID, key, "1") }
	for _, op := range []struct {
		name        string
		before, run func(ctx context.Context, key string) error
	}{
		{"PUT of a new key", none, first},
		{"PUT over a key", first, func(ctx context.Context, key string) error { return cqltest.Put(ctx, s, b.ID, key, "2") }},
		{"PUT that keeps the old version", none, func(ctx context.Context, key string) error {
			return cqltest.Edit(ctx, s, b.ID, key, true, func(h meta.Head, rev int64) meta.Change {
				c := cqltest.PutChange(h, rev, key, "1")
				c.History = true
				return c
			})
		}},
		{"DELETE of a key", first, func(ctx context.Context, key string) error { return cqltest.Remove(ctx, s, b.ID, key) }},
		{"GET of a key", none, func(ctx context.Context, _ string) error {
			_, err := s.Read(ctx, b.ID, "warm", meta.ReadOptions{})
			return err
		}},
		{"LIST of a page", none, func(ctx context.Context, _ string) error {
			_, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10})
			return err
		}},
		{"LIST of a page of versions", none, func(ctx context.Context, _ string) error {
			_, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10, All: true})
			return err
		}},
		{"bucket by name", none, func(ctx context.Context, _ string) error { _, err := s.Bucket(ctx, b.Name); return err }},
		{"fence of a key", none, func(ctx context.Context, _ string) error {
			_, err := s.Fence(ctx, b.ID, "warm", 0, meta.ReadOptions{})
			return err
		}},
	} {
		var most cqltest.StatementKinds
		async := 0
		for i := range 5 {
			key := fmt.Sprint(op.name, i)
			cqltest.Must(t, op.before(t.Context(), key))
			cqltest.Must(t, s.Flush(t.Context()))
			n.Take()
			cqltest.Must(t, op.run(cqltest.Counted(t.Context()), key))
			cqltest.Must(t, s.Flush(t.Context()))
			own, after := n.Take()
			most = cqltest.StatementKinds{Reads: max(most.Reads, own.Reads), Writes: max(most.Writes, own.Writes), CAS: max(most.CAS, own.CAS)}
			async = max(async, after.Total())
		}
		fmt.Fprintf(&out, "%-34s %6d %6d %6d %6d\n", op.name, most.Reads, most.Writes, most.CAS, async)
	}
	golden(t, "testdata/roundtrips.txt", out.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		cqltest.Must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	cqltest.Must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}
