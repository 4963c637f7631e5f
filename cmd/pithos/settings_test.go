package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pithos/pithos/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var printed = clientSettings{
	Endpoint: "http://127.0.0.1:8080", Region: "us-east-1", AccessKey: "PITHOSKEY", Secret: "secret/with+signs",
}

func TestSettingsAreReadyToPaste(t *testing.T) {
	var out bytes.Buffer
	if err := printed.print(&out); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "settings.txt")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestHTTPSIsToldToS3cmd(t *testing.T) {
	s := printed
	s.Endpoint = "https://s3.example.com:443"
	text := s.s3cmd()
	for _, want := range []string{"host_base = s3.example.com:443\n", "use_https = True\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}

var oddSecrets = []string{"plain", "with space", "it's", `back\slash`, `"quoted"`, "$HOME `id` !x", "a;b|c&d", "ünï"}

// TestShellGetsTheSecretItself runs the lines in a real shell.
func TestShellGetsTheSecretItself(t *testing.T) {
	for _, secret := range oddSecrets {
		s := printed
		s.Secret = config.Secret(secret)
		script := strings.Replace(s.awsCLI(), "aws s3 mb s3://demo", `printf %s "$AWS_SECRET_ACCESS_KEY"`, 1)
		got, err := exec.Command("sh", "-c", script).Output()
		if err != nil || string(got) != secret {
			t.Errorf("%q arrives as %q, %v", secret, got, err)
		}
	}
}

// TestPythonGetsTheSecretItself runs the program in a real Python, with a
// stand-in for boto3.
func TestPythonGetsTheSecretItself(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	folder := t.TempDir()
	stub := "import sys\nclass C:\n    def create_bucket(self, Bucket): pass\ndef client(name, **kw):\n" +
		"    sys.stdout.buffer.write(kw['aws_secret_access_key'].encode())\n    return C()\n"
	if err := os.WriteFile(filepath.Join(folder, "boto3.py"), []byte(stub), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, secret := range oddSecrets {
		s := printed
		s.Secret = config.Secret(secret)
		cmd := exec.Command(python, "-B", "-c", s.boto3())
		cmd.Env = append(os.Environ(), "PYTHONPATH="+folder)
		if got, err := cmd.Output(); err != nil || string(got) != secret {
			t.Errorf("%q arrives as %q, %v", secret, got, err)
		}
	}
}

func TestEndpointIsWhereClientsReachTheServer(t *testing.T) {
	cases := []struct {
		address string
		tls     bool
		want    string
	}{
		{"127.0.0.1:8080", false, "http://127.0.0.1:8080"},
		{"0.0.0.0:8080", false, "http://127.0.0.1:8080"},
		{":8080", false, "http://127.0.0.1:8080"},
		{"[::]:8080", true, "https://127.0.0.1:8080"}, // as Go calls the wildcard of both families
		{"[::ffff:0.0.0.0]:8080", false, "http://127.0.0.1:8080"},
		{"[::1]:8080", false, "http://[::1]:8080"},
		{"[fe80::1]:8080", false, "http://[fe80::1]:8080"},
		{"s3.example.com:443", true, "https://s3.example.com:443"},
	}
	for _, c := range cases {
		if got, err := endpointURL(c.address, c.tls); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", c.address, got, err, c.want)
		}
	}
	if got, err := endpointURL("nonsense", false); err == nil {
		t.Errorf("nonsense gave %s", got)
	}
}
