package cassandra

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pithos/pithos/meta"
)

// shardMaps remember, for each bucket, at which shard to begin with a key. For
// writers that is a hint; for readers it is true since it once was: that a
// shard was copied never changes.
type shardMaps struct {
	mu      sync.RWMutex
	buckets map[meta.BucketID]*shardMap
	size    int
	met     func(meta.BucketID) // called when a seal was learned
}

// shardMap has the regions of a bucket, in order and without gaps, each as far
// from the root as is known, and those of their shards that were seen sealed
// and not copied yet.
type shardMap struct {
	regions []region
	open    map[meta.ID]seal
	seen    map[meta.ID]sighting
}

// sighting is what is remembered of a shard that was read.
type sighting struct {
	at    time.Time // when it was not known to be copied
	short bool      // it had much less than a page to show
}

// shardName names a shard: a partition of the listing.
type shardName struct{ bucket, shard meta.ID }

// sightingLasts is for how long a reader counts on a shard being where it was
// last seen.
const sightingLasts = 30 * time.Second

// maxRegions bounds the memory of the maps: about 150 bytes each.
const maxRegions = 200_000

// find returns the index of key's region.
func (m *shardMap) find(key string) int {
	i, exact := slices.BinarySearchFunc(m.regions, key, func(r region, key string) int { return strings.Compare(r.low, key) })
	if exact {
		return i
	}
	return i - 1 // the first region's low is ""
}

// of returns a bucket's map, to change it. The lock is held.
func (m *shardMaps) of(bucket meta.BucketID) *shardMap {
	if m.buckets == nil || m.size > maxRegions {
		m.buckets, m.size = map[meta.BucketID]*shardMap{}, 0
	}
	b := m.buckets[bucket]
	if b == nil {
		b = &shardMap{regions: []region{{shard: rootShard}}, open: map[meta.ID]seal{}, seen: map[meta.ID]sighting{}}
		m.buckets[bucket] = b
		m.size++
	}
	return b
}

// learn takes in the seal of a shard that was met on the way to key, and tells
// whether that was news.
func (m *shardMaps) learn(bucket meta.BucketID, key string, shard meta.ID, s seal) bool {
	news := s.sealed && m.take(bucket, key, shard, s)
	if news && m.met != nil {
		m.met(bucket)
	}
	return news
}

func (m *shardMaps) take(bucket meta.BucketID, key string, shard meta.ID, s seal) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.of(bucket)
	if !s.copied {
		_, known := b.open[shard]
		b.open[shard] = s
		return !known
	}
	delete(b.open, shard)
	delete(b.seen, shard)
	i := b.find(key)
	if b.regions[i].shard != shard {
		return false
	}
	m.size -= len(b.regions)
	children := s.children(b.regions[i])
	b.regions = slices.Replace(b.regions, i, i+1, children...)
	b.join(i, len(children))
	m.size += len(b.regions)
	return true
}

// insert takes in facts that somebody else has written down.
func (m *shardMaps) insert(bucket meta.BucketID, facts []region) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.of(bucket)
	m.size -= len(b.regions)
	for _, f := range facts {
		b.insert(f)
	}
	m.size += len(b.regions)
}

// insert puts f in the place of what is nearer to the root.
func (b *shardMap) insert(f region) {
	first := b.find(f.low)
	last := first
	for last+1 < len(b.regions) && (f.high == "" || b.regions[last+1].low < f.high) {
		last++
	}
	var with []region
	for _, r := range b.regions[first : last+1] {
		if r.gen >= f.gen {
			with = append(with, r)
			continue
		}
		mid := region{shard: f.shard, low: max(r.low, f.low), high: lower(r.high, f.high), gen: f.gen}
		if r.low < mid.low {
			with = append(with, region{r.shard, r.low, mid.low, r.gen})
		}
		with = append(with, mid)
		if mid.high != "" && mid.high != r.high {
			with = append(with, region{r.shard, mid.high, r.high, r.gen})
		}
	}
	b.regions = slices.Replace(b.regions, first, last+1, with...)
	b.join(first, len(with))
}

// join makes one region of neighbours that have the same shard, from before
// the index i to after the n regions there.
func (b *shardMap) join(i, n int) {
	for at, end := max(i-1, 0), i+n; at < end && at+1 < len(b.regions); {
		l, r := b.regions[at], b.regions[at+1]
		if l.shard != r.shard {
			at++
			continue
		}
		b.regions[at] = region{l.shard, l.low, r.high, max(l.gen, r.gen)}
		b.regions = slices.Delete(b.regions, at+1, at+2)
		end--
	}
}

// first returns the region of key that a reader must begin with.
func (m *shardMaps) first(bucket meta.BucketID, key string) region {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil {
		return region{shard: rootShard}
	}
	return b.regions[b.find(key)]
}

// before returns the region that ends where low begins; false for the first.
func (m *shardMaps) before(bucket meta.BucketID, low string) (region, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil || low == "" {
		return region{}, false
	}
	i := b.find(low)
	if b.regions[i].low == low {
		i--
	}
	return b.regions[i], true
}

// seen returns when a shard was last seen not to be copied, and how.
func (m *shardMaps) seen(bucket meta.BucketID, shard meta.ID) sighting {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if b := m.buckets[bucket]; b != nil {
		return b.seen[shard]
	}
	return sighting{}
}

// saw notes that a shard is not copied.
func (m *shardMaps) saw(bucket meta.BucketID, shard meta.ID) {
	if time.Since(m.seen(bucket, shard).at) < sightingLasts/4 {
		return // spares the lock
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.of(bucket)
	if len(b.seen) > 2*len(b.regions)+16 {
		clear(b.seen) // of shards that were replaced
	}
	b.seen[shard] = sighting{time.Now(), b.seen[shard].short}
}

// sawShort notes whether a shard has less to show than others.
func (m *shardMaps) sawShort(bucket meta.BucketID, shard meta.ID, short bool) {
	if m.seen(bucket, shard).short == short {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.of(bucket)
	b.seen[shard] = sighting{b.seen[shard].at, short}
}

// locate returns the last known shard for key.
func (m *shardMaps) locate(bucket meta.BucketID, key string) meta.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	b := m.buckets[bucket]
	if b == nil {
		return rootShard
	}
	shard := b.regions[b.find(key)].shard
	for {
		s, sealed := b.open[shard]
		if !sealed {
			return shard
		}
		shard = s.child(key)
	}
}
