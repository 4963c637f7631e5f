package cassandra

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

var update = flag.Bool("update", false, "write the golden files")

// statementCount counts statements by kind: those of an operation, which carry
// its context, apart from those that the store sends asynchronously.
type statementCount struct {
	mu    sync.Mutex
	own   statementKinds
	async statementKinds
}

// statementKinds are the statements of an operation, by kind.
type statementKinds struct{ reads, writes, cas int }

func (n *statementKinds) total() int { return n.reads + n.writes + n.cas }

type countedKey struct{}

// counted marks the context of an operation whose statements are counted.
func counted(ctx context.Context) context.Context {
	return context.WithValue(ctx, countedKey{}, true)
}

func (c *statementCount) add(ctx context.Context, stmt string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.async
	if ctx.Value(countedKey{}) != nil {
		n = &c.own
	}
	switch {
	case strings.HasPrefix(stmt, "SELECT"):
		n.reads++
	case strings.Contains(stmt, " IF "):
		n.cas++
	default:
		n.writes++
	}
}

func (c *statementCount) ObserveQuery(ctx context.Context, q gocql.ObservedQuery) {
	c.add(ctx, q.Statement)
}

func (c *statementCount) ObserveBatch(ctx context.Context, b gocql.ObservedBatch) {
	c.add(ctx, b.Statements[0])
}

// take returns the counts and begins again at zero.
func (c *statementCount) take() (own, async statementKinds) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own, async = c.own, c.async
	c.own, c.async = statementKinds{}, statementKinds{}
	return own, async
}

// mostReads returns how many reads do makes with the context that it gets: the
// most of several times.
func (c *statementCount) mostReads(ctx context.Context, do func(context.Context)) (most int) {
	for range 5 {
		c.take()
		do(counted(ctx))
		own, _ := c.take()
		most = max(most, own.reads)
	}
	return most
}

// TestRoundTrips holds how many statements each operation costs: those before
// the answer, by kind, and those that follow it asynchronously. The golden file
// has them; "go test -run TestRoundTrips -update" writes it.
func TestRoundTrips(t *testing.T) {
	c, keyspace := newKeyspace(t)
	var n statementCount
	session := newSession(t, c, keyspace, func(cfg *gocql.ClusterConfig) { cfg.QueryObserver, cfg.BatchObserver = &n, &n })
	s := newStore(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	must(t, put(t.Context(), s, b.ID, "warm", "1"))
	var out strings.Builder
	fmt.Fprintf(&out, "%-34s %6s %6s %6s %6s\n", "operation", "reads", "writes", "paxos", "async")
	none := func(context.Context, string) error { return nil }
	first := func(ctx context.Context, key string) error { return put(ctx, s, b.ID, key, "1") }
	for _, op := range []struct {
		name        string
		before, run func(ctx context.Context, key string) error
	}{
		{"PUT of a new key", none, first},
		{"PUT over a key", first, func(ctx context.Context, key string) error { return put(ctx, s, b.ID, key, "2") }},
		{"PUT that keeps the old version", none, func(ctx context.Context, key string) error {
			return edit(ctx, s, b.ID, key, true, func(h meta.Head, rev int64) meta.Change {
				c := putChange(h, rev, key, "1")
				c.History = true
				return c
			})
		}},
		{"DELETE of a key", first, func(ctx context.Context, key string) error { return remove(ctx, s, b.ID, key) }},
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
		var most statementKinds
		async := 0
		for i := range 5 {
			key := fmt.Sprint(op.name, i)
			must(t, op.before(t.Context(), key))
			must(t, s.Flush(t.Context()))
			n.take()
			must(t, op.run(counted(t.Context()), key))
			must(t, s.Flush(t.Context()))
			own, after := n.take()
			most = statementKinds{max(most.reads, own.reads), max(most.writes, own.writes), max(most.cas, own.cas)}
			async = max(async, after.total())
		}
		fmt.Fprintf(&out, "%-34s %6d %6d %6d %6d\n", op.name, most.reads, most.writes, most.cas, async)
	}
	golden(t, "testdata/roundtrips.txt", out.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", file, got)
	}
}
