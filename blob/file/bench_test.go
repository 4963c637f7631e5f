package file

import (
	"testing"

	"github.com/pithos/pithos/blob/blobtest"
)

func BenchmarkStore(b *testing.B) {
	for name, o := range map[string]Options{"defaults": {}, "large": {SmallBytes: 1}} {
		b.Run(name, func(b *testing.B) { blobtest.Bench(b, openStore(b, b.TempDir(), o)) })
	}
}
