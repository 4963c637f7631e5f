package cassandra

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutants = flag.Int("mutants", 0, "how many schedules may pass until each deliberately broken rule is caught; 0 leaves this test out")

// mutant is a rule of the protocol, and how to break it in the source.
type mutant struct {
	name, file string
	old, new   string
	harmless   bool // by what else there is
}

var brokenRules = []mutant{
	{name: "a writer does not read the seal after its pending row", file: "change.go",
		old: "if !seal.sealed {", new: "if !seal.sealed || true {"},
	{name: "the head changes before the seal is read", file: "change.go",
		old: `	if err := p.settle(ctx, c.Guard); err != nil {
		return wrap(err, "commit change")
	}
	if err := p.s.change(ctx, p.bucket, p.key, c); err != nil {
		return wrap(err, "commit change")
	}
`, new: `	if err := p.s.change(ctx, p.bucket, p.key, c); err != nil {
		return wrap(err, "commit change")
	}
	if err := p.settle(ctx, c.Guard); err != nil {
		return wrap(err, "commit change")
	}
`},
	{name: "final rows follow a seal", file: "settled.go",
		old: "if r.kind != visible || r.state == stateLive {\n			continue", new: "if r.kind != visible {\n			continue"},
	{name: "a shard is replaced before it was copied whole from its parent", file: "shards.go",
		old: "if err != nil || !seal.copied {\n\t\t\treturn r, seal, err", new: "if err == nil && seal.sealed && !seal.copied {\n\t\t\treturn seal.descend(r, key), seal0(), nil\n\t\t}\n\t\tif err != nil || !seal.copied {\n\t\t\treturn r, seal, err"},
	{name: "a shard is replaced before it was copied from all that it replaces", file: "split.go",
		old: "	var ids []byte\n	var at string\n", new: "	var ids []byte\n	var at string\n	if len(ids) == 0 {\n		return nil\n	}\n"},
	{name: "a shard that was lost does not end a run", file: "split.go",
		old: "		if now.left != child {\n			break\n		}\n", new: "		if now.left != child {\n			continue\n		}\n"},
	{name: "a deletion is written though the parent is not copied", file: "settled.go",
		old: "			if !settled {\n", new: "			if !settled && r.key == \"\" {\n"},
	{name: "a listing does not look whether the parent was copied meanwhile", file: "page.go",
		old: "	seal, err = s.readSeal(ctx, bucket, r.shard)\n	switch {", new: "	if !deeper.sealed {\n		return merge(p, under), false, nil\n	}\n	seal, err = s.readSeal(ctx, bucket, r.shard)\n	switch {"},
	{name: "a row is repaired under a parent that is not copied", file: "page.go",
		old: "		r.settled = false\n", new: ""},
	{name: "an old pending row is repaired without a fence", file: "repair.go",
		old: "h, err := s.Fence(ctx, bucket, r.key, r.rev, meta.ReadOptions{Limit: 2})", new: "read, _, err := s.readHead(ctx, s.serial(), bucket, r.key, 2, false)\n\th := read.Head\n\th.Rev = r.rev"},
	{name: "the map of shards is told before a shard is copied", file: "split.go",
		old: "	begin, err := s.begin(ctx, bucket, r.shard)\n", new: "	_ = s.pointTo(ctx, bucket, r, seal)\n	begin, err := s.begin(ctx, bucket, r.shard)\n"},
	{name: "a shard that is cut is marked before what was cut off is deleted", file: "split.go",
		old: "	if seal.cuts(r.shard) {\n		if err := s.cutOff(ctx, bucket, r.shard, seal); err != nil {\n			return err\n		}\n	}\n", new: ""},
	{name: "a page goes by the seal of the shard that had its partition before", file: "page.go",
		old: "|| shard != name && idOf(columns.left) == name", new: "|| shard != name"},
	{name: "the owner of a partition does not change with its seal", file: "cuts.go",
		old: "entry(disown, next[:]", new: "entry(disown, append(next[:0:0], shard[:]...)"},
	// Whatever a late copier still finds in the parent was copied by whoever
	// has marked it. In the child that is an older row than what came since,
	// or than its deletion, whose tombstone is there; once the child is copied
	// too, the deletion of all its rows at the end of time hides it. The rule
	// stays: it spares the work, and does not lean on tombstones.
	{name: "a copier goes on after the shard was marked", file: "split.go", harmless: true,
		old: "			if now.copied {\n				return s.dropShard", new: "			if now.copied && len(rows) == 0 {\n				return s.dropShard"},
}

// TestBrokenRulesAreCaught breaks one rule of the protocol at a time, and runs
// random schedules until one fails:
//
//	go test ./meta/cassandra -run BrokenRules -mutants 100000 -timeout 3h -v
func TestBrokenRulesAreCaught(t *testing.T) {
	for _, m := range brokenRules {
		source, err := os.ReadFile(m.file)
		must(t, err)
		if n := strings.Count(string(source), m.old); n != 1 {
			t.Errorf("%s: %s has the rule %d times", m.name, m.file, n)
			continue
		}
		if *mutants == 0 {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			out, caught := m.run(t, strings.Replace(string(source), m.old, m.new, 1))
			if caught == m.harmless {
				t.Errorf("caught: %v, in %d schedules", caught, *mutants)
			}
			t.Logf("%.600s", out)
		})
	}
}

// run runs schedules over the mutated source, and tells whether one failed.
func (m *mutant) run(t *testing.T, source string) (out string, caught bool) {
	dir := t.TempDir()
	here, err := filepath.Abs(".")
	must(t, err)
	broken := filepath.Join(dir, "broken.go")
	must(t, os.WriteFile(broken, []byte(source+"\nfunc seal0() seal { return seal{} }\n\nvar _ = seal0\n"), 0o644))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, m.file): broken}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))
	binary := filepath.Join(dir, "schedules.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "-overlay", filepath.Join(dir, "overlay.json"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the broken source does not build: %s", out)
	}
	text, err := exec.CommandContext(t.Context(), binary, "-test.run", "ExplainedByHeads", "-schedules", fmt.Sprint(*mutants)).CombinedOutput()
	return string(text), err != nil
}
