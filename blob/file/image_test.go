package file

import (
	"testing"

	"github.com/pithos/pithos/blob"
)

func TestDataLenIsTheInverseOfImageLen(t *testing.T) {
	for _, size := range []int64{0, 1, 3, 4, 5, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 2*chunkBytes + 1, 1 << 40} {
		if got := dataLen(imageLen(size, chunkBytes)); got != size {
			t.Errorf("%d bytes: dataLen of the image is %d", size, got)
		}
	}
}

func TestDataLenOfABrokenImageIsNeverNegativeNorTooLarge(t *testing.T) {
	for image := range int64(2*(chunkBytes+sumBytes) + 10) {
		if got := dataLen(image); got < 0 || got > image || got > 0 && imageLen(got, chunkBytes) > image {
			t.Fatalf("image of %d bytes: dataLen is %d", image, got)
		}
	}
}

func TestFramesFollowEachOther(t *testing.T) {
	ref := blob.Ref{Size: 3*chunkBytes + 7, Chunk: chunkBytes}
	var end int64
	for n := range int64(4) {
		offset, length := frame(ref, n)
		if offset != end {
			t.Errorf("chunk %d lies at %d, want %d", n, offset, end)
		}
		end = offset + int64(length)
	}
	if end != imageLen(ref.Size, chunkBytes) {
		t.Errorf("the last chunk ends at %d, want the image's end", end)
	}
}
