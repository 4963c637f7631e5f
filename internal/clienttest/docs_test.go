package clienttest

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// pages are those of docs/clients whose commands are run, with the program
// that each needs.
var pages = map[string]string{
	"s3cmd.md": "s3cmd", "aws-cli.md": "aws", "boto.md": "python", "rclone.md": "rclone", "restic.md": "restic", "s5cmd.md": "s5cmd", "mc.md": "mc",
}

// fence finds a block of code, with the file that the line before it names.
var fence = regexp.MustCompile("(?m)(?:^`([^`\n]+)`[^\n]*:\n\n)?^```(sh|ini|python)\n((?s:.*?))^```$")

// TestCommandsOfTheClientPagesWork runs what a reader of docs/clients would
// paste: files are written where the page says, and commands run in order.
func TestCommandsOfTheClientPagesWork(t *testing.T) {
	for page, name := range pages {
		t.Run(page, func(t *testing.T) {
			path := interpreter(t, name)
			text, err := os.ReadFile(filepath.Join("..", "..", "docs", "clients", page))
			if err != nil {
				t.Fatal(err)
			}
			s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
				t.Cleanup(func() { s.Remove(t, "demo") })
				runPage(t, s, name, path, addressed(t, s, string(text)))
			})
		})
	}
}

// interpreter returns the path of the program that a page needs.
func interpreter(t *testing.T, name string) string {
	t.Helper()
	if name == "python" {
		return python(t, "boto3")
	}
	return program(t, name)
}

// addressed puts the server's address and a key that it knows into a page.
func addressed(t *testing.T, s *s3test.Server, page string) string {
	t.Helper()
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("127.0.0.1:8080", server.Host,
		"AKIAIOSFODNN7EXAMPLE", s3test.Alice2.ID, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", s3test.Alice2.Secret).Replace(page)
}

// runPage runs the blocks of a page: one script of all shell commands, so
// that what one block exports the next one has.
func runPage(t *testing.T, s *s3test.Server, name, path, page string) {
	c := newClient(t, path, "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	var script strings.Builder
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		switch file, kind, code := block[1], block[2], block[3]; kind {
		case "ini":
			if file == "" {
				t.Fatalf("nothing says what file this is:\n%s", code)
			}
			c.file(t, file, []byte(code))
		case "python":
			c.file(t, "script.py", []byte(code))
			c.run(t, "script.py")
			return
		default:
			script.WriteString(code)
		}
	}
	if script.Len() == 0 {
		t.Fatal("the page has no commands")
	}
	// A program that CI names by a variable may have another name in PATH.
	bin := filepath.Join(c.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
		t.Fatal(err)
	}
	c.env = append(c.env, "PATH="+bin+":"+os.Getenv("PATH"))
	c.path = "/bin/bash"
	c.run(t, "-euo", "pipefail", "-c", script.String())
}
