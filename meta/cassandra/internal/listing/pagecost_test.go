package listing

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

var (
	pageKeys   = flag.Int("page-keys", 0, "how many keys the larger bucket of TestPageCost has; 0 leaves it out")
	pageRandom = flag.Bool("page-random", false, "let TestPageCost write and delete the keys in random order")
)

const (
	smallBucket = 10_000
	perFolder   = 1000
)

// TestPageCost measures pages of a small and a large bucket alternately, so that other load
// of the machine slows both: pages of 1,000 keys, and pages of 8 common prefixes as package
// store reads them; then the first pages after the first third of the keys was deleted,
// through the gateway that deleted them and through another one. It fails only if a page is
// wrong: its results are the figures in the log.
//
//	go test ./meta/cassandra/internal/listing -run PageCost -page-keys 1000000 -timeout 3h -v
func TestPageCost(t *testing.T) {
	if *pageKeys == 0 {
		t.Skip("a measurement: give -page-keys")
	}
	c, keyspace := cqltest.NewKeyspace(t)
	session := cqltest.NewSession(t, c, keyspace)
	s, other := openGateway(t, session, keyspace, Options{}), openGateway(t, session, keyspace, Options{})
	p := pages{t: t, small: newBucket(t, s, "small").ID, large: newBucket(t, s, "large").ID, middle: folderKey(*pageKeys / 2)}
	began := time.Now()
	changeRange(t, s, p.small, 0, smallBucket, true)
	changeRange(t, s, p.large, 0, *pageKeys, true)
	waitIdle(t, s)
	t.Logf("filled in %v; %d shards", time.Since(began).Round(time.Second), len(shardBounds(t, s, p.large))+1)
	p.compare(s, "")
	p.compare(other, ", another gateway")
	gone := *pageKeys * 3 / 10
	began = time.Now()
	changeRange(t, s, p.large, 0, gone, false)
	must(t, s.Flush(t.Context()))
	t.Logf("%d keys deleted at the head in %v", gone, time.Since(began).Round(time.Second))
	for range 5 {
		began = time.Now()
		readKeys(t, s, p.large, "")
		t.Logf("the first page right after: %v", time.Since(began).Round(100*time.Microsecond))
	}
	began = time.Now()
	readKeys(t, other, p.large, "")
	t.Logf("the first page of another gateway: %v", time.Since(began).Round(100*time.Microsecond))
	p.compare(s, " right after the deletions")
	p.compare(other, " right after, another gateway")
	waitIdle(t, s, other)
	t.Logf("%d shards", len(shardBounds(t, s, p.large))+1)
	p.compare(s, " after the deletions")
}

// pages are the two buckets that are compared.
type pages struct {
	t            *testing.T
	small, large meta.BucketID
	middle       string
}

func (p *pages) compare(s *gateway, when string) {
	t := p.t
	t.Helper()
	comparePages(t, "1,000 keys at the head"+when, func() { readKeys(t, s, p.small, "") }, func() { readKeys(t, s, p.large, "") })
	comparePages(t, "1,000 keys in the middle"+when, func() { readKeys(t, s, p.small, folderKey(smallBucket/2)) }, func() { readKeys(t, s, p.large, p.middle) })
	comparePages(t, "8 prefixes at the head"+when, func() { readPrefixes(t, s, p.small, "") }, func() { readPrefixes(t, s, p.large, "") })
}

func folderKey(i int) string { return fmt.Sprintf("logs/%06d/%04d", i/perFolder, i%perFolder) }

// changeRange puts or deletes the keys from low on, below high.
func changeRange(t *testing.T, s *gateway, bucket meta.BucketID, low, high int, put bool) {
	t.Helper()
	keys := numbered(high-low, func(i int) string { return folderKey(low + i) })
	if *pageRandom {
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for some := range slices.Chunk(keys, 100) {
		g.Go(func() error {
			return retryUnavailable(ctx, func() error { return changeMany(ctx, s, bucket, some, put) })
		})
	}
	must(t, g.Wait())
}

func readKeys(t *testing.T, s *gateway, bucket meta.BucketID, from string) {
	t.Helper()
	entries, more, err := s.Scan(t.Context(), bucket, meta.ScanOptions{From: from, Limit: 1000})
	must(t, err)
	if len(entries) != 1000 || !more {
		t.Fatalf("a page has %d keys, more %v", len(entries), more)
	}
}

// readPrefixes reads the next 8 common prefixes: one step of a few rows each.
func readPrefixes(t *testing.T, s *gateway, bucket meta.BucketID, from string) {
	t.Helper()
	for range 8 {
		entries, _, err := s.Scan(t.Context(), bucket, meta.ScanOptions{From: from, Limit: 8})
		must(t, err)
		if len(entries) == 0 {
			t.Fatalf("there is nothing after %q", from)
		}
		from = entries[0].Key[:len("logs/000000")] + "0" // the successor of "/"
	}
}

// comparePages measures two kinds of pages alternately.
func comparePages(t *testing.T, what string, small, large func()) {
	t.Helper()
	const rounds = 44
	var times [2][]time.Duration
	for i := range rounds {
		for side, f := range []func(){small, large} {
			began := time.Now()
			f()
			if i >= rounds/10 { // the first rounds warm up
				times[side] = append(times[side], time.Since(began))
			}
		}
	}
	at := func(side int, part float64) time.Duration {
		slices.SortFunc(times[side], cmp.Compare[time.Duration])
		return times[side][int(part*float64(len(times[side])))]
	}
	t.Logf("%-56s quartile %v and %v, ratio %.2f; median %v and %v, ratio %.2f", what,
		at(0, .25).Round(10*time.Microsecond), at(1, .25).Round(10*time.Microsecond), float64(at(1, .25))/float64(at(0, .25)),
		at(0, .5).Round(10*time.Microsecond), at(1, .5).Round(10*time.Microsecond), float64(at(1, .5))/float64(at(0, .5)))
}
