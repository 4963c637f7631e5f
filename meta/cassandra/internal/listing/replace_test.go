package listing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// crashingDB is a database of a process that crashes: after some statements it sends no
// more.
type crashingDB struct {
	cql.Database
	left atomic.Int64
}

var errKilled = errors.New("killed")

func (m *crashingDB) spend() error {
	if m.left.Add(-1) < 0 {
		return errKilled
	}
	return nil
}

func (m *crashingDB) QueryRow(ctx context.Context, c gocql.Consistency, dest []any, stmt string, args ...any) (bool, error) {
	if err := m.spend(); err != nil {
		return false, err
	}
	return m.Database.QueryRow(ctx, c, dest, stmt, args...)
}

func (m *crashingDB) QueryRows(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) error {
	if err := m.spend(); err != nil {
		return err
	}
	return m.Database.QueryRows(ctx, c, page, row, stmt, args...)
}

func (m *crashingDB) QueryCountingTombstones(ctx context.Context, c gocql.Consistency, page int, row func(gocql.Scanner) error, stmt string, args ...any) (int, error) {
	if err := m.spend(); err != nil {
		return 0, err
	}
	return m.Database.QueryCountingTombstones(ctx, c, page, row, stmt, args...)
}

func (m *crashingDB) Exec(ctx context.Context, stmt string, args ...any) error {
	if err := m.spend(); err != nil {
		return err
	}
	return m.Database.Exec(ctx, stmt, args...)
}

func (m *crashingDB) ExecBatch(ctx context.Context, batch []gocql.BatchEntry) error {
	if err := m.spend(); err != nil {
		return err
	}
	return m.Database.ExecBatch(ctx, batch)
}

func (m *crashingDB) CAS(ctx context.Context, batch ...gocql.BatchEntry) (bool, error) {
	if err := m.spend(); err != nil {
		return false, fmt.Errorf("%w: %w", cql.ErrNotApplied, err)
	}
	return m.Database.CAS(ctx, batch...)
}

// replacements are the kinds of replacement that tests interrupt. Each replaces shards of a
// bucket that was split at "f" and "k".
var replacements = map[string]func(context.Context, *gateway, meta.BucketID) error{
	"split":   func(ctx context.Context, s *gateway, b meta.BucketID) error { return s.split(ctx, b, "a", "c") },
	"rewrite": func(ctx context.Context, s *gateway, b meta.BucketID) error { return replaceAt(ctx, s, b, "", "g") },
	"merge": func(ctx context.Context, s *gateway, b meta.BucketID) error {
		return replaceAt(ctx, s, b, "", "a", "f", "k")
	},
	"in-place split": func(ctx context.Context, s *gateway, b meta.BucketID) error { return replaceAt(ctx, s, b, "h", "g") },
	"merge, and split the last in place": func(ctx context.Context, s *gateway, b meta.BucketID) error {
		return replaceAt(ctx, s, b, "m", "a", "f", "k")
	},
	"two in-place splits": func(ctx context.Context, s *gateway, b meta.BucketID) error {
		if err := replaceAt(ctx, s, b, "h", "g"); err != nil {
			return err
		}
		return replaceAt(ctx, s, b, "i", "g", "h")
	},
	"in-place split, and rewrite": func(ctx context.Context, s *gateway, b meta.BucketID) error {
		if err := replaceAt(ctx, s, b, "h", "g"); err != nil {
			return err
		}
		return replaceAt(ctx, s, b, "", "h")
	},
}

// replaceAt replaces the shards of keys by one. The last is split in place at a key.
func replaceAt(ctx context.Context, s *gateway, b meta.BucketID, at string, keys ...string) error {
	var run []shardRange
	for _, key := range keys {
		r, _, err := s.leaf(ctx, b, key)
		if err != nil {
			return err
		}
		run = append(run, r)
	}
	return s.replace(ctx, b, run, at)
}

// TestKilledReplacementLosesNothing interrupts the replacement of shards after each of its
// statements. Other gateways list and write immediately; then one of them finishes it.
func TestKilledReplacementLosesNothing(t *testing.T) {
	for name, replacement := range replacements {
		for statements, killed := 0, true; killed; statements++ {
			t.Run(fmt.Sprintf("%s/%d", name, statements), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					db := newHistoryDB(uint64(statements))
					db.NoCrashes = true
					open := func(db cql.Database, o Options) *gateway { return newGateway(cqltest.Default(db), o) }
					killed = killReplacement(t, db, open, db.bucket, replacement, statements)
				})
			})
		}
	}
}

