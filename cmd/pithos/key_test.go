package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandratest"
)

const testMasterKey = "cGl0aG9zIHRlc3QgbWFzdGVyIGtleSBvZiAzMiBieXQ="

// TestKeysOfARunningEngineAreManagedBesideIt asks the process that serves, by
// the verbs that do the same without it.
func TestKeysOfARunningEngineAreManagedBesideIt(t *testing.T) {
	data, err := os.MkdirTemp("", "pithos-keys-") // the names of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	t.Setenv("PITHOS_DATA", data)
	t.Setenv("PITHOS_ACCESS_KEY", "demo")
	t.Setenv("PITHOS_SECRET_KEY", "demo-secret")
	path := configured(t, "")
	p := startReady(t, "")
	var made struct {
		ID     string `json:"access_key"`
		Secret string `json:"secret_key"`
	}
	code, out, errText := command("key", "create", "-f", path, "--tenant", "alice", "--group", "ops", "--json")
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != exitOK || made.Secret == "" {
		t.Fatalf("create: exit code %d, %s%s, %v", code, out, errText, err)
	}
	if _, err := p.client(made.ID, config.Secret(made.Secret)).ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil {
		t.Errorf("the key does not work at once: %v", err)
	}
	for _, c := range []struct {
		stdin string
		args  []string
		code  int
		want  string
	}{
		{"", []string{"list"}, exitOK, made.ID},
		{"a given secret\n", []string{"create", "--access-key", "GIVEN", "--secret-key-stdin"}, exitOK, "GIVEN"},
		{"a given secret\n", []string{"create", "--access-key", "GIVEN", "--secret-key-stdin"}, exitFailure, "already"},
		{"", []string{"create", "--access-key", "a b"}, exitFailure, "printable characters"},
		{"", []string{"revoke", "GIVEN"}, exitOK, "revoked GIVEN"},
		{"", []string{"revoke", "GIVEN"}, exitFailure, "key list"},
		{"", []string{"revoke", "../keys"}, exitFailure, "key list"},
		{"", []string{"revoke", "demo"}, exitFailure, "PITHOS_ACCESS_KEY"},
	} {
		var stdout, stderr bytes.Buffer
		var started bool
		root := newRootCommand(&stdout, &stderr, &started)
		root.SetArgs(append(append([]string{"key"}, c.args...), "-f", path))
		root.SetIn(strings.NewReader(c.stdin))
		err := root.Execute()
		if text := fmt.Sprint(stdout.String(), err); exitCode(err) != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%v: exit code %d, %s; want %d, %q", c.args, exitCode(err), text, c.code, c.want)
		}
	}
	info, err := os.Stat(filepath.Join(data, "control"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's folder: %v, %v", info, err)
	}
	if strings.Contains(p.log.all(), made.Secret) {
		t.Error("the secret is in the log")
	}
	if err := p.cmd.Process.Kill(); err != nil { // and leave the socket
		t.Fatal(err)
	}
	p.wait(t)
	if code, out, errText := command("key", "list", "-f", path); code != exitOK || !strings.Contains(out, made.ID) {
		t.Errorf("after a crash: exit code %d, %s%s", code, out, errText)
	}
	startReady(t, "")
	if code, out, errText := command("key", "list", "-f", path); code != exitOK || !strings.Contains(out, made.ID) {
		t.Errorf("after the next start: exit code %d, %s%s", code, out, errText)
	}
}

