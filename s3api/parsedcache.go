package s3api

import (
	linked "container/list"
	"sync"

	"github.com/pithos/pithos/meta"
)

// parsedCache caches parsed documents of buckets, of one kind, so that requests do
// not parse the same document again. Documents are parsed without the lock: a large
// document of one bucket does not delay requests for others. The cache is bounded
// by bytes and evicts the least recently used document.
type parsedCache[T any] struct {
	max int // bytes

	mu    sync.Mutex
	bytes int
	byKey map[parsedKey]*linked.Element // of parsed[T]
	used  linked.List                   // most recently used first
}

// parsedKey identifies one revision of a bucket's settings.
type parsedKey struct {
	bucket meta.BucketID
	rev    int64
}

type parsed[T any] struct {
	key   parsedKey
	value T
	bytes int
}

// get returns the result of parse for the document of b. parse also returns an
// estimate of the memory of its result, in bytes.
func (c *parsedCache[T]) get(b *meta.Bucket, document []byte, parse func([]byte) (value T, cost int, err error)) (T, error) {
	key := parsedKey{b.ID, b.Rev}
	if value, ok := c.find(key); ok {
		return value, nil
	}
	value, cost, err := parse(document)
	if err == nil {
		c.add(parsed[T]{key, value, cost})
	}
	return value, err
}

func (c *parsedCache[T]) find(key parsedKey) (value T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return value, false
	}
	c.used.MoveToFront(e)
	return e.Value.(parsed[T]).value, true
}

func (c *parsedCache[T]) add(p parsed[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[p.key]; ok || p.bytes > c.max {
		return
	}
	if c.byKey == nil {
		c.byKey = map[parsedKey]*linked.Element{}
	}
	c.byKey[p.key] = c.used.PushFront(p)
	for c.bytes += p.bytes; c.bytes > c.max; {
		last := c.used.Remove(c.used.Back()).(parsed[T])
		delete(c.byKey, last.key)
		c.bytes -= last.bytes
	}
}
