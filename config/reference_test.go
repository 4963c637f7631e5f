package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestReferenceIsWhatTheTagsSay(t *testing.T) {
	golden(t, filepath.Join("testdata", "reference.md"), Reference())
}

// everyField visits the fields of all sections.
func everyField(visit func(path string, f field)) {
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		for _, f := range fieldsOf(t) {
			visit(join(path, f.name), f)
			if inner, names := section(f); inner != nil && !f.legacy() {
				walk(join(path, f.name)+names, inner)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}

func TestEveryKeyIsDocumented(t *testing.T) {
	text, count := Reference(), 0
	everyField(func(path string, f field) {
		count++
		switch {
		case f.legacy() && f.moved == "" && f.ignored == "" && f.refused == "":
			t.Errorf("%s: a former key without an answer", path)
		case !f.legacy() && (f.doc == "" || !strings.HasSuffix(f.doc, ".")):
			t.Errorf("%s: doc %q is no sentence", path, f.doc)
		case f.name != "" && !strings.Contains(text, "`"+f.name) && !strings.Contains(text, "."+f.name):
			t.Errorf("%s is not in the reference", path)
		case f.env != "" && !strings.Contains(text, f.env):
			t.Errorf("%s: %s is not in the reference", path, f.env)
		}
	})
	if count < 80 {
		t.Errorf("only %d keys were seen", count)
	}
}

// TestDefaultsAreWithinTheirBounds guards the tags: a default that its own key
// would refuse, or a bound that is not of the key's type.
func TestDefaultsAreWithinTheirBounds(t *testing.T) {
	everyField(func(path string, f field) {
		if f.legacy() || !isScalar(f.typ) {
			return
		}
		v := reflect.New(f.typ).Elem()
		if f.def != "" && setScalar(v, f.def) != nil {
			t.Errorf("%s: default %q", path, f.def)
		}
		if f.def != "" && checkBounds(&f, v) != nil {
			t.Errorf("%s: default %s is out of bounds", path, f.def)
		}
		if (f.min == "") != (f.max == "") {
			t.Errorf("%s: one bound only", path)
		}
		if _, ok := canonical(f.enum, f.def); len(f.enum) > 0 && f.def != "" && !ok {
			t.Errorf("%s: default %s is not among %v", path, f.def, f.enum)
		}
	})
}

// TestFormerKeysDoNotHideKeys guards the tags: a name must mean one thing.
func TestFormerKeysDoNotHideKeys(t *testing.T) {
	seen := map[string]bool{}
	everyField(func(path string, f field) {
		if seen[path] && f.name != "" {
			t.Errorf("%s stands twice", path)
		}
		seen[path] = true
	})
}
