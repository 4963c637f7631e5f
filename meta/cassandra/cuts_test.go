package cassandra

import (
	"context"
	"fmt"
	"testing"

	"github.com/gocql/gocql"

	"github.com/pithos/pithos/meta"
)

func TestTheNameOfAShardSaysWhereItsRowsAre(t *testing.T) {
	for what, first := range map[string]meta.ID{"root": rootShard, "fresh": newShard()} {
		shard := first
		for n := range 300 {
			if cutsOf(shard) != n || partitionOf(shard) != first {
				t.Fatalf("%s shard %x: %d cuts, partition %x; want %d and %x", what, shard[:], cutsOf(shard), partitionOf(shard), n, first[:])
			}
			next, ok := remainder(shard)
			if !ok || next == shard {
				t.Fatalf("%s shard %x cannot be cut", what, shard[:])
			}
			shard = next
		}
		if last, ok := remainder(afterCuts(first, maxCuts)); ok {
			t.Errorf("%s shard is cut to %x", what, last[:])
		}
	}
	random := meta.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	if _, ok := remainder(random); ok || partitionOf(random) != random {
		t.Errorf("a shard with a name of random bytes may be cut, or has its rows in %x", partitionOf(random))
	}
}

// A page of what is left after a cut is one read, as that of any shard.
func TestAPageOfAShardThatWasCutIsOneRead(t *testing.T) {
	c, keyspace := newKeyspace(t)
	var n statementCount
	session := newSession(t, c, keyspace, func(cfg *gocql.ClusterConfig) { cfg.QueryObserver, cfg.BatchObserver = &n, &n })
	s := newStore(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	var want []string
	keys := numbered(20, func(i int) string { return fmt.Sprintf("%02d", i) })
	for _, key := range keys {
		must(t, put(t.Context(), s, b.ID, key, "1"))
		want = append(want, key+"=1")
	}
	must(t, s.Flush(t.Context()))
	for _, at := range []string{"05", "07", "11"} {
		must(t, replaceAt(t.Context(), s, b.ID, at, at))
		same(t, "listing after a cut at "+at, list(t, s, b.ID, 50), want)
	}
	s.shards.saw(b.ID, s.shards.first(b.ID, "11").shard)
	reads := n.mostReads(t.Context(), func(ctx context.Context) {
		entries, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{From: "11", Limit: 50})
		must(t, err)
		if len(entries) != 9 {
			t.Errorf("a page of %d keys", len(entries))
		}
	})
	if reads != 1 {
		t.Errorf("%d reads for a page", reads)
	}
	fresh := newStore(t, session, keyspace, Options{})
	same(t, "listing of a fresh gateway", list(t, fresh, b.ID, 7), want)
	must(t, put(t.Context(), fresh, b.ID, "03", "1"))
	must(t, remove(t.Context(), fresh, b.ID, "12"))
	must(t, fresh.Flush(t.Context()))
	same(t, "listing after changes", list(t, s, b.ID, 7), append(append([]string{}, want[:12]...), want[13:]...))
	must(t, replaceAt(t.Context(), s, b.ID, "", "11"))
	same(t, "listing after what is left was written anew", list(t, s, b.ID, 7), append(append([]string{}, want[:12]...), want[13:]...))
}

// Whoever deletes a bucket from its head leaves no tombstones before its first
// key, and no pending rows, wherever the shards end.
func TestWhatIsDeletedAtTheHeadIsCutOff(t *testing.T) {
	stores, b := gateways(t, 2, Options{ShardRows: 1000})
	changeRange(t, stores[0], b.ID, 0, 3000, true)
	settled(t, stores...)
	changeRange(t, stores[0], b.ID, 0, 2000, false)
	settled(t, stores[0])
	for i, s := range stores {
		if got := list(t, s, b.ID, 1000); len(got) != 1000 || got[0] != folderKey(2000)+"=0123456789abcdef0123456789abcdef" {
			t.Fatalf("gateway %d lists %d keys", i, len(got))
		}
		p, err := s.readPage(t.Context(), b.ID, "", "", 1000, []int8{visible})
		must(t, err)
		for _, r := range p.rows {
			if r.state != stateLive {
				t.Fatalf("%q is listed in state %d", r.key, r.state)
			}
		}
	}
	if n := deadBefore(t, stores[0], b.ID, folderKey(2000)); n > 3*stores[0].watch.few {
		t.Errorf("%d of 2000 deleted keys are before the first key", n)
	}
	if bounds := regionsOf(t, stores[0], b.ID); len(bounds) > 6 {
		t.Errorf("the bucket has %d shards, which end at %v", len(bounds)+1, bounds)
	}
}

