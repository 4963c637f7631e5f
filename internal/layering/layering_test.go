// Package layering holds the laws of structure: which package may import which.
package layering

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pithos/pithos/"

// rule says what the packages below a folder may import, tests left aside.
type rule struct {
	folder string
	// own are the project's packages that may be imported; a folder stands
	// for everything below it.
	own []string
	// foreign says whether packages beside the standard library may be.
	foreign bool
	// never are imports that are forbidden all the same.
	never []string
}

// drivers are the packages that know a database.
var drivers = []string{
	"github.com/gocql/gocql", "github.com/cockroachdb/pebble/v2",
	module + "meta/cassandra", module + "meta/embedded", module + "blob/cassandra", module + "blob/file",
}

// A folder of its own may be imported by what lies below it.
var rules = []rule{
	{folder: "internal/s3err", never: []string{"net/http", "encoding/xml"}},
	{folder: "sigv2", own: []string{"internal/s3err"}},
	{folder: "sigv4", own: []string{"internal/s3err"}},
	{folder: "policy"},
	{folder: "crypt"},
	{folder: "config", foreign: true},
	{folder: "meta", own: []string{"internal/cassandra", "internal/ids", "internal/pause"}, foreign: true, never: []string{"net/http", "encoding/xml"}},
	// The parts of meta/cassandra import only cql, and cql none of them.
	{folder: "meta/cassandra/internal/cql", own: []string{"meta", "internal/cassandra", "internal/pause"}, foreign: true, never: []string{
		module + "meta/cassandra/internal/head", module + "meta/cassandra/internal/listing", module + "meta/cassandra/internal/queue"}},
	{folder: "meta/cassandra/internal/head", own: []string{"meta"}, foreign: true, never: []string{
		module + "meta/cassandra/internal/listing", module + "meta/cassandra/internal/queue"}},
	{folder: "meta/cassandra/internal/listing", own: []string{"meta"}, foreign: true, never: []string{
		module + "meta/cassandra/internal/head", module + "meta/cassandra/internal/queue"}},
	{folder: "meta/cassandra/internal/queue", own: []string{"meta"}, foreign: true, never: []string{
		module + "meta/cassandra/internal/head", module + "meta/cassandra/internal/listing"}},
	{folder: "blob", own: []string{"internal/cassandra", "internal/ids", "internal/pause"}, foreign: true, never: []string{"net/http", "encoding/xml"}},
	{folder: "schema", own: []string{"internal/cassandra"}, foreign: true, never: []string{"net/http", "encoding/xml"}},
	{folder: "store", own: []string{"internal/s3err", "internal/pause", "meta", "blob", "crypt"}, foreign: true, never: []string{
		"net/http", "encoding/xml", "github.com/gocql/gocql", "github.com/cockroachdb/pebble/v2",
		module + "meta/cassandra", module + "meta/embedded", module + "blob/cassandra", module + "blob/file"}},
	{folder: "check", own: []string{"store", "meta", "blob"}, foreign: true, never: []string{
		"net/http", "encoding/xml", "github.com/gocql/gocql",
		module + "meta/cassandra", module + "meta/embedded", module + "blob/cassandra", module + "blob/file"}},
	{folder: "internal/keyadmin", own: []string{"config", "crypt", "meta", "s3api"}, foreign: true},
	{folder: "internal/control", own: []string{"config", "crypt", "meta", "store", "internal/keyadmin", "internal/jobs"}, foreign: true, never: drivers},
	{folder: "internal/jobs", own: []string{"meta", "internal/metrics", "internal/pause"}, foreign: true, never: drivers},
	{folder: "internal/edge", own: []string{"config", "crypt", "store", "s3api", "internal/s3err", "internal/httpconn", "internal/keyadmin", "internal/metrics", "internal/observe"},
		foreign: true, never: drivers},
	{folder: "s3api", own: []string{"internal/s3err", "sigv2", "sigv4", "policy", "store", "meta", "blob"}, foreign: true, never: []string{
		"github.com/gocql/gocql", "github.com/cockroachdb/pebble/v2",
		module + "meta/cassandra", module + "meta/embedded", module + "blob/cassandra", module + "blob/file"}},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func below(path, folder string) bool {
	path = strings.TrimPrefix(path, module)
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func (r *rule) allows(path string) bool {
	switch {
	case slices.ContainsFunc(r.never, func(n string) bool { return path == n || strings.HasPrefix(path, n+"/") }):
		return false
	case strings.HasPrefix(path, module):
		return below(path, r.folder) || slices.ContainsFunc(r.own, func(f string) bool { return below(path, f) })
	case strings.Contains(strings.SplitN(path, "/", 2)[0], "."):
		return r.foreign
	}
	return true
}

func TestImportsFollowTheLaws(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		for _, r := range rules {
			if !below(p.ImportPath, r.folder) || helpsTests(p.ImportPath) {
				continue
			}
			seen[r.folder] = true
			for _, path := range p.Imports {
				if !r.allows(path) {
					t.Errorf("%s imports %s, which the rule for %s does not allow", strings.TrimPrefix(p.ImportPath, module), path, r.folder)
				}
			}
		}
	}
	for _, r := range rules {
		if !seen[r.folder] {
			t.Errorf("no package lies below %s any more: its rule holds nothing", r.folder)
		}
	}
}

// helpsTests reports packages that only tests import: suites, signers,
// wrappers that inject faults.
func helpsTests(path string) bool {
	last := path[strings.LastIndexByte(path, '/')+1:]
	return strings.HasSuffix(last, "test") || strings.HasSuffix(last, "fault")
}

// Only internal/engine, commands and tests know which engines exist.
func TestOnlyCommandsChooseEngines(t *testing.T) {
	engines := []string{"meta/cassandra", "meta/embedded", "blob/cassandra", "blob/file"}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if below(name, "cmd") || below(name, "internal/engine") || helpsTests(name) {
			continue
		}
		for _, path := range p.Imports {
			for _, e := range engines {
				if below(path, e) && strings.HasPrefix(path, module) && !below(name, e) {
					t.Errorf("%s imports %s: only commands choose engines", name, path)
				}
			}
		}
	}
}
