package listing

import (
	"context"
	"fmt"
	"testing"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

func TestShardIDNamesItsPartition(t *testing.T) {
	for what, first := range map[string]meta.ID{"root": rootShard, "fresh": newShardID()} {
		shard := first
		for n := range 300 {
			if inPlaceSplits(shard) != n || partitionOf(shard) != first {
				t.Fatalf("%s shard %x: %d cuts, partition %x; want %d and %x", what, shard[:], inPlaceSplits(shard), partitionOf(shard), n, first[:])
			}
			next, ok := successor(shard)
			if !ok || next == shard {
				t.Fatalf("%s shard %x cannot be split in place", what, shard[:])
			}
			shard = next
		}
		if last, ok := successor(withInPlaceSplits(first, maxInPlaceSplits)); ok {
			t.Errorf("%s shard can be split in place to %x", what, last[:])
		}
	}
	random := meta.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	if _, ok := successor(random); ok || partitionOf(random) != random {
		t.Errorf("a shard with a random id supports in-place splits, or has its rows in %x", partitionOf(random))
	}
}

// A page of a shard after an in-place split is one read, like that of any shard.
func TestPageAfterInPlaceSplitIsOneRead(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	var n cqltest.StatementCount
	session := cqltest.NewSession(t, c, keyspace, n.Observe)
	s := openGateway(t, session, keyspace, Options{})
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
		sameStrings(t, "listing after an in-place split at "+at, list(t, s, b.ID, 50), want)
	}
	s.shards.touch(b.ID, s.shards.rangeOf(b.ID, "11").shard)
	reads := n.MostReads(t.Context(), func(ctx context.Context) {
		entries, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{From: "11", Limit: 50})
		must(t, err)
		if len(entries) != 9 {
			t.Errorf("a page of %d keys", len(entries))
		}
	})
	if reads != 1 {
		t.Errorf("%d reads for a page", reads)
	}
	fresh := openGateway(t, session, keyspace, Options{})
	sameStrings(t, "listing of a fresh gateway", list(t, fresh, b.ID, 7), want)
	must(t, put(t.Context(), fresh, b.ID, "03", "1"))
	must(t, remove(t.Context(), fresh, b.ID, "12"))
	must(t, fresh.Flush(t.Context()))
	sameStrings(t, "listing after changes", list(t, s, b.ID, 7), append(append([]string{}, want[:12]...), want[13:]...))
	must(t, replaceAt(t.Context(), s, b.ID, "", "11"))
	sameStrings(t, "listing after a rewrite", list(t, s, b.ID, 7), append(append([]string{}, want[:12]...), want[13:]...))
}

// Deleting keys from the start of a bucket leaves no tombstones before its first key, and
// no pending rows, wherever the shards end.
func TestDeletionsAtTheStartLeaveNoTombstones(t *testing.T) {
	stores, b := gateways(t, 2, Options{ShardRows: 1000})
	changeRange(t, stores[0], b.ID, 0, 3000, true)
	waitIdle(t, stores...)
	changeRange(t, stores[0], b.ID, 0, 2000, false)
	waitIdle(t, stores[0])
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
	if n := deletedBefore(t, stores[0], b.ID, folderKey(2000)); n > 3*stores[0].maintainer.tombstoneThreshold {
		t.Errorf("%d of 2000 deleted keys are before the first key", n)
	}
	if bounds := shardBounds(t, stores[0], b.ID); len(bounds) > 6 {
		t.Errorf("the bucket has %d shards, which end at %v", len(bounds)+1, bounds)
	}
}

// deletedBefore counts the keys below key that were deleted and not split off, as far as the
// store knows.
func deletedBefore(t *testing.T, s *gateway, b meta.BucketID, key string) (n int) {
	t.Helper()
	for low := ""; ; {
		r, _, err := s.leaf(t.Context(), b, low)
		must(t, err)
		n += deletedFrom(s, b, r, key)
		if low = r.high; r.covers(key) {
			return n
		}
	}
}

