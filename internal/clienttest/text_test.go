package clienttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
	"github.com/pithos/pithos/internal/s3test"
)

// TestCommandsWithinTheTextWork runs the calls of the aws CLI that stand within
// the text of any page, on a bucket of their own where they name none.
func TestCommandsWithinTheTextWork(t *testing.T) {
	path := program(t, "aws")
	found := map[string]string{}
	err := filepath.WalkDir(filepath.Join("..", "..", "docs"), func(page string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(page) != ".md" {
			return err
		}
		text, err := os.ReadFile(page)
		for _, span := range markdown.Spans(string(text)) {
			if strings.HasPrefix(span, "aws ") {
				found[span] = page
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 3 {
		t.Fatalf("only %q are found", found)
	}
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		c := newClient(t, path, awsEnv(s)...)
		for command, page := range found {
			bucket := s3test.BucketName(t)
			t.Cleanup(func() { s.Remove(t, bucket) })
			words := strings.Fields(strings.ReplaceAll(command, "--bucket demo", "--bucket "+bucket))[1:]
			if !strings.Contains(command, "--bucket") {
				words = append(words, "--bucket", bucket)
			}
			if words[1] != "create-bucket" {
				c.run(t, "s3", "mb", "s3://"+bucket)
			}
			if out, err := c.try(t, nil, words...); err != nil {
				t.Errorf("%s: %s: %v\n%s", page, command, err, out)
			}
		}
	})
}
