// Package docs holds the pages that are generated to their sources.
package docs

import (
	"flag"
	"os"
	"testing"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/s3api"
)

var update = flag.Bool("update", false, "rewrite the generated pages")

func TestGeneratedPagesAreUpToDate(t *testing.T) {
	for file, text := range map[string]string{
		"s3-compatibility.md": s3api.Compatibility(),
		"configuration.md":    config.Reference(),
	} {
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != text {
			t.Errorf("docs/%s is not what the code says: run go test ./docs -update", file)
		}
	}
}
