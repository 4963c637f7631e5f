package file

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pithos/pithos/blob"
)

const (
	// chunkBytes is part of the format: Walk computes sizes with it.
	chunkBytes = 128 << 10
	sumBytes   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// bind completes the checksum of a chunk's bytes with the blob's ID and the chunk's
// number.
func bind(crc uint32, id blob.ID, chunk int64) uint32 {
	var place [len(id) + 8]byte
	copy(place[:], id[:])
	binary.BigEndian.PutUint64(place[len(id):], uint64(chunk))
	return crc32.Update(crc, castagnoli, place[:])
}

// intact reports whether frame, a chunk with its checksum, is as it was written.
func intact(frame []byte, id blob.ID, chunk int64) bool {
	data, sum := frame[:len(frame)-sumBytes], frame[len(frame)-sumBytes:]
	return bind(crc32.Checksum(data, castagnoli), id, chunk) == binary.BigEndian.Uint32(sum)
}

// imageLen returns the length of the image of size bytes in chunks of chunk.
func imageLen(size, chunk int64) int64 {
	return size + (size+chunk-1)/chunk*sumBytes
}

// dataLen is the inverse of imageLen at the format's chunk size. For an image
// that is truncated it is the number of data bytes in it.
func dataLen(image int64) int64 {
	whole, rest := image/(chunkBytes+sumBytes), image%(chunkBytes+sumBytes)
	return whole*chunkBytes + min(max(0, rest-sumBytes), chunkBytes)
}

// frame returns the range of chunk n of the blob in its image.
func frame(ref blob.Ref, n int64) (offset int64, length int) {
	chunk := int64(ref.Chunk)
	data := min(chunk, ref.Size-n*chunk)
	return n * (chunk + sumBytes), int(data) + sumBytes
}
