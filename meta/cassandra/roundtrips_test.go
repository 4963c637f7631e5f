package cassandra

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

var update = flag.Bool("update", false, "write the golden files anew")

// statementCount counts what is sent, by kind.
type statementCount struct {
	mu                 sync.Mutex
	reads, writes, cas int
}

func (c *statementCount) add(stmt string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case strings.HasPrefix(stmt, "SELECT"):
		c.reads++
	case strings.Contains(stmt, " IF "):
		c.cas++
	default:
		c.writes++
	}
}

func (c *statementCount) ObserveQuery(_ context.Context, q gocql.ObservedQuery) { c.add(q.Statement) }
func (c *statementCount) ObserveBatch(_ context.Context, b gocql.ObservedBatch) {
	c.add(b.Statements[0])
}

// take returns the counts and begins again at zero.
func (c *statementCount) take() (reads, writes, cas int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reads, writes, cas = c.reads, c.writes, c.cas
	c.reads, c.writes, c.cas = 0, 0, 0
	return reads, writes, cas
}

// fewestReads returns how many reads do makes at least, of several times: what
// workers read meanwhile is counted as well, and a slow read that is made twice.
func (c *statementCount) fewestReads(do func()) int {
	fewest := math.MaxInt
	for range 10 {
		c.take()
		do()
		reads, _, _ := c.take()
		fewest = min(fewest, reads)
	}
	return fewest
}

// TestRoundTrips holds how many statements each operation costs. The golden
// file says it; "go test -run TestRoundTrips -update" writes it anew.
func TestRoundTrips(t *testing.T) {
	c, keyspace := newKeyspace(t)
	var n statementCount
	session := newSession(t, c, keyspace, func(cfg *gocql.ClusterConfig) { cfg.QueryObserver, cfg.BatchObserver = &n, &n })
	s := newStore(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	ctx := t.Context()
	must(t, put(ctx, s, b.ID, "warm", "1"))
	var out strings.Builder
	fmt.Fprintf(&out, "%-34s %6s %6s %6s %7s\n", "operation", "reads", "writes", "paxos", "behind")
	none := func(string) error { return nil }
	for _, op := range []struct {
		name        string
		before, run func(key string) error
	}{
		{"PUT of a new key", none, func(key string) error { return put(ctx, s, b.ID, key, "1") }},
		{"PUT over a key", func(key string) error { return put(ctx, s, b.ID, key, "1") },
			func(key string) error { return put(ctx, s, b.ID, key, "2") }},
		{"PUT that keeps the old version", none, func(key string) error {
			return edit(ctx, s, b.ID, key, true, func(h meta.Head, rev int64) meta.Change {
				c := putChange(h, rev, key, "1")
				c.History = true
				return c
			})
		}},
		{"DELETE of a key", func(key string) error { return put(ctx, s, b.ID, key, "1") },
			func(key string) error { return remove(ctx, s, b.ID, key) }},
		{"GET of a key", none, func(string) error { _, err := s.Read(ctx, b.ID, "warm", meta.ReadOptions{}); return err }},
		{"LIST of a page", none, func(string) error { _, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10}); return err }},
		{"LIST of a page of versions", none, func(string) error { _, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 10, All: true}); return err }},
		{"bucket by name", none, func(string) error { _, err := s.Bucket(ctx, b.Name); return err }},
		{"fence of a key", none, func(string) error { _, err := s.Fence(ctx, b.ID, "warm", 0, meta.ReadOptions{}); return err }},
	} {
		reads, writes, cas := math.MaxInt, math.MaxInt, math.MaxInt
		for i := range 5 { // the fewest: what workers do meanwhile is counted as well
			key := fmt.Sprint(op.name, i)
			must(t, op.before(key))
			must(t, s.Flush(ctx))
			n.take()
			must(t, op.run(key))
			must(t, s.Flush(ctx))
			r, w, c := n.take()
			reads, writes, cas = min(reads, r), min(writes, w), min(cas, c)
		}
		behind := 0
		if cas > 0 && !strings.HasPrefix(op.name, "fence") {
			behind = 1 // the rows of one change go into one shard: one write
		}
		fmt.Fprintf(&out, "%-34s %6d %6d %6d %7d\n", op.name, reads, writes-behind, cas, behind)
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
