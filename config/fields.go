package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// field is one key of a section, read from its struct tags.
type field struct {
	name    string
	index   []int // for reflect.Value.FieldByIndex; nil on legacy keys
	typ     reflect.Type
	def     string
	doc     string
	env     string
	item    string // what a map's names are called
	same    string // section that documents these keys
	enum    []string
	min     string
	max     string
	short   bool
	moved   string
	ignored string
	refused string
	classes []string
}

// legacy says whether the key exists only for files of former versions.
func (f *field) legacy() bool { return f.index == nil }

var fieldCache sync.Map // reflect.Type → []field

// fieldsOf returns the keys of a struct type in their order, inlined ones
// included.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		name, tagged := sf.Tag.Lookup("key")
		switch {
		case name == ",inline":
			for _, f := range fieldsOf(sf.Type) {
				f.same = sf.Tag.Get("same")
				if !f.legacy() {
					f.index = append([]int{i}, f.index...)
				}
				out = append(out, f)
			}
		case tagged || sf.Tag.Get("env") != "":
			out = append(out, newField(sf, name))
		}
	}
	fieldCache.Store(t, out)
	return out
}

func newField(sf reflect.StructField, name string) field {
	f := field{
		name:    name,
		typ:     sf.Type,
		def:     sf.Tag.Get("default"),
		doc:     sf.Tag.Get("doc"),
		env:     sf.Tag.Get("env"),
		item:    sf.Tag.Get("name"),
		min:     sf.Tag.Get("min"),
		max:     sf.Tag.Get("max"),
		short:   sf.Tag.Get("short") != "",
		moved:   sf.Tag.Get("moved"),
		ignored: sf.Tag.Get("ignored"),
		refused: sf.Tag.Get("refused"),
		enum:    split(sf.Tag.Get("enum"), "|"),
		classes: split(sf.Tag.Get("classes"), "|"),
	}
	if sf.Name != "_" {
		f.index = sf.Index
	}
	return f
}

func split(s, separator string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, separator)
}

// fieldNamed finds a key of a section, or nil.
func fieldNamed(t reflect.Type, name string) *field {
	for _, f := range fieldsOf(t) {
		if f.name == name && name != "" {
			return &f
		}
	}
	return nil
}

// shortField finds the key that a scalar in place of the section sets, or nil.
func shortField(t reflect.Type) *field {
	for _, f := range fieldsOf(t) {
		if f.short {
			return &f
		}
	}
	return nil
}

// keyNames lists the keys of a section that a file of today may use.
func keyNames(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		if !f.legacy() && f.name != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// placesOf finds the sections, by full name, in which a key exists: what to
// tell someone who wrote it in the wrong one.
func placesOf(key string) []string {
	var places []string
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		for _, f := range fieldsOf(t) {
			if f.legacy() || f.name == "" {
				continue
			}
			full := join(path, f.name)
			if f.name == key && f.same == "" {
				places = append(places, full)
			}
			if inner, names := section(f); inner != nil {
				walk(full+names, inner)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	slices.SortStableFunc(places, func(a, b string) int { return len(a) - len(b) })
	return places
}

// section returns the struct type below a key, if there is one, and what
// stands between the two in a full name.
func section(f field) (reflect.Type, string) {
	t, names := f.typ, ""
	if t.Kind() == reflect.Map {
		t, names = t.Elem(), ".<"+f.item+">"
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct {
		t, names = t.Elem(), "[]"
	}
	if t.Kind() != reflect.Struct {
		return nil, ""
	}
	return t, names
}

// join appends a name to the full name of a section. Names that could be taken
// for several, or that cannot be printed, are quoted.
func join(path, name string) string {
	odd := func(r rune) bool { return r == '.' || r == '"' || !unicode.IsPrint(r) }
	if strings.ContainsFunc(name, odd) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