// TestKilledReplacementLosesNothingOnCassandra does the same at some of the steps, on a
// real database.
func TestKilledReplacementLosesNothingOnCassandra(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, c, keyspace)
	first := openGateway(t, session, keyspace, Options{})
	open := func(db cql.Database, o Options) *gateway { return newGateway(cqltest.Default(db), o) }
	for name, replacement := range replacements {
		for statements, killed := 4, true; killed; statements += 6 {
			t.Run(fmt.Sprintf("%s/%d", name, statements), func(t *testing.T) {
				b := newBucket(t, first, fmt.Sprintf("%s-%d", name, statements))
				killed = killReplacement(t, first.Database, open, b.ID, replacement, statements)
			})
		}
	}
}

// killReplacement interrupts replacement after some statements, and reports whether it was
// incomplete.
func killReplacement(t *testing.T, db cql.Database, open func(cql.Database, Options) *gateway, b meta.BucketID, replacement func(context.Context, *gateway, meta.BucketID) error, statements int) bool {
	t.Helper()
	stores := []*gateway{open(db, Options{})}
	defer func() {
		for _, s := range stores {
			must(t, s.Close())
		}
	}()
	another := func(db cql.Database, o Options) *gateway {
		s := open(db, o)
		stores = append(stores, s)
		return s
	}
	want := threeShards(t, stores[0], b)
	m := &crashingDB{Database: db}
	m.left.Store(int64(statements))
	victim := another(m, Options{})
	victim.copyPage = 2
	err := replacement(t.Context(), victim, b)
	if err != nil && !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	other := another(db, Options{FinishAfter: time.Nanosecond})
	sameStrings(t, "listing after the crash", list(t, other, b, 3), want)
	want = disturb(t, other, b, want)
	sameStrings(t, "listing after writes", list(t, other, b, 3), want)
	must(t, other.Flush(t.Context()))
	sameStrings(t, "listing after their asynchronous part", list(t, other, b, 3), want)
	sameStrings(t, "listing that has it finished", list(t, other, b, 3), want)
	must(t, other.maintainer.waitIdle(t.Context()))
	// Such a listing may report other shards to replace, which the next listing that
	// meets them finishes.
	for round := 0; ; round++ {
		sameStrings(t, "listing of the finished", list(t, other, b, 3), want)
		must(t, other.maintainer.waitIdle(t.Context()))
		left := uncopiedShards(t, other, b)
		if len(left) == 0 {
			break
		}
		if round == 20 {
			t.Fatalf("never finished: the shards from %q on", left)
		}
	}
	sameStrings(t, "listing of a fresh gateway", list(t, another(db, Options{}), b, 3), want)
	return err != nil
}

// threeShards fills a bucket, splits it at "f" and "k", and returns the expected listing.
func threeShards(t *testing.T, s *gateway, b meta.BucketID) (shown []string) {
	t.Helper()
	var keys []string
	for key := 'a'; key <= 'o'; key++ {
		keys = append(keys, string(key))
		shown = append(shown, string(key)+"=1")
	}
	concurrently(t, keys, func(_ int, key string) error { return put(t.Context(), s, b, key, "1") })
	must(t, s.Flush(t.Context()))
	must(t, s.split(t.Context(), b, "a", "f"))
	must(t, s.split(t.Context(), b, "f", "k"))
	return shown
}

// disturb adds, overwrites and removes keys of each shard.
func disturb(t *testing.T, s *gateway, b meta.BucketID, shown []string) []string {
	t.Helper()
	gone, over := []string{"b", "h", "m"}, []string{"a", "e", "f", "j", "o"}
	concurrently(t, append(slices.Clone(gone), over...), func(_ int, key string) error {
		if slices.Contains(over, key) {
			return put(t.Context(), s, b, key, "3")
		}
		return errors.Join(remove(t.Context(), s, b, key), put(t.Context(), s, b, key+"2", "2"))
	})
	for i := range shown {
		switch key := shown[i][:1]; {
		case slices.Contains(gone, key):
			shown[i] = key + "2=2"
		case slices.Contains(over, key):
			shown[i] = key + "=3"
		}
	}
	return shown
}

