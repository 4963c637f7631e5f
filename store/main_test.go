package store_test

import (
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

func TestMain(m *testing.M) { s3test.Main(m) }
