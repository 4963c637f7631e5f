package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// former handles a key of former versions.
func (d *decoder) former(path string, f *field, e entry, v reflect.Value) {
	full, value := join(path, f.name), resolve(e.value)
	switch {
	case f.moved != "":
		d.moved(path, f, e, v)
	case f.accepts(value):
	case f.refused != "":
		d.fail(e.key.Line, full, "is not supported", f.refused)
	default:
		d.note(e.key.Line, full, "has no effect: "+f.ignored)
	}
}

// accepts says whether a value of a former version still means what Pithos
// does anyway.
func (f *field) accepts(value *yaml.Node) bool {
	if value.Kind != yaml.ScalarNode {
		return false
	}
	if b, err := parseBool(value.Value); err == nil && b && len(f.classes) == 1 && f.classes[0] == "true" {
		return true
	}
	for _, c := range f.classes {
		if c == value.Value {
			return true
		}
	}
	return false
}

// moved decodes a former key as the one that took its place.
func (d *decoder) moved(path string, f *field, e entry, v reflect.Value) {
	full := path
	var target *field
	for _, name := range strings.Split(f.moved, ".") {
		if target != nil {
			v = v.FieldByIndex(target.index)
		}
		target, full = fieldNamed(v.Type(), name), join(full, name)
	}
	if line, twice := d.lines[full]; twice {
		d.fail(e.key.Line, join(path, f.name), fmt.Sprintf("is the former name of %s, which line %d gives", full, line), "keep one of the two")
		return
	}
	d.lines[full] = e.key.Line
	d.value(target, full, e.value, v.FieldByIndex(target.index))
}
