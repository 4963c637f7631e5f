package store

import (
	"container/list"
	"sync"
	"time"

	"github.com/pithos/pithos/meta"
)

// bucketCache remembers buckets for a moment, by name. S3 promises that
// settings hold after a while; what a write relies on is read uncached by the
// driver, in the commit.
//
// The settings of a bucket are as large as its owner likes, up to the limits of
// the documents, so the cache is bounded by bytes. All entries live equally
// long: the oldest are at the front of the queue, and go first.
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

// bucketCacheBytes is the most memory for remembered buckets.
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

// remove takes an entry out; nil is none.
func (c *bucketCache) remove(e *list.Element) {
	if e == nil {
		return
	}
	gone := c.queue.Remove(e).(cachedBucket)
	delete(c.by, gone.bucket.Name)
	c.bytes -= gone.bytes
}

// bucketBytes is about how much memory a bucket takes.
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
