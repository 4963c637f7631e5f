package clienttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3test"
)

func TestMain(m *testing.M) { s3test.Main(m) }

// patience bounds one call of a client.
const patience = 5 * time.Minute

// notShort skips the test under -short, which runs no client.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no client is run")
	}
}

// program returns the path of an installed client; without one it skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	notShort(t)
	variable := "PITHOS_TEST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if path := os.Getenv(variable); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: neither in PATH nor named by %s", name, variable)
	}
	return path
}

// client is a program with the settings that lead it to a server.
type client struct {
	path string
	args []string // put before those of each call
	env  []string
	dir  string // its working and home directory
}

// newClient returns a client that sees none of this machine's own settings.
func newClient(t *testing.T, path string, env ...string) *client {
	t.Helper()
	c := &client{path: path, dir: t.TempDir()}
	for _, e := range os.Environ() {
		if !isSetting(e) {
			c.env = append(c.env, e)
		}
	}
	c.env = append(c.env, "HOME="+c.dir, "LC_ALL=C.UTF-8")
	c.env = append(c.env, env...)
	return c
}

// isSetting reports whether a variable could lead a client elsewhere.
func isSetting(variable string) bool {
	name, _, _ := strings.Cut(strings.ToUpper(variable), "=")
	for _, prefix := range []string{"AWS_", "BOTO_", "RCLONE_", "RESTIC_", "S3_", "S3CMD_", "XDG_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "HOME" || name == "LC_ALL" || strings.HasSuffix(name, "_PROXY")
}

// try runs the client and returns all that it printed.
func (c *client) try(t *testing.T, stdin io.Reader, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, append(c.args[:len(c.args):len(c.args)], args...)...)
	cmd.Env, cmd.Dir, cmd.Stdin = c.env, c.dir, stdin
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return string(out), err
}

// run is try for what must succeed.
func (c *client) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(t, nil, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(c.path), args, err, out)
	}
	return out
}

// refused is try for what must fail and say what it failed of.
func (c *client) refused(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := c.try(t, nil, args...)
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("%s %q: %v; want a failure with %q in\n%s", filepath.Base(c.path), args, err, want, out)
	}
}

// file writes a file into the client's directory, at a path below it.
func (c *client) file(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// read returns a file of the client's directory.
func (c *client) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// holds fails the test unless a file has these bytes.
func (c *client) holds(t *testing.T, name string, want []byte) {
	t.Helper()
	if got := c.read(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that differ from the %d expected", name, len(got), len(want))
	}
}

// odd are names that some layer could take for something else.
var odd = []string{
	"plain.txt", "a b/file one.txt", "a b/ü/é.txt", "a b/ü/c+d/plus+plus.txt", "p%20q/x&y/100%.txt", "~home/~f",
	"日本語/ファイル.txt", "q?x=1#frag", `quote'"q`, "semi;colon,comma=eq", "dollar$(x)", "a@b:c!d*e", "star[1]{2}", "trail ",
	"1/2/3/4/5/6/7/8/9/deep",
}

// tree writes a file under each odd name into a folder.
func (c *client) tree(t *testing.T, folder string) {
	t.Helper()
	for _, name := range odd {
		c.file(t, filepath.Join(folder, name), []byte("content of "+name))
	}
}

// files returns all files below a folder, by relative path.
func (c *client) files(t *testing.T, folder string) map[string]string {
	t.Helper()
	found, root := map[string]string{}, filepath.Join(c.dir, folder)
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same fails the test unless two folders hold the same files.
func (c *client) same(t *testing.T, got, want string) {
	t.Helper()
	g, w := c.files(t, got), c.files(t, want)
	for name, data := range w {
		if other, ok := g[name]; !ok {
			t.Errorf("%s lacks %q", got, name)
		} else if other != data {
			t.Errorf("%s: %q holds %q, not %q", got, name, other, data)
		}
	}
	for name := range g {
		if _, ok := w[name]; !ok {
			t.Errorf("%s has %q, too", got, name)
		}
	}
}

// noise returns n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

const mib = 1 << 20

// contains fails the test unless a client printed all of want.
func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

// fetch asks for a URL unsigned, through the server as a proxy where its host
// is not the server's own, and returns status and body.
func fetch(t *testing.T, s *s3test.Server, method, target string, body []byte) (int, string) {
	t.Helper()
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if r.URL.Host != server.Host {
		transport.Proxy = http.ProxyURL(server)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

// anyone asks for an object unsigned and returns the status.
func anyone(t *testing.T, s *s3test.Server, bucket, key string) int {
	t.Helper()
	status, _ := fetch(t, s, "GET", s.URL+"/"+bucket+"/"+key, nil)
	return status
}
