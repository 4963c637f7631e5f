package buffer

import (
	"bytes"
	"testing"
)

func TestBuffersHaveTheCapacityAskedForAndAreReused(t *testing.T) {
	for _, n := range []int{0, 1, 4096, 4096 + Slack, 4096 + Slack + 1, 1 << 18, 1<<18 + Slack, 1<<18 + Slack + 1, 1 << 24, 1<<24 + Slack + 1, 1 << 26} {
		b := Get(n)
		if len(b) != 0 || cap(b) < n {
			t.Fatalf("Get(%d): length %d, capacity %d", n, len(b), cap(b))
		}
		Put(b)
	}
	if got := cap(Get(1<<18 + 8)); got != 1<<18+Slack {
		t.Errorf("256 KiB with two sums: capacity %d, want that of the 256 KiB class", got)
	}
}

func TestPutIgnoresForeignSlices(t *testing.T) {
	Put(nil)
	Put(make([]byte, 5000))
	if b := Get(4097 + Slack); cap(b) != 8192+Slack {
		t.Errorf("capacity %d, want %d", cap(b), 8192+Slack)
	}
}

func TestGrowKeepsTheBytes(t *testing.T) {
	b, want := Get(1), []byte(nil)
	for i := range 300 {
		p := bytes.Repeat([]byte{byte(i)}, 997)
		b, want = append(Grow(b, len(p)), p...), append(want, p...)
	}
	if !bytes.Equal(b, want) {
		t.Error("bytes changed while growing")
	}
}
