package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/internal/cassandratest"
)

// TestWhatANewerVersionWroteIsRefused holds every verb that opens an engine to
// the exit code and to what it says: who goes back too far must notice at once.
func TestWhatANewerVersionWroteIsRefused(t *testing.T) {
	cases := map[string]func(t *testing.T) (yaml string, env []string, want []string){
		"metadata":   func(t *testing.T) (string, []string, []string) { return newerDirectory(t, newerMetadata) },
		"blobs":      func(t *testing.T) (string, []string, []string) { return newerDirectory(t, newerBlobs) },
		"Pebble":     func(t *testing.T) (string, []string, []string) { return newerDirectory(t, newerPebble) },
		"the schema": newerSchema,
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			yaml, env, want := prepare(t)
			for _, variable := range append(env, "PITHOS_LISTEN=127.0.0.1:0", "PITHOS_MASTER_KEY="+testMasterKey) {
				key, value, _ := strings.Cut(variable, "=")
				t.Setenv(key, value)
			}
			path := configured(t, yaml)
			verbs := [][]string{{"serve"}, {"check"}}
			if name != "blobs" { // which keys have nothing to do with
				verbs = append(verbs, []string{"key", "list"})
			}
			if name == "the schema" {
				verbs = append(verbs, []string{"bootstrap"})
			}
			for _, verb := range verbs {
				code, out, errText := command(append(verb, "-f", path)...)
				if code != exitSchema {
					t.Errorf("%v: exit code %d, want %d\n%s%s", verb, code, exitSchema, out, errText)
				}
				for _, text := range want {
					if !strings.Contains(errText, text) {
						t.Errorf("%v does not say %q:\n%s", verb, text, errText)
					}
				}
			}
		})
	}
}

// newerDirectory makes a data directory, and what a later version would of it.
func newerDirectory(t *testing.T, spoil func(t *testing.T, data string) (want []string)) (string, []string, []string) {
	data := filepath.Join(t.TempDir(), "data")
	env := append([]string{"PITHOS_DATA=" + data}, rootEnv...)
	p := startReady(t, "", env...)
	if err := put(t, p.client("demo", "demo-secret"), "k", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	return "", env, append(spoil(t, data), "newer pithos")
}

func newerMetadata(t *testing.T, data string) []string {
	db, err := pebble.Open(filepath.Join(data, "meta"), &pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Set([]byte("mformat"), []byte("3"), pebble.Sync), db.Close()); err != nil {
		t.Fatal(err)
	}
	return []string{"format 3", "no later than 2", "start the pithos that wrote them"}
}

func newerBlobs(t *testing.T, data string) []string {
	writeFile(t, filepath.Join(data, "blobs", "format"), "2\n")
	return []string{"format 2", "no later than 1", "start the pithos that wrote it"}
}

// newerPebble marks the database as of a format that this Pebble lacks.
func newerPebble(t *testing.T, data string) []string {
	marks, err := filepath.Glob(filepath.Join(data, "meta", "marker.format-version.*"))
	if err != nil || len(marks) == 0 {
		t.Fatalf("%v, %v", marks, err)
	}
	for _, mark := range marks {
		if err := os.Remove(mark); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(data, "meta", "marker.format-version.999999.999"), "")
	return []string{"start the pithos that wrote them"}
}

// newerSchema puts a migration on record that this version does not know.
func newerSchema(t *testing.T) (string, []string, []string) {
	c := cassandratest.Start(t)
	keyspace := c.Keyspace(t)
	yaml := "bucketstore: {keyspace: " + keyspace + "}\n"
	env := append([]string{"PITHOS_CASSANDRA_HOST=" + strings.Join(c.Addrs(), ",")}, rootEnv...)
	bootstrapped(t, yaml, env)
	session := c.Session(t)
	var version int
	if err := session.Query("SELECT max(version) FROM " + keyspace + ".schema_version WHERE role = 'meta'").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if err := session.Query("INSERT INTO "+keyspace+".schema_version (role, version, checksum, name) VALUES ('meta', ?, 'x', 'of tomorrow')", version+1).Exec(); err != nil {
		t.Fatal(err)
	}
	return yaml, env, []string{keyspace, fmt.Sprintf("version %d", version+1), fmt.Sprintf("no later than %d", version), "or a later one"}
}
