package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

func TestBucketCacheIsBoundedByBytesAndForgetsWhatExpired(t *testing.T) {
	now := time.Now()
	c := bucketCache{ttl: time.Second, now: func() time.Time { return now }}
	bucket := func(name string, size int) meta.Bucket {
		return meta.Bucket{Name: name, Config: meta.BucketConfig{Documents: map[string][]byte{"cors": make([]byte, size)}}}
	}
	has := func(name string, want bool) {
		t.Helper()
		if b, ok := c.get(name); ok != want || ok && b.Name != name {
			t.Errorf("%s: %v, want %v", name, ok, want)
		}
	}
	sum := func() {
		t.Helper()
		n := 0
		for e := c.queue.Front(); e != nil; e = e.Next() {
			n += e.Value.(cachedBucket).bytes
		}
		if n != c.bytes || n > bucketCacheBytes || c.queue.Len() != len(c.by) {
			t.Fatalf("%d bytes, counted %d, in %d and %d entries", n, c.bytes, c.queue.Len(), len(c.by))
		}
	}
	for i := range 2_000 { // settings as large as they can be
		c.put(bucket(fmt.Sprint(i), 128<<10))
		sum()
	}
	has("1999", true)
	has("1900", true)
	has("0", false)
	c.put(bucket("1999", 1))
	c.put(bucket("huge", bucketCacheBytes))
	sum()
	has("1999", true)
	has("1998", true)
	has("huge", false)
	c.drop("1998")
	c.drop("1998")
	has("1998", false)
	now = now.Add(time.Second)
	has("1999", false)
	c.put(bucket("new", 1))
	if sum(); len(c.by) != 1 {
		t.Errorf("%d entries are left when all but one have expired", len(c.by))
	}
	for range 3_000 {
		switch name := fmt.Sprint(rand.IntN(100)); rand.IntN(4) {
		case 0:
			c.drop(name)
		case 1:
			now = now.Add(time.Duration(rand.IntN(300)) * time.Millisecond)
		default:
			c.put(bucket(name, rand.IntN(4<<20)))
		}
		sum()
	}
	c.ttl = -1
	c.by, c.bytes = nil, 0
	c.queue.Init()
	c.put(bucket("never", 1))
	has("never", false)
}
