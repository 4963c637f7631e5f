package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds the work for a file whose aliases repeat each other.
const maxValues = 100_000

// decoder fills a Config and remembers where everything came from.
type decoder struct {
	file   string
	errs   Errors
	notes  []string
	lines  map[string]int // full name of every key that was given → line
	values int
	// variable is where a key's value came from, if not from the file.
	variable map[string]string
}

func newDecoder(file string) *decoder {
	return &decoder{file: file, lines: map[string]int{}, variable: map[string]string{}}
}

// fail records a mistake.
func (d *decoder) fail(line int, key, problem, hint string) {
	d.errs = append(d.errs, &Error{File: d.file, Line: line, Key: key, Problem: problem, Hint: hint})
}

// failAt records a mistake in a key that was given, at its line or under the
// name of its variable; or at the line of the nearest section above it, where
// the key itself was left out.
func (d *decoder) failAt(key, problem, hint string) {
	if variable := d.variable[key]; variable != "" {
		d.errs = append(d.errs, &Error{File: environment, Key: variable, Problem: problem, Hint: hint})
		return
	}
	line := 0
	for path := key; path != "" && line == 0; path = parent(path) {
		line = d.lines[path]
	}
	d.fail(line, key, problem, hint)
}

func (d *decoder) note(line int, key, text string) {
	d.notes = append(d.notes, (&Error{File: d.file, Line: line, Key: key, Problem: text}).Error())
}

// given says whether the file or the environment set a key, or one below it.
func (d *decoder) given(key string) bool {
	if _, ok := d.lines[key]; ok {
		return true
	}
	for path := range d.lines {
		if strings.HasPrefix(path, key+".") {
			return true
		}
	}
	return false
}

// forget lets a key count as not given.
func (d *decoder) forget(key string) {
	for path := range d.lines {
		if path == key || strings.HasPrefix(path, key+".") {
			delete(d.lines, path)
		}
	}
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i > 0 {
		return path[:i]
	}
	return ""
}

// document decodes a whole file over cfg.
func (d *decoder) document(data []byte, cfg *Config) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return // nothing but comments: all defaults
	case err != nil:
		d.syntax(err)
		return
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		d.fail(more.Line, "", "a second document begins here", "keep everything in one, without a line of three dashes")
		return
	}
	if len(root.Content) == 1 {
		d.section("", root.Content[0], reflect.ValueOf(cfg).Elem())
	}
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// syntax reports what the YAML library refused. Its messages name lines, and
// words of the file only for anchors and tags, which an unquoted secret may
// have become: those are left out.
func (d *decoder) syntax(err error) {
	line, text := 0, err.Error()
	if m := syntaxLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1]) // no line in the message: 0
		text = m[2]
	}
	hint := "check indentation, quotes and colons"
	if strings.Contains(text, "anchor") || strings.Contains(text, "tag") {
		text, hint = "a value begins with *, & or !, which mean something in YAML", "put the value in quotes"
	}
	d.fail(line, "", "not valid YAML: "+text, hint)
}

var defaults sync.Map // reflect.Type → reflect.Value, never changed

// setDefaults fills a section with the defaults of its tags. Lists among them
// are shared: replace them, do not write into them.
func setDefaults(v reflect.Value) {
	cached, ok := defaults.Load(v.Type())
	if !ok {
		fresh := reflect.New(v.Type()).Elem()
		decodeDefaults(fresh)
		cached, _ = defaults.LoadOrStore(v.Type(), fresh)
	}
	v.Set(cached.(reflect.Value))
}

func decodeDefaults(v reflect.Value) {
	d := newDecoder("defaults")
	for _, f := range fieldsOf(v.Type()) {
		if f.legacy() {
			continue
		}
		fv := v.FieldByIndex(f.index)
		if f.typ.Kind() == reflect.Struct {
			setDefaults(fv)
		}
		if f.def == "" {
			continue
		}
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(f.def), &n); err != nil {
			panic("config: default of " + f.name + ": " + err.Error())
		}
		d.value(&f, f.name, n.Content[0], fv)
	}
	if len(d.errs) > 0 {
		panic("config: " + d.errs.Error())
	}
}

// entry is one key of a mapping.
type entry struct {
	key, value *yaml.Node
}

