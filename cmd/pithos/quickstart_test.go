package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/markdown"
)

// blocks are the indented blocks of a section of the README.
func blocks(t *testing.T, section string) []string {
	t.Helper()
	_, text, ok := strings.Cut(readFile(t, "../../README.md"), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("the README has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var found []string
	block := ""
	for line := range strings.Lines(text + "\nend\n") {
		switch code, ok := strings.CutPrefix(line, "    "); {
		case ok:
			block += code
		case strings.TrimSpace(line) == "" && block != "":
			block += "\n"
		case block != "":
			found, block = append(found, strings.TrimRight(block, "\n")+"\n"), ""
		}
	}
	return found
}

// pasted runs lines of the README in a shell, in a folder; pithos is this
// binary. The last line is the server's.
func pasted(t *testing.T, folder, lines string, env ...string) *process {
	t.Helper()
	bin := t.TempDir()
	assert.NoError(t, os.Symlink(os.Args[0], filepath.Join(bin, "pithos")))
	script := strings.ReplaceAll(lines, "go run ./cmd/pithos", "pithos")
	cmd := exec.Command("/bin/sh", "-euc", script)
	cmd.Dir = folder
	cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH")}, env...)
	return startProcess(t, cmd)
}

// TestLaptopQuickStartWorks pastes both commands of the README.
func TestLaptopQuickStartWorks(t *testing.T) {
	commands := blocks(t, "On a laptop")
	if len(commands) != 2 {
		t.Fatalf("the README has %q", commands)
	}
	env := []string{"PITHOS_LISTEN=127.0.0.1:0", "PITHOS_CONFIGURATION=" + configured(t, "logging: {json: true}")}
	folder := t.TempDir()
	p := pasted(t, folder, execLast(commands[0]), env...)
	p.log.await(t, "pithos serves")
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	id, secret := printedKey(p.stdout.String())
	if _, err := os.Stat(filepath.Join(folder, "pithos-data")); err != nil || id == "" || secret == "" {
		t.Errorf("printed %q; %v", p.stdout, err)
	}
	p = pasted(t, t.TempDir(), execLast(commands[1]), env...)
	p.log.await(t, "pithos serves")
	if err := put(t, p.client("demo", "demo-secret"), "k", []byte("x")); err != nil {
		t.Error(err)
	}
}

// execLast has the shell replaced by the server.
func execLast(command string) string {
	i := strings.Index(command, "go run")
	if i < 0 {
		return command
	}
	// Assignments before exec are for what it executes, in every POSIX shell.
	return command[:i] + "exec " + command[i:]
}

// TestCassandraQuickStartWorks writes the file of the README, with the address
// of the tests' Cassandra, and pastes its commands.
func TestCassandraQuickStartWorks(t *testing.T) {
	c := cassandratest.Start(t)
	found := blocks(t, "On Cassandra")
	if len(found) != 3 || !strings.Contains(found[1], "pithos bootstrap") || !strings.Contains(found[2], "PITHOS_MASTER_KEY") {
		t.Fatalf("the README has %q", found)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl, which the README uses, is not installed")
	}
	yaml := found[0]
	for old, now := range map[string]string{
		"host: 0.0.0.0": "host: 127.0.0.1", "port: 8080": "port: 0",
		"cluster: 127.0.0.1": fmt.Sprintf("cluster: ['%s']", strings.Join(c.Addrs(), "', '")), "keyspace: pithos": "keyspace: " + c.Keyspace(t),
	} {
		if !strings.Contains(yaml, old) {
			t.Fatalf("the README's file has no %q:\n%s", old, yaml)
		}
		yaml = strings.Replace(yaml, old, now, 1)
	}
	folder := t.TempDir()
	writeFile(t, filepath.Join(folder, "pithos.yaml"), yaml+"logging: {json: true}\n")
	p := pasted(t, folder, found[2]+strings.Replace(found[1], "pithos serve", "exec pithos serve", 1))
	p.log.await(t, "pithos serves")
	client := p.client("AKIAIOSFODNN7EXAMPLE", config.Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
	did[*s3.CreateBucketOutput](t)(client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: demo}))
	did[*s3.PutObjectOutput](t)(client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: demo, Key: aws.String("k"), Body: strings.NewReader("secret"), ServerSideEncryption: types.ServerSideEncryptionAes256}))
	if got, err := fetch(t, client, "k"); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestTheServerOfTheClientPagesServes pastes the command of
// docs/clients/README.md, by which the pages of all clients can be tried.
func TestTheServerOfTheClientPagesServes(t *testing.T) {
	found := markdown.Blocks(readFile(t, "../../docs/clients/README.md"))
	if len(found) != 1 {
		t.Fatalf("the page has %d blocks, of which one is known", len(found))
	}
	command := strings.Replace(found[0].Text, "pithos serve", "exec pithos serve", 1)
	p := pasted(t, t.TempDir(), command, "PITHOS_LISTEN=127.0.0.1:0", "PITHOS_CONFIGURATION="+configured(t, "logging: {json: true}"))
	p.log.await(t, "pithos serves")
	client := p.client("AKIAIOSFODNN7EXAMPLE", config.Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
	did[*s3.CreateBucketOutput](t)(client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: demo}))
	assert.NoError(t, put(t, client, "k", []byte("x")))
}