func deletedFrom(s *gateway, b meta.BucketID, r shardRange, below string) (n int) {
	s.maintainer.mu.Lock()
	defer s.maintainer.mu.Unlock()
	if c := s.maintainer.stats[shardName{b, r.shard}]; c != nil {
		for _, key := range c.deletedKeys {
			if key < below {
				n++
			}
		}
	}
	return n
}

// A deletion in a shard whose parent is not copied is resolved without reading the head,
// however long the copy takes.
func TestDeletionUnderUncopiedParentNeedsNoHeadRead(t *testing.T) {
	c, keyspace := cqltest.NewKeyspace(t)
	var n cqltest.StatementCount
	session := cqltest.NewSession(t, c, keyspace, n.Observe)
	s := openGateway(t, session, keyspace, Options{})
	b := newBucket(t, s, "bucket")
	keys := numbered(10, func(i int) string { return fmt.Sprintf("%02d", i) })
	for _, key := range keys {
		must(t, put(t.Context(), s, b.ID, key, "1"))
	}
	must(t, s.Flush(t.Context()))
	seal, err := s.seal(t.Context(), b.ID, rootShard, newSeal("05", newShardID(), newShardID()))
	must(t, err)
	for _, key := range keys[2:8] {
		must(t, remove(t.Context(), s, b.ID, key))
	}
	must(t, s.Flush(t.Context()))
	want := []string{"00=1", "01=1", "08=1", "09=1"}
	sameStrings(t, "listing before the copy", list(t, s, b.ID, 50), want)
	reads := n.MostReads(t.Context(), func(ctx context.Context) {
		entries, _, err := s.Scan(ctx, b.ID, meta.ScanOptions{Limit: 50})
		must(t, err)
		if len(entries) != len(want) {
			t.Errorf("a page of %d keys", len(entries))
		}
	})
	if reads > 8 {
		t.Errorf("%d reads for a page under an uncopied parent", reads)
	}
	must(t, s.copyShard(t.Context(), b.ID, shardRange{shard: rootShard}, seal))
	sameStrings(t, "listing after the copy", list(t, s, b.ID, 50), want)
	if empty, err := s.Empty(t.Context(), b.ID); err != nil || empty {
		t.Errorf("a bucket of four keys is empty: %v, %v", empty, err)
	}
}

// The shards of a bucket may have been split, split in place and merged before it is
// removed.
func TestDroppedListingLeavesNoPartition(t *testing.T) {
	stores, b := gateways(t, 2, Options{})
	s := stores[0]
	threeShards(t, s, b.ID)
	for _, key := range []string{"a", "b", "c", "k", "l"} {
		must(t, remove(t.Context(), s, b.ID, key))
	}
	must(t, s.Flush(t.Context()))
	var run []shardRange
	for _, key := range []string{"a", "f"} {
		r, _, err := s.leaf(t.Context(), b.ID, key)
		must(t, err)
		run = append(run, r)
	}
	must(t, s.replace(t.Context(), b.ID, run, ""))
	r, _, err := s.leaf(t.Context(), b.ID, "k")
	must(t, err)
	must(t, s.replace(t.Context(), b.ID, []shardRange{r}, "m")) // an in-place split
	waitIdle(t, stores...)
	parts := func() (n int) {
		seen := map[meta.ListingPart]bool{}
		must(t, s.WalkListings(t.Context(), meta.Share{Of: 1}, func(p meta.ListingPart) error {
			if p.Bucket == b.ID {
				seen[p] = true
			}
			return nil
		}))
		return len(seen)
	}
	// The root, the two of each split, and the one that replaced two; the part that was
	// split off has no rows.
	if n := parts(); n != 6 {
		t.Errorf("the listing is in %d partitions, want 6", n)
	}
	must(t, stores[1].DropListing(t.Context(), meta.ListingPart{Bucket: b.ID}))
	if n := parts(); n != 0 {
		t.Errorf("%d partitions are left", n)
	}
	must(t, stores[1].DropListing(t.Context(), meta.ListingPart{Bucket: b.ID, Part: newShardID()}))
}
