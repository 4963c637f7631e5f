package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/markdown"
)

// commandsOf are the commands of a page of docs, from its blocks and from its
// text, in order and once each; without what is a comment.
func commandsOf(t *testing.T, page string) []string {
	t.Helper()
	text := readFile(t, filepath.Join("..", "..", "docs", page))
	var found []string
	add := func(command string) {
		if isCommand.MatchString(command) && !slices.Contains(found, command) {
			found = append(found, command)
		}
	}
	for _, b := range markdown.Blocks(text) {
		for line := range strings.Lines(b.Text) {
			command, _, _ := strings.Cut(line, " #")
			command = strings.TrimSuffix(strings.TrimSpace(command), ";")
			if taken, ok := strings.CutPrefix(command, "hold=$("); ok {
				command = strings.TrimSuffix(taken, ")")
			}
			add(command)
		}
	}
	for _, span := range markdown.Spans(text) {
		add(span)
	}
	return found
}

var isCommand = regexp.MustCompile(`^(pithos|nodetool|sstableloader|go|aws|cqlsh|CREATE|ALTER|DROP|GRANT|SELECT|systemctl) `)

// elsewhere are commands of docs/operations.md that tests of other packages
// take from it.
var elsewhere = map[string]string{
	"CREATE ROLE gateway WITH LOGIN = true AND PASSWORD = '...'": "internal/engine TestClusterThatKnowsItsClients",
	"GRANT SELECT ON KEYSPACE pithos TO gateway":                 "internal/engine TestClusterThatKnowsItsClients",
	"GRANT MODIFY ON KEYSPACE pithos TO gateway":                 "internal/engine TestClusterThatKnowsItsClients",
	// With -faults.topology.
	"nodetool cleanup":      "internal/faults TestNodesJoinAndLeaveUnderTraffic",
	"nodetool decommission": "internal/faults TestNodesJoinAndLeaveUnderTraffic",
	"nodetool repair --full -hosts <it> -hosts <another> <keyspace>": "internal/faults TestADeadNodeIsReplacedUnderTraffic",
}

// TestTheCommandsOfOperationsWork runs all commands of docs/operations.md on a
// Cassandra of its own: a backup is taken, the keyspace lost and restored.
func TestTheCommandsOfOperationsWork(t *testing.T) {
	o := newOperations(t)
	p := startReady(t, o.yaml, rootEnv...)
	for _, key := range []string{"small", "large"} {
		assert.NoError(t, put(t, p.client("demo", "demo-secret"), key, []byte(strings.Repeat(key, 1<<18))))
	}
	// Beside a gateway, what can be done at any time.
	for _, command := range o.commands {
		if o.elsewhere(command) || o.restores(command) || strings.HasPrefix(command, "ALTER KEYSPACE") {
			continue
		}
		o.run(command)
	}
	o.snapshotHasAll()
	if code := p.stop(t); code != exitOK {
		t.Errorf("serve: exit code %d", code)
	}
	o.restore()
	p = startReady(t, o.yaml, rootEnv...)
	for _, key := range []string{"small", "large"} {
		if got, err := fetch(t, p.client("demo", "demo-secret"), key); err != nil || string(got) != strings.Repeat(key, 1<<18) {
			t.Errorf("%s after the restore: %d bytes, %v", key, len(got), err)
		}
	}
	o.run(o.only("ALTER KEYSPACE"))
	for _, command := range o.commands {
		if !o.ran[command] && !o.elsewhere(command) {
			t.Errorf("nothing has run %s", command)
		}
	}
}

// operations is an operator with the page in hand.
type operations struct {
	t        *testing.T
	node     *cassandratest.Node
	ring     *cassandratest.Ring
	commands []string
	ran      map[string]bool
	folder   string // of pithos.yaml
	yaml     string
}

