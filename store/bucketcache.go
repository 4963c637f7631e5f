package store

import (
	"container/list"
	"sync"
	"time"

	"github.com/pithos/pithos/meta"
)

// bucketCache caches buckets by name for a short time. S3 promises only that
// changed settings apply eventually. What a write depends on, the driver reads
// without a cache, in the commit.
//
// The owner of a bucket decides how large its settings are, up to the limits of
// the documents. So the cache is bounded by bytes. All entries have the same
// lifetime: the oldest are at the front of the queue and are evicted first.
type bucketCache struct {
	ttl time.Duration
	now func() time.Time

	mu    sync.Mutex
	by    map[string]*list.Element // of cachedBucket
	queue list.List
	bytes int
}

type cachedBucket struct {
	bucket meta.Bucket
	bytes  int
	until  time.Time
}

// bucketCacheBytes is the maximum memory for cached buckets.
const bucketCacheBytes = 32 << 20

func (c *bucketCache) get(name string) (meta.Bucket, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[name]
	if !ok || !c.now().Before(e.Value.(cachedBucket).until) {
		return meta.Bucket{}, false
	}
	return e.Value.(cachedBucket).bucket, true
}

func (c *bucketCache) put(b meta.Bucket) {
	if c.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.remove(c.by[b.Name])
	for e := c.queue.Front(); e != nil && !now.Before(e.Value.(cachedBucket).until); e = c.queue.Front() {
		c.remove(e)
	}
	entry := cachedBucket{bucket: b, bytes: bucketBytes(&b), until: now.Add(c.ttl)}
	if entry.bytes > bucketCacheBytes {
		return
	}
	for c.bytes+entry.bytes > bucketCacheBytes {
		c.remove(c.queue.Front())
	}
	if c.by == nil {
		c.by = map[string]*list.Element{}
	}
	c.by[b.Name] = c.queue.PushBack(entry)
	c.bytes += entry.bytes
}

func (c *bucketCache) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.by[name])
}

// remove removes an entry; nil means none.
func (c *bucketCache) remove(e *list.Element) {
	if e == nil {
		return
	}
	gone := c.queue.Remove(e).(cachedBucket)
	delete(c.by, gone.bucket.Name)
	c.bytes -= gone.bytes
}

// bucketBytes estimates the memory that a bucket takes.
func bucketBytes(b *meta.Bucket) int {
	n := 1024 + len(b.Name) + len(b.Owner)
	for _, g := range b.Config.ACL.Grants {
		n += 48 + len(g.Type) + len(g.Grantee) + len(g.Permission)
	}
	for _, t := range b.Config.Tags {
		n += 32 + len(t.Key) + len(t.Value)
	}
	for name, document := range b.Config.Documents {
		n += 64 + len(name) + len(document)
	}
	return n
}