// entries lists a mapping's keys, each once, and reports those that are not
// usable.
func (d *decoder) entries(path string, n *yaml.Node) []entry {
	var out []entry
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := resolve(n.Content[i]), n.Content[i+1]
		switch {
		case k == nil || k.Kind != yaml.ScalarNode || k.Tag == "!!null":
			d.fail(n.Content[i].Line, path, "a key must be a plain word", "")
		case k.Tag == "!!merge":
			d.fail(k.Line, path, "merge keys (<<) are not supported", "write the keys out; regions inherit from bucketstore anyway")
		case first[k.Value] != 0:
			d.fail(k.Line, join(path, k.Value), fmt.Sprintf("is given twice, first in line %d", first[k.Value]), "keep one of the two")
		default:
			first[k.Value] = k.Line
			out = append(out, entry{k, v})
		}
	}
	return out
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// section decodes a mapping into a struct.
func (d *decoder) section(path string, n *yaml.Node, v reflect.Value) {
	n = resolve(n)
	if isNull(n) {
		return // all its keys are commented out
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, path, "expected keys and values, found "+found(n), "")
		return
	}
	for _, e := range d.entries(path, n) {
		full := join(path, e.key.Value)
		switch f := fieldNamed(v.Type(), e.key.Value); {
		case f == nil:
			d.unknown(path, e.key, v.Type())
		case f.legacy():
			d.former(path, f, e, v)
		default:
			d.lines[full] = e.key.Line
			d.value(f, full, e.value, v.FieldByIndex(f.index))
		}
	}
}

// unknown reports a key that does not exist and the right one, if it can be
// guessed.
func (d *decoder) unknown(path string, key *yaml.Node, t reflect.Type) {
	hint := didYouMean(key.Value, keyNames(t))
	if places := placesOf(key.Value); len(places) > 0 {
		hint = "there is " + strings.Join(places[:min(3, len(places))], ", ")
	}
	if hint == "" {
		hint = "the keys here are " + strings.Join(keyNames(t), ", ")
	}
	d.fail(key.Line, join(path, clip(key.Value)), "unknown key", hint)
}

// value decodes any node into any field.
func (d *decoder) value(f *field, path string, n *yaml.Node, v reflect.Value) {
	n = resolve(n)
	if d.values++; d.values == maxValues {
		d.fail(n.Line, path, "the file repeats too much through aliases", "")
	}
	if d.values >= maxValues {
		return
	}
	switch {
	case isScalar(v.Type()):
		d.scalar(f, path, n, v)
	case v.Kind() == reflect.Struct:
		d.structure(path, n, v)
	case v.Kind() == reflect.Map:
		d.mapping(f, path, n, v)
	case v.Kind() == reflect.Slice:
		d.list(f, path, n, v)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
}

// structure decodes a section, or the scalar that may stand for one.
func (d *decoder) structure(path string, n *yaml.Node, v reflect.Value) {
	short := shortField(v.Type())
	if n.Kind != yaml.ScalarNode || isNull(n) || short == nil {
		d.section(path, n, v)
		return
	}
	d.lines[join(path, short.name)] = n.Line
	d.scalar(short, path, n, v.FieldByIndex(short.index))
}

// mapping decodes a map whose names the user chooses.
func (d *decoder) mapping(f *field, path string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, path, fmt.Sprintf("expected one entry for each %s, found %s", f.item, found(n)), "")
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range d.entries(path, n) {
		if d.values >= maxValues {
			return
		}
		full := join(path, e.key.Value)
		if strings.TrimSpace(e.key.Value) == "" {
			d.fail(e.key.Line, path, "the name of a "+f.item+" must not be empty", "")
			continue
		}
		d.lines[full] = e.key.Line
		item := reflect.New(v.Type().Elem()).Elem()
		if item.Kind() == reflect.Struct {
			setDefaults(item)
		}
		d.value(f, full, e.value, item)
		v.SetMapIndex(reflect.ValueOf(e.key.Value), item)
	}
}

// list decodes a list. One value alone is a list of one; texts may also come
// separated by commas.
func (d *decoder) list(f *field, path string, n *yaml.Node, v reflect.Value) {
	items := n.Content
	switch {
	case isNull(n):
		d.fail(n.Line, path, "has no value", "give it one or remove the key")
		return
	case n.Kind != yaml.SequenceNode:
		items = commaSeparated(n)
	}
	out := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, item := range items {
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Struct {
			setDefaults(value)
		}
		d.value(f, path, item, value)
		out = reflect.Append(out, value)
	}
	v.Set(out)
}

// commaSeparated splits a scalar at its commas, as the environment's lists
// are written.
func commaSeparated(n *yaml.Node) []*yaml.Node {
	if n.Kind != yaml.ScalarNode || !strings.Contains(n.Value, ",") {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, part := range strings.Split(n.Value, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part, Line: n.Line})
		}
	}
	return out
}
