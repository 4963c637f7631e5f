package clienttest

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

func TestBoto(t *testing.T) { testPython(t, "boto", "boto2.py") }

func TestBoto3(t *testing.T) { testPython(t, "boto3", "newboto.py") }

// python returns an interpreter that has a module, or skips the test.
func python(t *testing.T, module string) string {
	t.Helper()
	notShort(t)
	tried := []string{os.Getenv("PITHOS_TEST_PYTHON"), "python3", "/usr/bin/python3"}
	for _, path := range tried {
		if path != "" && exec.Command(path, "-W", "ignore", "-c", "import "+module).Run() == nil {
			return path
		}
	}
	t.Skipf("no Python has the module %s: neither PITHOS_TEST_PYTHON nor python3", module)
	return ""
}

// testPython runs a script of testdata on both engines. Each behaviour that
// it reports is a subtest.
func testPython(t *testing.T, module, script string) {
	path := python(t, module)
	folder, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		server, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, path, "PITHOS_HOST="+server.Hostname(), "PITHOS_PORT="+server.Port(), "PITHOS_ID="+s3test.Alice.ID,
			"PITHOS_SECRET="+s3test.Alice.Secret, "PITHOS_BUCKET="+s.Bucket(t), "PITHOS_SERVICE="+s3test.ServiceURI)
		out, err := c.try(t, nil, "-B", "-W", "ignore", filepath.Join(folder, script))
		if n := report(t, out); err != nil || n == 0 {
			t.Errorf("%s reported %d behaviours: %v\n%s", script, n, err, out)
		}
	})
}

// report makes a subtest of each line of JSON, and counts them.
func report(t *testing.T, out string) (n int) {
	for line := range strings.Lines(out) {
		var b struct{ Name, Failure string }
		if json.Unmarshal([]byte(line), &b) != nil || b.Name == "" {
			continue
		}
		n++
		t.Run(b.Name, func(t *testing.T) {
			if b.Failure != "" {
				t.Error(b.Failure)
			}
		})
	}
	return n
}
