// Package buffer lends byte slices from pools, one pool a size class.
//
// The blob drivers move chunks of some hundred KiB through the process, many
// at a time; allocating each would clear it first and collect it later.
package buffer

import (
	"math/bits"
	"sync"
)

const (
	minClass = 12 // 4 KiB
	maxClass = 24 // 16 MiB

	// Slack is how many bytes more than its power of two a class has room
	// for, so that a chunk with its checksums does not need the next class.
	Slack = 512
)

var pools [maxClass + 1]sync.Pool

// class returns the smallest class whose slices hold n bytes, or -1.
func class(n int) int {
	if n <= 1<<minClass+Slack {
		return minClass
	}
	c := bits.Len(uint(n - Slack - 1))
	if c > maxClass {
		return -1
	}
	return c
}

// Get returns an empty slice with a capacity of n bytes or more. What is in
// it beyond its length is what its last user left.
func Get(n int) []byte {
	c := class(n)
	if c < 0 {
		return make([]byte, 0, n)
	}
	if p, ok := pools[c].Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return make([]byte, 0, 1<<c+Slack)
}

// Put takes back a slice that came from [Get] and that nothing refers to any
// more. A slice of any other capacity is left to the garbage collector.
func Put(b []byte) {
	c := class(cap(b))
	if c < 0 || cap(b) != 1<<c+Slack {
		return
	}
	b = b[:0]
	pools[c].Put(&b)
}

// Grow returns b with room for n more bytes, in a larger slice if need be; b
// itself then goes back to its pool.
func Grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	// Fourfold, so that a blob that turns out large is copied but a few times.
	larger := append(Get(max(len(b)+n, min(4*cap(b), 1<<18))), b...)
	Put(b)
	return larger
}
