package clienttest

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
	"github.com/pithos/pithos/internal/s3test"
)

// pages are those of docs/clients that are run from their first line to their
// last, with the program that each needs.
var pages = map[string]string{
	"s3cmd.md": "s3cmd", "aws-cli.md": "aws", "rclone.md": "rclone", "restic.md": "restic", "s5cmd.md": "s5cmd", "mc.md": "mc",
}

// TestCommandsOfTheClientPagesWork runs what a reader of docs/clients would
// paste: files are written where the page says, and commands run in order, as
// one script, so that what one block exports the next one has.
func TestCommandsOfTheClientPagesWork(t *testing.T) {
	for name, tool := range pages {
		t.Run(name, func(t *testing.T) {
			path := program(t, tool)
			s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
				t.Cleanup(func() { s.Remove(t, demo) })
				c := newClient(t, path)
				c.named(t, tool, path)
				c.shell(t, strings.Join(c.scripts(t, page(t, s, name)), ""))
			})
		})
	}
}

// TestScriptsOfThePageOfBotoWork runs both scripts of docs/clients/boto.md.
func TestScriptsOfThePageOfBotoWork(t *testing.T) {
	for i, module := range []string{"boto3", "boto"} {
		t.Run(module, func(t *testing.T) {
			path := python(t, module)
			s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
				t.Cleanup(func() { s.Remove(t, demo) })
				blocks := page(t, s, "boto.md")
				if len(blocks) != 2 {
					t.Fatalf("%d scripts, of which 2 are known", len(blocks))
				}
				runScript(t, s, path, blocks[i].Text)
			})
		})
	}
}

// runScript runs a script, whose server may stand as host and port.
func runScript(t *testing.T, s *s3test.Server, path, script string) {
	t.Helper()
	c := newClient(t, path)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	c.file(t, "script.py", []byte(strings.ReplaceAll(script, "port=8080", "port="+port)))
	c.run(t, "-W", "ignore", "script.py")
}

// clientsOfREADME are the blocks of its section on clients.
func clientsOfREADME(t *testing.T, s *s3test.Server) (s3cfg, boto string) {
	t.Helper()
	blocks := slices.DeleteFunc(paste(t, s, filepath.Join("..", "..", "README.md")),
		func(b markdown.Block) bool { return b.Section != "Clients" })
	if len(blocks) != 2 {
		t.Fatalf("README.md has %d blocks below Clients, of which 2 are known", len(blocks))
	}
	return blocks[0].Text, blocks[1].Text
}

// TestREADMEsS3cfgWorks runs the verbs that README.md names with its settings,
// and with those of version 4 that it describes.
func TestREADMEsS3cfgWorks(t *testing.T) {
	path := program(t, "s3cmd")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		settings, _ := clientsOfREADME(t, s)
		host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
		settings = strings.NewReplacer("s3.example.com", s3test.ServiceURI, "proxy_host = localhost", "proxy_host = "+host,
			"proxy_port = 8080", "proxy_port = "+port).Replace(settings)
		var today []string
		for line := range strings.Lines(settings) {
			switch name, _, _ := strings.Cut(line, " ="); name {
			case "signature_v2", "proxy_host", "proxy_port":
			case "host_base", "host_bucket":
				today = append(today, name+" = "+host+":"+port+"\n")
			default:
				today = append(today, line)
			}
		}
		for way, s3cfg := range map[string]string{"version 2 by proxy": settings, "version 4 by path": strings.Join(today, "")} {
			t.Run(way, func(t *testing.T) { runVerbs(t, s, path, s3cfg) })
		}
	})
}

// runVerbs runs those of s3cmd that README.md names.
func runVerbs(t *testing.T, s *s3test.Server, path, s3cfg string) {
	c, bucket := newClient(t, path), s3test.BucketName(t)
	b := "s3://" + bucket
	t.Cleanup(func() { s.Remove(t, bucket) })
	c.file(t, ".s3cfg", []byte(s3cfg))
	c.file(t, "tree/large", noise(16*mib)) // two parts of 15 MB
	c.run(t, "mb", b)
	c.run(t, "put", "tree/large", b+"/large")
	c.run(t, "get", b+"/large", "got")
	c.holds(t, "got", noise(16*mib))
	contains(t, c.run(t, "info", b+"/large"), "SSE:       AES256")
	c.run(t, "cp", b+"/large", b+"/copy")
	c.run(t, "mv", b+"/copy", b+"/moved")
	c.run(t, "setacl", "--acl-public", b+"/moved")
	c.run(t, "sync", "tree/", b+"/tree/")
	contains(t, c.run(t, "ls", "-r", b), "/large", "/moved", "/tree/large")
	c.run(t, "del", "-r", "--force", b)
	c.run(t, "rb", b)
}

// TestREADMEsBotoWorks runs its lines for boto 2, and a call.
func TestREADMEsBotoWorks(t *testing.T) {
	path := python(t, "boto")
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		_, script := clientsOfREADME(t, s)
		script = strings.ReplaceAll(script, "localhost", strings.Split(strings.TrimPrefix(s.URL, "http://"), ":")[0])
		runScript(t, s, path, script+"c.get_all_buckets()\n")
	})
}
