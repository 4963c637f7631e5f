package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pithos/pithos/internal/cassandratest"
)

// configured writes a configuration and returns its path.
func configured(t *testing.T, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBootstrapOfTheEmbeddedEngineHasNothingToDo(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	code, out, errText := command("bootstrap", "-f", configured(t, "embedded: {directory: "+data+"}"))
	if code != exitOK || !strings.Contains(out, "nothing to do") {
		t.Errorf("exit code %d, %s%s", code, out, errText)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("it made the data directory")
	}
}

func TestBootstrapTwiceAtOnceAndAgain(t *testing.T) {
	c := cassandratest.Start(t)
	meta, bytes := c.Keyspace(t), c.Keyspace(t)
	yaml := "bucketstore: {cluster: '" + strings.Join(c.Addrs(), "', '") + "', keyspace: " + meta + "}\n" +
		"regions: {here: {storage-classes: {standard: {keyspace: " + bytes + ", max-chunk: 128k}, cold: {keyspace: " + bytes + "}}}}\n"
	path := configured(t, yaml)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if code, out, errText := command("bootstrap", "-f", path); code != exitOK {
				t.Errorf("exit code %d, %s%s", code, out, errText)
			}
		})
	}
	both.Wait()
	code, out, errText := command("bootstrap", "-f", path)
	if code != exitOK || strings.Count(out, "as they were") != 2 {
		t.Errorf("again: exit code %d, %s%s", code, out, errText)
	}

	session := c.Session(t)
	if err := session.Query("INSERT INTO " + bytes + ".schema_version (role, version) VALUES ('blob', 9999)").Exec(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PITHOS_LISTEN", "127.0.0.1:0")
	for _, verb := range []string{"bootstrap", "serve"} {
		if code, _, errText := command(verb, "-f", path); code != exitSchema || !strings.Contains(errText, "9999") {
			t.Errorf("%s over a newer schema: exit code %d, %s", verb, code, errText)
		}
	}
}

func TestBootstrapGivesUpAfterItsTimeout(t *testing.T) {
	link := newProxy(t, "")
	path := configured(t, "bucketstore: {cluster: '"+link.address+"'}")
	code, out, errText := command("bootstrap", "-f", path, "--timeout", "4s") // of which a busy machine needs some to be refused
	if code != exitUnavailable || !strings.Contains(out, "waiting for Cassandra at "+link.address) || !strings.Contains(errText, "--timeout") {
		t.Errorf("exit code %d, %s%s", code, out, errText)
	}
	if code, _, _ := command("bootstrap", "-f", path, "--timeout", "-1s"); code != exitUsage {
		t.Errorf("negative timeout: exit code %d", code)
	}
}