// uncopiedShards returns where the shards begin whose replacement is incomplete.
func uncopiedShards(t *testing.T, s *gateway, b meta.BucketID) (left []string) {
	t.Helper()
	for key := ""; ; {
		r, seal, err := s.leaf(t.Context(), b, key)
		must(t, err)
		if seal.sealed {
			left = append(left, r.low)
		}
		if key = r.high; key == "" {
			return left
		}
	}
}

// shardBounds returns the bounds of a bucket's shards.
func shardBounds(t testing.TB, s *gateway, b meta.BucketID) (bounds []string) {
	t.Helper()
	for key := ""; ; {
		r, _, err := s.leaf(t.Context(), b, key)
		must(t, err)
		if key = r.high; key == "" {
			return bounds
		}
		bounds = append(bounds, key)
	}
}

// concurrently calls f for all keys concurrently.
func concurrently(t testing.TB, keys []string, f func(i int, key string) error) {
	t.Helper()
	errs := make([]error, len(keys))
	var done sync.WaitGroup
	for i, key := range keys {
		done.Go(func() { errs[i] = f(i, key) })
	}
	done.Wait()
	must(t, errors.Join(errs...))
}

// inBatchesOfTen calls f for ten keys at a time, and waits for the asynchronous work of each
// batch.
func inBatchesOfTen(t testing.TB, stores []*gateway, keys []string, f func(s *gateway, key string) error) {
	t.Helper()
	for some := range slices.Chunk(keys, 10) {
		concurrently(t, some, func(i int, key string) error { return f(stores[i%len(stores)], key) })
		waitIdle(t, stores...)
	}
}

func numbered(n int, key func(i int) string) (keys []string) {
	for i := range n {
		keys = append(keys, key(i))
	}
	return keys
}

// waitIdle waits until no store has asynchronous work.
func waitIdle(t testing.TB, stores ...*gateway) {
	t.Helper()
	for _, s := range stores {
		must(t, s.Flush(t.Context()))
		must(t, s.maintainer.waitIdle(t.Context()))
		must(t, s.lateWrites.waitIdle(t.Context()))
	}
}

func TestGrowingShardsAreSplit(t *testing.T) {
	stores, b := gateways(t, 2, Options{ShardRows: 40})
	keys := numbered(400, func(i int) string { return fmt.Sprintf("%03d", i*7%400) })
	inBatchesOfTen(t, stores, keys, func(s *gateway, key string) error { return put(t.Context(), s, b.ID, key, "1") })
	bounds := shardBounds(t, stores[0], b.ID)
	if len(bounds) < 9 || len(bounds) > 25 {
		t.Errorf("400 keys at 40 a shard are in %d shards: %v", len(bounds)+1, bounds)
	}
	for _, s := range stores {
		sameStrings(t, "listing", list(t, s, b.ID, 33), numbered(400, func(i int) string { return fmt.Sprintf("%03d=1", i) }))
	}
}

func TestKeysInOrderFillTheirShards(t *testing.T) {
	for name, key := range map[string]func(i int) string{
		"up":   func(i int) string { return fmt.Sprintf("%03d", i) },
		"down": func(i int) string { return fmt.Sprintf("%03d", 999-i) },
	} {
		t.Run(name, func(t *testing.T) {
			stores, b := gateways(t, 1, Options{ShardRows: 100})
			inBatchesOfTen(t, stores, numbered(600, key), func(s *gateway, key string) error { return put(t.Context(), s, b.ID, key, "1") })
			// With splits in the middle it would be 12.
			if bounds := shardBounds(t, stores[0], b.ID); len(bounds) < 4 || len(bounds) > 7 {
				t.Errorf("600 keys in order at 100 a shard are in %d shards: %v", len(bounds)+1, bounds)
			}
		})
	}
}

func TestEmptiedRangeBecomesOneShard(t *testing.T) {
	stores, b := gateways(t, 2, Options{ShardRows: 40})
	s, other := stores[0], stores[1]
	keys := numbered(400, func(i int) string { return fmt.Sprintf("%03d", i) })
	inBatchesOfTen(t, stores[:1], keys, func(s *gateway, key string) error { return put(t.Context(), s, b.ID, key, "1") })
	before := len(shardBounds(t, s, b.ID))
	inBatchesOfTen(t, stores[:1], keys[:300], func(s *gateway, key string) error { return remove(t.Context(), s, b.ID, key) })
	bounds := shardBounds(t, other, b.ID)
	if len(bounds) > before/2 || len(bounds) > 0 && bounds[0] < "250" {
		t.Errorf("shards end at %v after the first 300 of 400 keys were removed", bounds)
	}
	sameStrings(t, "listing", list(t, other, b.ID, 33), numbered(100, func(i int) string { return fmt.Sprintf("%03d=1", 300+i) }))
}

