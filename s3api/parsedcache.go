package s3api

import (
	linked "container/list"
	"sync"

	"github.com/pithos/pithos/meta"
)

// parsedCache keeps what was parsed of one kind of document of buckets, so that
// no request parses what another has put, again. Parsing happens outside of the
// lock: a bucket whose document is large slows no other bucket's requests. The
// cache is bounded by bytes, and drops what was used least recently.
type parsedCache[T any] struct {
	max int // bytes

	mu    sync.Mutex
	bytes int
	byKey map[parsedKey]*linked.Element // of parsed[T]
	used  linked.List                   // most recently used first
}

// parsedKey names a bucket's settings as they were after one change of them.
type parsedKey struct {
	bucket meta.BucketID
	rev    int64
}

type parsed[T any] struct {
	key   parsedKey
	value T
	bytes int
}

// get returns what parse makes of the document of b. cost is about how many
// bytes the result takes.
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
