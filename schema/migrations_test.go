package schema

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMigrationsCanBeRepeatedAndNameTheirKeyspace(t *testing.T) {
	repeatable := regexp.MustCompile(`^(CREATE TABLE IF NOT EXISTS|ALTER TABLE) \{\{keyspace\}\}\.`)
	for _, role := range []Role{Meta, Blob} {
		for _, m := range mustLoad(t, role) {
			if len(m.statements) == 0 {
				t.Errorf("%s/%s does nothing", role, m.name)
			}
			for _, s := range m.statements {
				if !repeatable.MatchString(s) || strings.HasPrefix(s, "ALTER") && !strings.Contains(s, "IF NOT EXISTS") && !strings.Contains(s, " WITH ") {
					t.Errorf("%s/%s: not repeatable: %.60s", role, m.name, s)
				}
				for _, release := range []string{"4.1.9", "5.0.5"} {
					d, err := dialectOf(release)
					if err != nil {
						t.Fatal(err)
					}
					if r := d.render(s, "Ks"); strings.Contains(r, "{{") || !strings.Contains(r, `"Ks".`) {
						t.Errorf("%s/%s: a placeholder is left: %.60s", role, m.name, r)
					}
				}
			}
		}
	}
}

func TestDialectFollowsTheRelease(t *testing.T) {
	for release, want := range map[string]string{
		"4.1.9": "LeveledCompactionStrategy", "5.0.5": "UnifiedCompactionStrategy",
		"5.1-SNAPSHOT": "UnifiedCompactionStrategy", "10.0": "UnifiedCompactionStrategy",
	} {
		if d, err := dialectOf(release); err != nil || !strings.Contains(d.leveled, want) {
			t.Errorf("%s: %v, %v", release, d, err)
		}
	}
	if d, err := dialectOf("unheard of"); err == nil {
		t.Errorf("a release without a number gives %v", d)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		bad  bool
	}{
		{in: "", want: nil},
		{in: "A; B ;\n", want: []string{"A", "B"}},
		{in: "-- a; comment\nA -- and\n B;", want: []string{"A \n B"}},
		{in: `A ';' "--x;"; B`, want: []string{`A ';' "--x;"`, "B"}},
		{in: "A 'it''s;'; B", want: []string{"A 'it''s;'", "B"}},
		{in: "A - B;", want: []string{"A - B"}},
		{in: "A 'open;", bad: true},
		{in: ";;", want: nil},
	} {
		got, err := split(c.in)
		if (err != nil) != c.bad || !slices.Equal(got, c.want) {
			t.Errorf("split(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func FuzzSplitNeverPanicsAndIsStable(f *testing.F) {
	for _, s := range []string{"A; B", "-- c\nA 'x;';", `"`, "';"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, err := split(text)
		if err != nil {
			return
		}
		again, err := split(strings.Join(once, ";\n"))
		if err != nil || !slices.Equal(once, again) {
			t.Errorf("%q splits into %q, and that into %q (%v)", text, once, again, err)
		}
	})
}

func TestChecksumIgnoresCommentsAndSpacing(t *testing.T) {
	sum := func(text string) string {
		statements, err := split(text)
		if err != nil {
			t.Fatal(err)
		}
		return migration{statements: statements}.checksum()
	}
	if sum("CREATE  TABLE x;") != sum("-- why\nCREATE\nTABLE x;") {
		t.Error("a comment changes the checksum")
	}
	if sum("CREATE TABLE x;") == sum("CREATE TABLE y;") || sum("A; B;") == sum("A B;") {
		t.Error("a change does not change the checksum")
	}
}

func TestMisnumberedMigrationsAreRefused(t *testing.T) {
	for name, files := range map[string][]string{
		"gap":       {"m/0001_a.cql", "m/0003_c.cql"},
		"twice":     {"m/0001_a.cql", "m/0001_b.cql"},
		"from zero": {"m/0000_a.cql"},
		"name":      {"m/first.cql"},
	} {
		fsys := fstest.MapFS{}
		for _, f := range files {
			fsys[f] = &fstest.MapFile{Data: []byte("A;")}
		}
		if ms, err := loadMigrations(fsys, "m"); err == nil {
			t.Errorf("%s: accepted as %v", name, ms)
		}
	}
}

func TestBadNamesAndReplicationAreRefused(t *testing.T) {
	for _, name := range []string{"", "1a", "a-b", "a b", `a"b`, "a;b", strings.Repeat("a", 49)} {
		if checkKeyspace(name) == nil {
			t.Errorf("keyspace %q is accepted", name)
		}
	}
	if _, err := migrations("chunks"); err == nil {
		t.Error("an unknown role has migrations")
	}
	for _, r := range []Replication{
		{Strategy: "LocalStrategy"},
		{Strategy: simple, Datacenters: map[string]int{"a": 1}},
		{Factor: -1},
		{Factor: 1, Datacenters: map[string]int{"a": 1}},
	} {
		if r.check() == nil {
			t.Errorf("%+v is accepted", r)
		}
	}
	dcs := Replication{Datacenters: map[string]int{"o'b": 1, "a": 3}}
	if got, err := dcs.options(t.Context(), nil); err != nil || got != "{'class': 'NetworkTopologyStrategy', 'a': 3, 'o''b': 1}" {
		t.Errorf("%s, %v", got, err)
	}
}