func TestKeyIsCreatedUsedListedAndRevoked(t *testing.T) {
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		env = append(env, "PITHOS_MASTER_KEY="+testMasterKey)
		for _, variable := range env {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		path := configured(t, yaml)
		var made struct {
			ID     string `json:"access_key"`
			Secret string `json:"secret_key"`
			Tenant string
		}
		code, out, errText := command("key", "create", "-f", path, "--tenant", "root", "--group", "ops", "--json")
		if err := json.Unmarshal([]byte(out), &made); err != nil || code != exitOK || made.ID == "" || made.Secret == "" {
			t.Fatalf("create: exit code %d, %s%s, %v", code, out, errText, err)
		}
		for _, args := range [][]string{{"key", "list", "-f", path}, {"key", "list", "-f", path, "--json"}} {
			code, out, errText = command(args...)
			if code != exitOK || !strings.Contains(out, made.ID) || !strings.Contains(out, "ops") {
				t.Errorf("%v: exit code %d, %s%s", args, code, out, errText)
			}
			if strings.Contains(out, made.Secret) {
				t.Errorf("%v shows the secret", args)
			}
		}
		use := func() error {
			p := startReady(t, yaml, env...)
			_, err := p.client(made.ID, config.Secret(made.Secret)).ListBuckets(t.Context(), &s3.ListBucketsInput{})
			if code := p.stop(t); code != exitOK {
				t.Errorf("serve: exit code %d", code)
			}
			return err
		}
		if err := use(); err != nil {
			t.Errorf("the key does not work: %v", err)
		}
		if code, out, errText := command("key", "revoke", "-f", path, made.ID); code != exitOK {
			t.Errorf("revoke: exit code %d, %s%s", code, out, errText)
		}
		if code, _, errText := command("key", "revoke", "-f", path, made.ID); code != exitFailure || !strings.Contains(errText, "key list") {
			t.Errorf("revoke again: exit code %d, %s", code, errText)
		}
		if code, _, errText := command("key", "revoke", "-f", path, "demo"); code != exitFailure || !strings.Contains(errText, "configuration") {
			t.Errorf("revoke a key of the configuration: exit code %d, %s", code, errText)
		}
		if err := use(); err == nil || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
			t.Errorf("the revoked key: %v", err)
		}
	})
}

func TestKeyTakesASecretFromStandardInput(t *testing.T) {
	t.Setenv("PITHOS_DATA", filepath.Join(t.TempDir(), "data"))
	run := func(input string) (string, error) {
		var started bool
		var out bytes.Buffer
		root := newRootCommand(&out, &out, &started)
		root.SetIn(strings.NewReader(input))
		root.SetArgs([]string{"key", "create", "--access-key", "OWN", "--secret-key-stdin"})
		err := root.Execute()
		return out.String(), err
	}
	if out, err := run("my-own-secret\n"); err != nil || strings.Contains(out, "my-own-secret") || !strings.Contains(out, "OWN") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run("\n"); err == nil || exitCode(err) != exitUsage {
		t.Errorf("no secret: %v", err)
	}
	if _, err := run("my-own-secret\n"); err == nil {
		t.Error("the key was replaced")
	}
}

func TestKeysOfAServerThatTakesNoOrdersAreRefusedClearly(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	startReady(t, "", "PITHOS_DATA="+data)
	assert.NoError(t, os.RemoveAll(filepath.Join(data, "control")))
	t.Setenv("PITHOS_DATA", data)
	code, _, errText := command("key", "list")
	if code != exitUnavailable || !strings.Contains(errText, "control socket") || !strings.Contains(errText, "stop it") {
		t.Errorf("exit code %d, %s", code, errText)
	}
}

func TestKeyOnCassandraNeedsAMasterKey(t *testing.T) {
	c := cassandratest.Start(t)
	yaml := "bucketstore: {cluster: '" + strings.Join(c.Addrs(), "', '") + "', keyspace: " + c.Keyspace(t) + "}\n"
	bootstrapped(t, yaml, nil)
	code, _, errText := command("key", "create", "-f", configured(t, yaml))
	if code != exitConfig || !strings.Contains(errText, "PITHOS_MASTER_KEY") {
		t.Errorf("exit code %d, %s", code, errText)
	}
	if code, out, errText := command("key", "list", "-f", configured(t, yaml)); code != exitOK {
		t.Errorf("list: exit code %d, %s%s", code, out, errText)
	}
}

func TestKeyBeforeBootstrapSaysWhatToDo(t *testing.T) {
	c := cassandratest.Start(t)
	yaml := "bucketstore: {cluster: '" + strings.Join(c.Addrs(), "', '") + "', keyspace: " + c.Keyspace(t) + "}\n"
	code, _, errText := command("key", "list", "-f", configured(t, yaml))
	if code != exitSchema || !strings.Contains(errText, "pithos bootstrap") {
		t.Errorf("exit code %d, %s", code, errText)
	}
}
