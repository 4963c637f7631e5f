package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/cassandratest"
)

// rootEnv gives serve a key of the environment.
var rootEnv = []string{"PITHOS_ACCESS_KEY=demo", "PITHOS_SECRET_KEY=demo-secret", "PITHOS_BUCKETS=demo"}

// engineEnv is an empty engine of each kind, as environment and YAML.
func onEachEngine(t *testing.T, test func(t *testing.T, yaml string, env []string)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, "", append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...))
	})
	t.Run("cassandra", func(t *testing.T) {
		c := cassandratest.Start(t)
		yaml := "bucketstore: {keyspace: " + c.Keyspace(t) + "}\n"
		env := append([]string{"PITHOS_CASSANDRA_HOST=" + strings.Join(c.Addrs(), ",")}, rootEnv...)
		bootstrapped(t, yaml, env)
		test(t, yaml, env)
	})
}

// bootstrapped runs 'pithos bootstrap' in this process.
func bootstrapped(t testing.TB, yaml string, env []string) {
	t.Helper()
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	path := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errText := command("bootstrap", "-f", path); code != exitOK {
		t.Fatalf("bootstrap: exit code %d, %s%s", code, out, errText)
	}
}

func put(t testing.TB, c *s3.Client, key string, body []byte) error {
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("demo"), Key: &key, Body: bytes.NewReader(body)})
	return err
}

func fetch(t testing.TB, c *s3.Client, key string) ([]byte, error) {
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("demo"), Key: &key})
	if err != nil {
		return nil, err
	}
	defer func() { _ = got.Body.Close() }()
	return io.ReadAll(got.Body)
}

func TestServeKeepsItsDataAcrossRestarts(t *testing.T) {
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		bodies := map[string][]byte{"small": []byte("x"), "empty": {}, "large": bytes.Repeat([]byte("0123456789"), 300_000)}
		p := startReady(t, yaml, env...)
		for key, body := range bodies {
			if err := put(t, p.client("demo", "demo-secret"), key, body); err != nil {
				t.Fatal(err)
			}
		}
		if code := p.stop(t); code != exitOK {
			t.Fatalf("exit code %d", code)
		}
		p = startReady(t, yaml, env...)
		for key, body := range bodies {
			got, err := fetch(t, p.client("demo", "demo-secret"), key)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %d bytes, %v", key, len(got), err)
			}
		}
		p.until(t, "/-/ready", 200)
		if code := p.stop(t); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		if strings.Contains(p.log.all(), "demo-secret") {
			t.Error("the secret is in the log")
		}
	})
}

// printedKey reads access key and secret from what serve printed.
func printedKey(out string) (id, secret string) {
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, "  access key  "); ok {
			id = strings.TrimSpace(rest)
		}
		if rest, ok := strings.CutPrefix(line, "  secret key  "); ok {
			secret = strings.TrimSpace(rest)
		}
	}
	return id, secret
}

func TestFirstStartMakesAKeyAndPrintsItOnce(t *testing.T) {
	data := "PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")
	p := startReady(t, "", data)
	client := func(id, secret string) *s3.Client { return p.client(id, config.Secret(secret)) }
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	id, secret := printedKey(p.stdout.String())
	if id == "" || secret == "" || !strings.Contains(p.stdout.String(), "export AWS_ENDPOINT_URL="+p.endpoint) {
		t.Fatalf("printed %q", p.stdout)
	}
	if strings.Contains(p.log.all(), secret) {
		t.Error("the secret is in the log")
	}
	p = startReady(t, "", data)
	if _, err := client(id, secret).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("mine")}); err != nil {
		t.Error(err)
	}
	line := p.log.await(t, "no access key is configured; using the first one in the data directory")
	if line["access key"] != id || !strings.HasSuffix(fmt.Sprint(line["file"]), "credentials") {
		t.Errorf("got %v", line)
	}
	if code := p.stop(t); code != exitOK || p.stdout.Len() > 0 {
		t.Errorf("second start: exit code %d, printed %q", code, p.stdout)
	}
}

func TestDataDirectoryIsForOneProcess(t *testing.T) {
	data := "PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")
	p := startReady(t, "", data)
	second := startServe(t, "", data)
	if code := second.wait(t); code != exitUnavailable {
		t.Errorf("exit code %d", code)
	}
	want := fmt.Sprintf("is in use by process %d", p.cmd.Process.Pid)
	if !strings.Contains(second.log.all(), want) {
		t.Errorf("%q is missing in %s", want, second.log.all())
	}
	if code, _ := get(t.Context(), p.endpoint+"/-/ready"); code != 200 {
		t.Errorf("the first process: %d", code)
	}
}

func TestServeRefusesWhatItCannotDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	folder := t.TempDir()
	cases := []struct {
		name, yaml, env, want string
		code                  int
	}{
		{"port in use", "", "PITHOS_LISTEN=" + taken.Addr().String(), "address already in use", exitFailure},
		{"no certificate", "service: {tls: {certificate: /none.pem, key: /none.key}}", "", "service.tls", exitConfig},
		{"no key file", "encryption: {master-key-file: /none}", "", "encryption.master-key-file", exitConfig},
		{"name of no bucket", "options: {buckets: [Not_A_Bucket]}", "", "options.buckets", exitConfig},
		{"unknown key", "servce: {}", "", "servce", exitConfig},
		{"Cassandra's authorities", "bucketstore: {cluster: 127.0.0.1:1, tls: {ca: /none.pem}}", "", "/none.pem", exitConfig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pithos.yaml")
			if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PITHOS_LISTEN", "127.0.0.1:0")
			t.Setenv("PITHOS_DATA", filepath.Join(folder, c.name))
			if name, value, ok := strings.Cut(c.env, "="); ok {
				t.Setenv(name, value)
			}
			code, _, errText := command("serve", "-f", path)
			if code != c.code || !strings.Contains(errText, c.want) {
				t.Errorf("exit code %d, %s", code, errText)
			}
		})
	}
}
