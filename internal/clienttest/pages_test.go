package clienttest

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
	"github.com/pithos/pithos/internal/s3test"
)

// demo is the bucket that the pages of docs/clients use.
const demo = "demo"

// page returns the blocks of a page of docs/clients, as a reader would paste
// them who put in the server's address and a key that it knows.
func page(t *testing.T, s *s3test.Server, name string) []markdown.Block {
	t.Helper()
	return paste(t, s, filepath.Join("..", "..", "docs", "clients", name))
}

func paste(t *testing.T, s *s3test.Server, path string) []markdown.Block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return markdown.Blocks(strings.NewReplacer("127.0.0.1:8080", server.Host, "localhost:8080", server.Host,
		"AKIAIOSFODNN7EXAMPLE", s3test.Alice2.ID, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", s3test.Alice2.Secret).Replace(string(text)))
}

// scripts returns the commands of the blocks of a page, of one string each, and
// writes its files where it says.
func (c *client) scripts(t *testing.T, blocks []markdown.Block) (shell []string) {
	t.Helper()
	for _, b := range blocks {
		switch file := b.File(); {
		case b.Language == "sh":
			shell = append(shell, b.Text)
		case file != "":
			c.file(t, file, []byte(b.Text))
		default:
			t.Fatalf("line %d: nothing says what file this is:\n%s", b.Line, b.Text)
		}
	}
	if len(shell) == 0 {
		t.Fatal("the page has no commands")
	}
	return shell
}

// named has the shell find a program by its own name: one that is named by a
// variable may have another.
func (c *client) named(t *testing.T, name, path string) {
	t.Helper()
	bin := filepath.Join(c.dir, "bin")
	c.file(t, filepath.Join("bin", name), []byte("#!/bin/sh\nexec '"+path+"' \"$@\"\n"))
	if err := os.Chmod(filepath.Join(bin, name), 0o755); err != nil {
		t.Fatal(err)
	}
	c.env = append(c.env, "PATH="+bin+":"+os.Getenv("PATH"))
}

// shell runs a script.
func (c *client) shell(t *testing.T, script string) string {
	t.Helper()
	out, err := c.bash(t, script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// bash is shell for what may fail.
func (c *client) bash(t *testing.T, script string) (string, error) {
	t.Helper()
	sh := &client{path: "/bin/bash", env: c.env, dir: c.dir}
	return sh.try(t, nil, "-euo", "pipefail", "-c", script)
}

// emptyDemo makes the bucket of the pages, which is removed when the test ends.
func emptyDemo(t *testing.T, s *s3test.Server) {
	t.Helper()
	s.Remove(t, demo)
	if r, body := s.Do(t, s3test.Alice2, "PUT", "/"+demo, nil); r.StatusCode != 200 {
		t.Fatalf("create %s: %d %s", demo, r.StatusCode, body)
	}
	t.Cleanup(func() { s.Remove(t, demo) })
}

// application is an installed program that a page configures.
type application struct {
	*client
	s      *s3test.Server
	blocks []markdown.Block
}

// applications runs a test of a page on both engines, with an empty bucket demo
// and the program that the page's commands call.
func applications(t *testing.T, name, tool string, test func(*testing.T, application), env ...string) {
	path := program(t, tool)
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		emptyDemo(t, s)
		c := newClient(t, path, env...)
		c.named(t, tool, path)
		test(t, application{c, s, page(t, s, name)})
	})
}
