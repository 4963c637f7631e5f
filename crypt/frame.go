package crypt

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
)

const (
	// FrameBytes is the usual length of a frame's plaintext, in bytes.
	FrameBytes = 64 << 10
	// MaxFrameBytes is the maximum length of a frame's plaintext, in bytes.
	MaxFrameBytes = 16 << 20
	// TagBytes is the length of the tag that encryption adds to each frame.
	TagBytes = 16

	nonceBytes = 12
)

var errClosed = errors.New("crypt: used after Close")

// CipherSize returns the length of the ciphertext of plain bytes in frames of frame
// bytes. An empty body becomes one tag. It returns -1 if plain is negative or too
// large, or frame is not within 1 and [MaxFrameBytes].
func CipherSize(plain int64, frame int) int64 {
	if plain < 0 || frame < 1 || frame > MaxFrameBytes {
		return -1
	}
	frames := frameCount(plain, frame)
	if frames > (math.MaxInt64-plain)/TagBytes {
		return -1
	}
	return plain + frames*TagBytes
}

func frameCount(plain int64, frame int) int64 {
	if plain == 0 {
		return 1
	}
	return (plain-1)/int64(frame) + 1
}

// frames encrypts or decrypts the frames of one segment.
type frames struct {
	aead  cipher.AEAD
	size  int // plaintext bytes of every frame but the last
	nonce [nonceBytes]byte
}

func newFrames(key DataKey, salt []byte, size int) (*frames, error) {
	if size < 1 || size > MaxFrameBytes {
		return nil, fmt.Errorf("crypt: frames of %d bytes, want 1 to %d", size, MaxFrameBytes)
	}
	if len(salt) != SaltBytes {
		return nil, fmt.Errorf("crypt: a salt of %d bytes, want %d", len(salt), SaltBytes)
	}
	aead, err := key.derive(salt, fmt.Sprintf("pithos body v1 frame %d", size))
	if err != nil {
		return nil, err
	}
	return &frames{aead: aead, size: size}, nil
}

// nonceOf returns the nonce of frame i: 11 bytes of counter, one byte for the last
// flag. It is valid until the next call.
func (f *frames) nonceOf(i uint64, last bool) []byte {
	binary.BigEndian.PutUint64(f.nonce[3:11], i)
	f.nonce[11] = 0
	if last {
		f.nonce[11] = 1
	}
	return f.nonce[:]
}

// seal encrypts buf in place and returns it with its tag; buf has room for it.
func (f *frames) seal(buf []byte, i uint64, last bool) []byte {
	return f.aead.Seal(buf[:0], f.nonceOf(i, last), buf, nil)
}

// open decrypts buf in place and returns the plaintext.
func (f *frames) open(buf []byte, i uint64, last bool) ([]byte, error) {
	plain, err := f.aead.Open(buf[:0], f.nonceOf(i, last), buf, nil)
	if err != nil {
		return nil, fmt.Errorf("frame %d: %w", i, ErrAuthentication)
	}
	return plain, nil
}

// buffers pools the buffers for frames of the usual length only.
var buffers = sync.Pool{New: func() any { return new([FrameBytes + TagBytes]byte) }}

// getBuffer returns a buffer for a frame of size bytes and its tag.
func getBuffer(size int) []byte {
	if size != FrameBytes {
		return make([]byte, size+TagBytes)
	}
	return buffers.Get().(*[FrameBytes + TagBytes]byte)[:]
}

// putBuffer clears a buffer of getBuffer and returns it to the pool.
func putBuffer(buf []byte) {
	if len(buf) == FrameBytes+TagBytes {
		clear(buf)
		buffers.Put((*[FrameBytes + TagBytes]byte)(buf))
	}
}
