package cassandra

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

var pageKeys = flag.Int("page-keys", 0, "how many keys the larger bucket of TestPageCost has; 0 leaves it out")

const (
	smallBucket = 10_000
	perFolder   = 1000
)

// TestPageCost measures pages of a small bucket beside those of a large one,
// in turns, so that whatever else the machine does slows both: pages of 1,000
// keys, and pages of 8 common prefixes as package store walks them; then the
// first pages after a third of the keys were deleted at the head. It fails
// only if a page is wrong: the figures are for whoever reads them.
//
//	go test ./meta/cassandra -run PageCost -page-keys 1000000 -timeout 3h -v
func TestPageCost(t *testing.T) {
	if *pageKeys == 0 {
		t.Skip("a measurement: give -page-keys")
	}
	c, keyspace := newKeyspace(t)
	s := newStore(t, newSession(t, c, keyspace), keyspace, Options{})
	small, large := newBucket(t, s, "small").ID, newBucket(t, s, "large").ID
	began := time.Now()
	changeRange(t, s, small, 0, smallBucket, true)
	changeRange(t, s, large, 0, *pageKeys, true)
	settled(t, s)
	t.Logf("filled in %v; %d shards", time.Since(began).Round(time.Second), len(regionsOf(t, s, large))+1)
	middle := folderKey(*pageKeys / 2)
	comparePages(t, "page of 1,000 keys at the head", func() { readKeys(t, s, small, "") }, func() { readKeys(t, s, large, "") })
	comparePages(t, "page of 1,000 keys in the middle", func() { readKeys(t, s, small, folderKey(smallBucket/2)) }, func() { readKeys(t, s, large, middle) })
	comparePages(t, "page of 8 prefixes", func() { readPrefixes(t, s, small, "") }, func() { readPrefixes(t, s, large, middle) })
	gone := *pageKeys * 3 / 10
	began = time.Now()
	changeRange(t, s, large, 0, gone, false)
	must(t, s.Flush(t.Context()))
	t.Logf("%d keys deleted at the head in %v", gone, time.Since(began).Round(time.Second))
	for range 5 {
		began = time.Now()
		readKeys(t, s, large, "")
		t.Logf("the first page right after: %v", time.Since(began).Round(100*time.Microsecond))
	}
	comparePages(t, "page of 1,000 keys right after the deletions", func() { readKeys(t, s, small, "") }, func() { readKeys(t, s, large, "") })
	settled(t, s)
	t.Logf("%d shards", len(regionsOf(t, s, large))+1)
	comparePages(t, "page of 1,000 keys after the deletions", func() { readKeys(t, s, small, "") }, func() { readKeys(t, s, large, "") })
	comparePages(t, "page of 8 prefixes after the deletions", func() { readPrefixes(t, s, small, "") }, func() { readPrefixes(t, s, large, "") })
}

func folderKey(i int) string { return fmt.Sprintf("logs/%06d/%04d", i/perFolder, i%perFolder) }

// changeRange puts or deletes the keys from low on, below high.
func changeRange(t *testing.T, s *Store, bucket meta.BucketID, low, high int, put bool) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(16)
	for from := low; from < high; from += 100 {
		g.Go(func() error {
			keys := numbered(min(100, high-from), func(i int) string { return folderKey(from + i) })
			return insist(ctx, func() error { return changeMany(ctx, s, bucket, keys, put) })
		})
	}
	must(t, g.Wait())
}

func readKeys(t *testing.T, s *Store, bucket meta.BucketID, from string) {
	t.Helper()
	entries, more, err := s.Scan(t.Context(), bucket, from, "", 1000)
	must(t, err)
	if len(entries) != 1000 || !more {
		t.Fatalf("a page has %d keys, more %v", len(entries), more)
	}
}

// readPrefixes finds the next 8 common prefixes: one step each, of a few rows.
func readPrefixes(t *testing.T, s *Store, bucket meta.BucketID, from string) {
	t.Helper()
	for range 8 {
		entries, _, err := s.Scan(t.Context(), bucket, from, "", 8)
		must(t, err)
		if len(entries) == 0 {
			t.Fatalf("there is nothing after %q", from)
		}
		from = entries[0].Key[:len("logs/000000")] + "0" // the successor of "/"
	}
}

// comparePages measures two kinds of pages in turns.
func comparePages(t *testing.T, what string, small, large func()) {
	t.Helper()
	const rounds = 60
	var times [2][]time.Duration
	for i := range rounds {
		for side, f := range []func(){small, large} {
			began := time.Now()
			f()
			if i >= rounds/10 { // the first ones warm up
				times[side] = append(times[side], time.Since(began))
			}
		}
	}
	at := func(side int, part float64) time.Duration {
		slices.SortFunc(times[side], cmp.Compare[time.Duration])
		return times[side][int(part*float64(len(times[side])))]
	}
	t.Logf("%-46s quartile %v and %v, ratio %.2f; median %v and %v, ratio %.2f", what,
		at(0, .25).Round(10*time.Microsecond), at(1, .25).Round(10*time.Microsecond), float64(at(1, .25))/float64(at(0, .25)),
		at(0, .5).Round(10*time.Microsecond), at(1, .5).Round(10*time.Microsecond), float64(at(1, .5))/float64(at(0, .5)))
}