// deadBefore counts the keys below key that were deleted and not cut off, as
// far as the store knows.
func deadBefore(t *testing.T, s *Store, b meta.BucketID, key string) (n int) {
	t.Helper()
	for low := ""; ; {
		r, _, err := s.leaf(t.Context(), b, low)
		must(t, err)
		n += goneFrom(s, b, r, key)
		if low = r.high; r.covers(key) {
			return n
		}
	}
}

func goneFrom(s *Store, b meta.BucketID, r region, below string) (n int) {
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if c := s.watch.counts[shardName{b, r.shard}]; c != nil {
		for _, key := range c.gone {
			if key < below {
				n++
			}
		}
	}
	return n
}

// A deletion in a shard whose parent is not copied is known by itself: no head
// is read for it, however long the copying takes.
func TestADeletionUnderAnUncopiedParentIsKnownByItself(t *testing.T) {
	c, keyspace := newKeyspace(t)
	var n statementCount
	session := newSession(t, c, keyspace, func(cfg *gocql.ClusterConfig) { cfg.QueryObserver, cfg.BatchObserver = &n, &n })
	s := newStore(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	keys := numbered(10, func(i int) string { return fmt.Sprintf("%02d", i) })
	for _, key := range keys {
		must(t, put(t.Context(), s, b.ID, key, "1"))
	}
	must(t, s.Flush(t.Context()))
	seal, err := s.seal(t.Context(), b.ID, rootShard, sealTo("05", newShard(), newShard()))
	must(t, err)
	for _, key := range keys[2:8] {
		must(t, remove(t.Context(), s, b.ID, key))
	}
	must(t, s.Flush(t.Context()))
	want := []string{"00=1", "01=1", "08=1", "09=1"}
	same(t, "listing before the copy", list(t, s, b.ID, 50), want)
	reads := n.mostReads(t.Context(), func(ctx context.Context) {
		entries, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 50})
		must(t, err)
		if len(entries) != len(want) {
			t.Errorf("a page of %d keys", len(entries))
		}
	})
	if reads > 8 {
		t.Errorf("%d reads for a page under an uncopied parent", reads)
	}
	must(t, s.copyShard(t.Context(), b.ID, region{shard: rootShard}, seal))
	same(t, "listing after the copy", list(t, s, b.ID, 50), want)
	if empty, err := s.Empty(t.Context(), b.ID); err != nil || empty {
		t.Errorf("a bucket of four keys is empty: %v, %v", empty, err)
	}
}

// A bucket's shards may have been split, cut and merged before it is removed.
func TestADroppedListingLeavesNoPartition(t *testing.T) {
	stores, b := gateways(t, 2, Options{})
	s := stores[0]
	threeShards(t, s, b.ID)
	for _, key := range []string{"a", "b", "c", "k", "l"} {
		must(t, remove(t.Context(), s, b.ID, key))
	}
	must(t, s.Flush(t.Context()))
	var run []region
	for _, key := range []string{"a", "f"} {
		r, _, err := s.leaf(t.Context(), b.ID, key)
		must(t, err)
		run = append(run, r)
	}
	must(t, s.replace(t.Context(), b.ID, run, ""))
	r, _, err := s.leaf(t.Context(), b.ID, "k")
	must(t, err)
	must(t, s.replace(t.Context(), b.ID, []region{r}, "m")) // a cut
	settled(t, stores...)
	parts := func() (n int) {
		seen := map[meta.ListingPart]bool{}
		must(t, s.Walk(t.Context(), meta.Share{Of: 1}, meta.Visitor{ListingPart: func(p meta.ListingPart) error {
			if p.Bucket == b.ID {
				seen[p] = true
			}
			return nil
		}}))
		return len(seen)
	}
	// The root, the two of each split, and the one that replaced two; what was cut off is empty.
	if n := parts(); n != 6 {
		t.Errorf("the listing is in %d partitions, want 6", n)
	}
	must(t, stores[1].DropListing(t.Context(), meta.ListingPart{Bucket: b.ID}))
	if n := parts(); n != 0 {
		t.Errorf("%d partitions are left", n)
	}
	must(t, stores[1].DropListing(t.Context(), meta.ListingPart{Bucket: b.ID, Part: newShard()}))
}
