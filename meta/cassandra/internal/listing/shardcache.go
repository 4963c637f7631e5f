package listing

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pithos/pithos/meta"
)

// shardCache remembers, for each bucket, the shard at which to begin with a key.
// For writers that is a hint. For readers it stays true: a copied shard stays
// copied.
type shardCache struct {
	mu       sync.RWMutex
	buckets  map[meta.BucketID]*bucketShards
	size     int
	onChange func(meta.BucketID) // called after the cache learned of a seal
}

// bucketShards has the ranges of a bucket, in order and without gaps, each as far
// from the root as is known. uncopied has the seals of shards that were seen
// sealed and not yet copied.
type bucketShards struct {
	ranges       []shardRange
	uncopied     map[meta.ID]seal
	observations map[meta.ID]observation
}

// observation is what is remembered of a shard that was read.
type observation struct {
	at     time.Time // when the shard was known not to be copied
	sparse bool      // it had much less than a page of keys
}

// shardName identifies a shard: a partition of the listing.
type shardName struct{ bucket, shard meta.ID }

// observationTTL is how long a reader relies on an observation: that a shard was
// not copied.
const observationTTL = 30 * time.Second

// maxRanges bounds the memory of the cache: about 150 bytes per range.
const maxRanges = 200_000

// indexOf returns the index of the range that covers key.
func (m *bucketShards) indexOf(key string) int {
	i, exact := slices.BinarySearchFunc(m.ranges, key, func(r shardRange, key string) int { return strings.Compare(r.low, key) })
	if exact {
		return i
	}
	return i - 1 // the first range's low is ""
}

// forBucket returns a bucket's shards, to change them. The lock is held.
func (m *shardCache) forBucket(bucket meta.BucketID) *bucketShards {
	if m.buckets == nil || m.size > maxRanges {
		m.buckets, m.size = map[meta.BucketID]*bucketShards{}, 0
	}
	b := m.buckets[bucket]
	if b == nil {
		b = &bucketShards{ranges: []shardRange{{shard: rootShard}}, uncopied: map[meta.ID]seal{}, observations: map[meta.ID]observation{}}
		m.buckets[bucket] = b
		m.size++
	}
	return b
}

// update stores the seal of a shard on the path to key, and reports whether that
// was new.
func (m *shardCache) update(bucket meta.BucketID, key string, shard meta.ID, s seal) bool {
	news := s.sealed && m.store(bucket, key, shard, s)
	if news && m.onChange != nil {
		m.onChange(bucket)
	}
	return news
}

func (m *shardCache) store(bucket meta.BucketID, key string, shard meta.ID, s seal) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.forBucket(bucket)
	if !s.copied {
		_, known := b.uncopied[shard]
		b.uncopied[shard] = s
		return !known
	}
	delete(b.uncopied, shard)
	delete(b.observations, shard)
	i := b.indexOf(key)
	if b.ranges[i].shard != shard {
		return false
	}
	m.size -= len(b.ranges)
	children := s.children(b.ranges[i])
	b.ranges = slices.Replace(b.ranges, i, i+1, children...)
	b.joinNeighbours(i, len(children))
	m.size += len(b.ranges)
	return true
}

// addRanges stores ranges of the directory.
func (m *shardCache) addRanges(bucket meta.BucketID, facts []shardRange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.forBucket(bucket)
	m.size -= len(b.ranges)
	for _, f := range facts {
		b.addRange(f)
	}
	m.size += len(b.ranges)
}

// addRange replaces the parts of ranges nearer to the root that f covers.
func (b *bucketShards) addRange(f shardRange) {
	first := b.indexOf(f.low)
	last := first
	for last+1 < len(b.ranges) && (f.high == "" || b.ranges[last+1].low < f.high) {
		last++
	}
	var with []shardRange
	for _, r := range b.ranges[first : last+1] {
		if r.gen >= f.gen {
			with = append(with, r)
			continue
		}
		mid := shardRange{shard: f.shard, low: max(r.low, f.low), high: minBound(r.high, f.high), gen: f.gen}
		if r.low < mid.low {
			with = append(with, shardRange{r.shard, r.low, mid.low, r.gen})
		}
		with = append(with, mid)
		if mid.high != "" && mid.high != r.high {
			with = append(with, shardRange{r.shard, mid.high, r.high, r.gen})
		}
	}
	b.ranges = slices.Replace(b.ranges, first, last+1, with...)
	b.joinNeighbours(first, len(with))
}

// joinNeighbours merges adjacent ranges of the same shard, from the one before
// index i to the one after the n ranges there.
func (b *bucketShards) joinNeighbours(i, n int) {
	for at, end := max(i-1, 0), i+n; at < end && at+1 < len(b.ranges); {
		l, r := b.ranges[at], b.ranges[at+1]
		if l.shard != r.shard {
			at++
			continue
		}
		b.ranges[at] = shardRange{l.shard, l.low, r.high, max(l.gen, r.gen)}
		b.ranges = slices.Delete(b.ranges, at+1, at+2)
		end--
	}
}

// rangeOf returns the range at which a reader of key begins.
func (m *shardCache) rangeOf(bucket meta.BucketID, key string) shardRange {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil {
		return shardRange{shard: rootShard}
	}
	return b.ranges[b.indexOf(key)]
}

// rangeBefore returns the range that ends where low begins; false for the first.
func (m *shardCache) rangeBefore(bucket meta.BucketID, low string) (shardRange, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil || low == "" {
		return shardRange{}, false
	}
	i := b.indexOf(low)
	if b.ranges[i].low == low {
		i--
	}
	return b.ranges[i], true
}

// lastSeen returns when a shard was last seen not to be copied, and whether it was
// sparse.
func (m *shardCache) lastSeen(bucket meta.BucketID, shard meta.ID) observation {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if b := m.buckets[bucket]; b != nil {
		return b.observations[shard]
	}
	return observation{}
}

// touch records that a shard is not copied.
func (m *shardCache) touch(bucket meta.BucketID, shard meta.ID) {
	if time.Since(m.lastSeen(bucket, shard).at) < observationTTL/4 {
		return // avoids the lock
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.forBucket(bucket)
	if len(b.observations) > 2*len(b.ranges)+16 {
		clear(b.observations) // they are of shards that were replaced
	}
	b.observations[shard] = observation{time.Now(), b.observations[shard].sparse}
}

// markSparse records whether a shard has much less than a page of keys.
func (m *shardCache) markSparse(bucket meta.BucketID, shard meta.ID, short bool) {
	if m.lastSeen(bucket, shard).sparse == short {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.forBucket(bucket)
	b.observations[shard] = observation{b.observations[shard].at, short}
}

// locate returns the last known shard of key.
func (m *shardCache) locate(bucket meta.BucketID, key string) meta.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil {
		return rootShard
	}
	shard := b.ranges[b.indexOf(key)].shard
	for {
		s, sealed := b.uncopied[shard]
		if !sealed {
			return shard
		}
		shard = s.child(key)
	}
}