func TestNewGatewayFindsAShardInFewReads(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	var n cqltest.StatementCount
	session := cqltest.NewSession(t, c, keyspace, n.Observe)
	s := openGateway(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	keys := numbered(50, func(i int) string { return fmt.Sprintf("%02d", i) })
	concurrently(t, keys, func(_ int, key string) error { return put(t.Context(), s, b.ID, key, "1") })
	must(t, s.Flush(t.Context()))
	for _, key := range keys[1:] {
		must(t, s.split(t.Context(), b.ID, key, key))
	}
	for _, what := range []func(ctx context.Context, s *gateway) error{
		func(ctx context.Context, s *gateway) error {
			_, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{From: "49", Limit: 10})
			return err
		},
		func(ctx context.Context, s *gateway) error { return put(ctx, s, b.ID, "49", "2") },
	} {
		reads := n.MostReads(t.Context(), func(ctx context.Context) { must(t, what(ctx, openGateway(t, session, keyspace, Options{}))) })
		if reads > 8 {
			t.Errorf("a fresh gateway reads %d times to find the last of 50 shards", reads)
		}
	}
	must(t, session.Query("TRUNCATE "+keyspace+".listing_map").Exec())
	fresh := openGateway(t, session, keyspace, Options{})
	if got := list(t, fresh, b.ID, 7); len(got) != 50 || !strings.HasPrefix(got[49], "49=") {
		t.Errorf("without the map a listing shows %d keys: %v", len(got), got)
	}
}

// A listing jumps over the shards of a common prefix: the key after it is one read away,
// wherever it is.
func TestJumpOverShardsIsOneRead(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	var n cqltest.StatementCount
	session := cqltest.NewSession(t, c, keyspace, n.Observe)
	s := openGateway(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	keys := numbered(20, func(i int) string { return fmt.Sprintf("folder/%02d", i) })
	concurrently(t, append(keys, "next"), func(_ int, key string) error { return put(t.Context(), s, b.ID, key, "1") })
	must(t, s.Flush(t.Context()))
	for _, key := range keys[1:] {
		must(t, s.split(t.Context(), b.ID, key, key))
	}
	list(t, s, b.ID, 1) // shards that were not observed recently cost reads of their seals
	reads := n.MostReads(t.Context(), func(ctx context.Context) {
		for _, from := range []string{"", "folder0"} {
			entries, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{From: from, Limit: 1})
			must(t, err)
			if len(entries) != 1 {
				t.Fatalf("%d keys from %q on", len(entries), from)
			}
		}
	})
	// The first page asks for two keys, and a shard has one.
	if reads > 3 {
		t.Errorf("%d reads for a folder of 20 shards and the key after it", reads)
	}
}

func TestPageWithManyTombstonesHasItsShardReplaced(t *testing.T) {
	stores, b := gateways(t, 2, Options{ShardRows: 1 << 20}) // such that deletions are never checked
	changeRange(t, stores[0], b.ID, 0, 1600, true)
	changeRange(t, stores[0], b.ID, 0, 1500, false)
	waitIdle(t, stores...)
	if r, _, err := stores[0].leaf(t.Context(), b.ID, ""); err != nil || r.shard != rootShard {
		t.Fatalf("the shard was replaced before a listing, %v", err)
	}
	reader := stores[1]
	if got := list(t, reader, b.ID, 1000); len(got) != 100 {
		t.Fatalf("%d of 100 keys are listed", len(got))
	}
	waitIdle(t, reader)
	if r, _, err := reader.leaf(t.Context(), b.ID, ""); err != nil || r.shard == rootShard {
		t.Errorf("the shard with 1500 tombstones was not replaced, %v", err)
	}
	if got := list(t, stores[0], b.ID, 1000); len(got) != 100 {
		t.Errorf("%d of 100 keys are listed after that", len(got))
	}
}