func newOperations(t *testing.T) *operations {
	ring := cassandratest.StartOwn(t)
	o := &operations{t: t, ring: ring, node: ring.Nodes[0], commands: commandsOf(t, "operations.md"), ran: map[string]bool{}, folder: t.TempDir()}
	o.yaml = fmt.Sprintf("bucketstore: {cluster: ['%s'], keyspace: pithos}\n", ring.Addrs()[0])
	writeFile(t, filepath.Join(o.folder, "pithos.yaml"), o.yaml)
	for _, variable := range rootEnv {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	o.run("pithos bootstrap")
	return o
}

// only is the command that begins so.
func (o *operations) only(prefix string) string {
	for _, command := range o.commands {
		if strings.HasPrefix(command, prefix) {
			return command
		}
	}
	o.t.Fatalf("the page has no command %s", prefix)
	return ""
}

// restores are the commands to run after a loss of data.
func (o *operations) restores(command string) bool {
	for _, prefix := range []string{"sstableloader", "nodetool refresh", "nodetool repair --full <keyspace>", "nodetool clearsnapshot"} {
		if strings.HasPrefix(command, prefix) {
			return true
		}
	}
	return false
}

// run runs a command of the page, with its blanks filled in.
func (o *operations) run(command string, blanks ...string) {
	o.t.Helper()
	o.ran[command] = true
	filled := strings.NewReplacer(append(blanks, "<keyspace>", "pithos", "<name>", "all", "DIR", filepath.Join(o.folder, "state"),
		"/var/lib/pithos-check", filepath.Join(o.folder, "state"), "pithos.yaml", filepath.Join(o.folder, "pithos.yaml"))...).Replace(command)
	words := strings.Fields(filled)
	switch words[0] {
	case "nodetool":
		o.node.Nodetool(o.t, words[1:]...)
	case "pithos":
		o.pithos(words[1:])
	case "go":
		o.goTest(words)
	case "sstableloader": // -d <node> <folder>
		if len(words) != 4 || words[1] != "-d" || words[2] != o.node.Host {
			o.t.Fatalf("%s: not as it is known", filled)
		}
		o.node.Load(o.t, words[3])
	case "ALTER":
		assert.NoError(o.t, o.ring.Session(o.t).Query(filled).Exec())
	default:
		o.t.Errorf("no test runs %s", command)
	}
}

// pithos runs a verb with the operator's configuration. What serves is another
// test's business.
func (o *operations) pithos(args []string) {
	o.t.Helper()
	if args[0] == "serve" {
		return
	}
	if !slices.Contains(args, "-f") {
		args = append(args, "-f", filepath.Join(o.folder, "pithos.yaml"))
	}
	for i, arg := range args {
		if arg == `"$hold"` || arg == "ID" { // of a hold
			code, out, errText := command("backup", "begin", "-f", filepath.Join(o.folder, "pithos.yaml"))
			if code != exitOK {
				o.t.Fatalf("pithos backup begin: exit code %d, %s", code, errText)
			}
			args[i] = strings.TrimSpace(out)
		}
	}
	code, out, errText := command(args...)
	if code != exitOK || args[0] == "check" && !strings.Contains(out, "nothing is wrong") {
		o.t.Errorf("pithos %s: exit code %d, %s%s", strings.Join(args, " "), code, out, errText)
	}
}

// goTest holds that a test or benchmark which the page names is there, and its
// flags: they take minutes.
func (o *operations) goTest(words []string) {
	o.t.Helper()
	text := ""
	files, err := filepath.Glob(filepath.Join("..", "..", words[2], "*_test.go"))
	assert.NoError(o.t, err)
	for _, file := range files {
		text += readFile(o.t, file)
	}
	for i, word := range words[3:] {
		switch name := strings.TrimPrefix(word, "-"); {
		case word == "-run", word == "-bench":
			if !regexp.MustCompile(`func (Test|Benchmark)\w*` + words[i+4]).MatchString(text) {
				o.t.Errorf("%s: there is no such test", strings.Join(words, " "))
			}
		case name != word && !strings.Contains(text, `"`+name+`"`):
			o.t.Errorf("%s: there is no flag %s", strings.Join(words, " "), word)
		}
	}
}

// elsewhere reports whether a test of another package runs the command, which
// must be there and take it from the page.
func (o *operations) elsewhere(command string) bool {
	by, ok := elsewhere[command]
	if !ok {
		return false
	}
	folder, test, _ := strings.Cut(by, " ")
	text := ""
	files, err := filepath.Glob(filepath.Join("..", "..", folder, "*_test.go"))
	assert.NoError(o.t, err)
	for _, file := range files {
		text += readFile(o.t, file)
	}
	if !strings.Contains(text, "func "+test+"(") || !strings.Contains(text, `"operations.md"`) {
		o.t.Errorf("%s: no %s that takes it from the page", command, by)
	}
	return true
}

// snapshotHasAll holds that the page's snapshots leave out no table with data.
func (o *operations) snapshotHasAll() {
	o.t.Helper()
	var all, named []string
	found := o.ring.Session(o.t).Query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'pithos'").Iter()
	for table := ""; found.Scan(&table); {
		if !strings.HasPrefix(table, "schema_") && table != "hold" { // bootstrap makes them; a backup's hold is over when it is restored
			all = append(all, "pithos."+table)
		}
	}
	assert.NoError(o.t, found.Close())
	for _, command := range o.commands {
		if _, tables, ok := strings.Cut(command, " -kt "); ok {
			named = append(named, strings.Split(tables, ",")...)
		}
	}
	slices.Sort(all)
	slices.Sort(named)
	if !slices.Equal(all, named) {
		o.t.Errorf("the page's snapshots have %v, the keyspace %v", named, all)
	}
}

// restore loses the keyspace and restores the two snapshots of the page: one
// table by sstableloader, the others by their files.
func (o *operations) restore() {
	t, backup := o.t, o.t.TempDir()
	copied := o.copySnapshots(backup)
	assert.NoError(t, o.ring.Session(t).Query("DROP KEYSPACE pithos").Exec())
	o.run("pithos bootstrap")
	for table, folder := range copied {
		if table == "chunk" {
			o.run(o.only("sstableloader"), "<a new node>", o.node.Host, "<copy>/<node>/<keyspace>/<table>", folder)
			continue
		}
		assert.NoError(t, os.CopyFS(o.tableFolder(table), os.DirFS(folder)))
		o.run(o.only("nodetool refresh"), "<table>", table)
	}
	o.run("nodetool repair --full <keyspace>")
	o.run("pithos backup end --all")
	o.run("pithos check --repair --state DIR")
	o.run("pithos check --deep")
	o.run(o.only("nodetool clearsnapshot"), "<name>", "meta")
}

// copySnapshots copies what the snapshots of the page's block have, for each
// table that has data, to <backup>/<keyspace>/<table>.
func (o *operations) copySnapshots(backup string) map[string]string {
	o.t.Helper()
	copied := map[string]string{}
	for _, name := range []string{"meta", "bytes"} {
		taken, err := filepath.Glob(filepath.Join(o.node.DataDir(), "pithos", "*", "snapshots", name))
		assert.NoError(o.t, err)
		for _, from := range taken {
			table, _, _ := strings.Cut(filepath.Base(filepath.Dir(filepath.Dir(from))), "-")
			if data, err := fs.Glob(os.DirFS(from), "*-Data.db"); err != nil || len(data) == 0 {
				continue
			}
			copied[table] = filepath.Join(backup, "pithos", table)
			assert.NoError(o.t, os.CopyFS(copied[table], os.DirFS(from)))
		}
	}
	for _, table := range []string{"chunk", "object", "listing", "bucket"} {
		if copied[table] == "" {
			o.t.Fatalf("the snapshots have no data of %s: %v", table, slices.Collect(maps.Keys(copied)))
		}
	}
	return copied
}

// tableFolder is where the node keeps a table of the keyspace.
func (o *operations) tableFolder(table string) string {
	o.t.Helper()
	folders, err := filepath.Glob(filepath.Join(o.node.DataDir(), "pithos", table+"-*"))
	assert.NoError(o.t, err)
	newest := slices.MaxFunc(folders, func(a, b string) int {
		x, errX := os.Stat(a)
		y, errY := os.Stat(b)
		assert.NoError(o.t, errX)
		assert.NoError(o.t, errY)
		return x.ModTime().Compare(y.ModTime())
	})
	return newest
}

// TestTheCommandsOfTroubleshootingAndSecurityWork runs those of both pages, on
// each engine, and holds that the messages which they name are pithos' own.
func TestTheCommandsOfTroubleshootingAndSecurityWork(t *testing.T) {
	t.Setenv("PITHOS_MASTER_KEY", testMasterKey)
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		for _, variable := range env {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		path := configured(t, yaml)
		for _, page := range []string{"troubleshooting.md", "security.md"} {
			for _, line := range commandsOf(t, page) {
				words := strings.Fields(line)
				switch {
				case words[0] == "aws": // internal/clienttest runs these
					continue
				case line == "pithos key": // of which there are several
					words = append(words, "--help")
				case line != "pithos --help":
					words = append(words, "-f", path)
				}
				if code, out, errText := command(words[1:]...); code != exitOK {
					t.Errorf("%s, %s: exit code %d, %s%s", page, line, code, out, errText)
				}
			}
		}
	})
}

// TestSymptomsAreWhatPithosSays holds that what troubleshooting.md names as a
// symptom is an error code or a message of the source.
func TestSymptomsAreWhatPithosSays(t *testing.T) {
	source := ""
	for _, folder := range []string{"s3api", "store", "config", "schema", "meta", "blob", "internal/engine", "internal/edge", "internal/keyadmin", "internal/control", "internal/jobs", "cmd/pithos", "check"} {
		assert.NoError(t, filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				source += readFile(t, path)
			}
			return err
		}))
	}
	symptoms := regexp.MustCompile(`(?m)^\*\*(.*?)\*\*`).FindAllStringSubmatch(readFile(t, "../../docs/troubleshooting.md"), -1)
	if len(symptoms) < 15 {
		t.Fatalf("only %d symptoms are found", len(symptoms))
	}
	for _, s := range symptoms {
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(s[1], -1) {
			words := strings.TrimLeft(strings.TrimSuffix(code[1], ": …"), "0123456789 ")
			if !strings.Contains(source, words) {
				t.Errorf("pithos never says %s", code[1])
			}
		}
	}
}
