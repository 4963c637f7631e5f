package store_test

import (
	"encoding/hex"
	"testing"

	"github.com/pithos/pithos/store"
)

// The check values that each algorithm's own specification gives, or its
// reference implementation.
func TestChecksumsAreThoseOfTheirSpecifications(t *testing.T) {
	const digits = "123456789"
	for _, c := range []struct{ algorithm, of, want string }{
		{"CRC32", digits, "cbf43926"},
		{"CRC32C", digits, "e3069283"},
		{"CRC64NVME", digits, "ae8b14860a799888"},
		{"MD5", digits, "25f9e794323b453885f5181f1b624d0b"},
		{"SHA1", digits, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
		{"SHA256", digits, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
		{"SHA512", "", "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
		{"XXHASH64", "", "ef46db3751d8e999"},
		{"XXHASH3", "", "2d06800538d394c2"},
		{"XXHASH128", "", "99aa06d3014798d86001c324468d497f"},
	} {
		h, err := store.NewChecksum(c.algorithm)
		if err != nil {
			t.Fatal(err)
		}
		h.Write([]byte(c.of))
		if got := hex.EncodeToString(h.Sum(nil)); got != c.want {
			t.Errorf("%s of %q is %s, want %s", c.algorithm, c.of, got, c.want)
		}
		if n := store.Checksums()[c.algorithm]; n != h.Size() || 2*n != len(c.want) {
			t.Errorf("%s has %d bytes, and %d are expected", c.algorithm, h.Size(), n)
		}
	}
}
