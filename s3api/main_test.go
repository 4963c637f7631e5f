package s3api_test

import (
	"testing"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/metafault"
)

// Tests reach the metadata store of a server between two calls of a request: see
// apiTest.before.
func TestMain(m *testing.M) {
	s3test.Main(m, s3test.WrapMeta(func(s meta.Store, k meta.AccessKeys) (meta.Store, meta.AccessKeys) {
		return metafault.Wrap(s, 1), k
	}))
}
