package faults

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
)

// bodySizes are those of the bodies, in turn: within the version's row, in one
// chunk, in several.
var bodySizes = []int{100, 3 << 10, 20 << 10, 600 << 10, 100, 1200 << 10, 4 << 10, 9 << 10}

// body makes the bytes of a value: its number, its length, and what follows
// from them, so that a body that is cut or mixed of two shows.
func body(value int) []byte {
	b := make([]byte, bodySizes[value%len(bodySizes)])
	seed := [32]byte{}
	binary.BigEndian.PutUint64(seed[:], uint64(value))
	_, _ = rand.NewChaCha8(seed).Read(b) // never fails
	binary.BigEndian.PutUint64(b, uint64(value))
	binary.BigEndian.PutUint64(b[8:], uint64(len(b)))
	return b
}

// valueOf tells which value's body this is, whole.
func valueOf(b []byte) (int, error) {
	if len(b) < 16 {
		return 0, fmt.Errorf("torn: %d bytes are no body", len(b))
	}
	value := binary.BigEndian.Uint64(b)
	if length := binary.BigEndian.Uint64(b[8:]); value == 0 || value > 1<<40 || length != uint64(len(b)) {
		return 0, fmt.Errorf("torn: %d bytes, which begin as those of value %d with %d bytes", len(b), value, length)
	}
	if !bytes.Equal(b, body(int(value))) {
		return 0, fmt.Errorf("mixed: %d bytes begin as value %d and go on otherwise", len(b), value)
	}
	return int(value), nil
}

// values gives out values, and knows them by their ETags.
type values struct {
	mu      sync.Mutex
	last    int
	markers int // delete markers, which have numbers below 0
	etags   map[string]int
}

// marker returns the number of a delete marker that was never written.
func (v *values) marker() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.markers--
	return v.markers
}

// next returns a value that was never written, and its body.
func (v *values) next() (int, []byte) {
	v.mu.Lock()
	v.last++
	value := v.last
	v.mu.Unlock()
	b := body(value)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.etags == nil {
		v.etags = map[string]int{}
	}
	v.etags[etagOf(b)], v.etags[etagOfUpload(b)] = value, value
	return value, b
}

// etagOf is the ETag of a body that was uploaded in one piece.
func etagOf(b []byte) string {
	sum := md5.Sum(b)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// etagOfUpload is the ETag of a body that was uploaded as the one part of a
// multipart upload.
func etagOfUpload(b []byte) string {
	part := md5.Sum(b)
	sum := md5.Sum(part[:])
	return `"` + hex.EncodeToString(sum[:]) + `-1"`
}

// named returns the value with that ETag.
func (v *values) named(etag string) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if value, ok := v.etags[etag]; ok {
		return value, nil
	}
	return 0, fmt.Errorf("torn: no client has written a value with the ETag %s", etag)
}
