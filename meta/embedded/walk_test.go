package embedded

import (
	"bytes"
	"testing"

	"github.com/pithos/pithos/meta"
)

func FuzzVersionKeysAreTakenApartAsTheyWereMade(f *testing.F) {
	for _, key := range []string{"", "k", "\x00", "a\x00b", "\x00\xff\x00\x01", "é\U0010ffff"} {
		f.Add([]byte(key), int64(1))
		f.Add(versionKey(meta.NewID(), key, 1<<40), int64(-1))
	}
	f.Fuzz(func(t *testing.T, b []byte, seq int64) {
		bucket := meta.NewID()
		row := versionKey(bucket, string(b), seq)
		if id, key, got, err := splitVersionKey(row); err != nil || id != bucket || key != string(b) || got != seq {
			t.Errorf("%x: %s, %q, %d, %v", row, id, key, got, err)
		}
		// Any row is refused, or is one that could have been made.
		if id, key, got, err := splitVersionKey(b); err == nil && !bytes.Equal(versionKey(id, key, got)[1:], b[1:]) {
			t.Errorf("%x passes for version %d of %q", b, got, key)
		}
	})
}
