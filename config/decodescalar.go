package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalar decodes one word. No message repeats it where it may be a secret.
func (d *decoder) scalar(f *field, path string, n *yaml.Node, v reflect.Value) {
	want := expectation(v.Type())
	if len(f.enum) > 0 {
		want = "one of " + strings.Join(f.enum, ", ")
	}
	if isNull(n) {
		d.fail(n.Line, path, "has no value, expected "+want, "give it one or remove the key")
		return
	}
	if n.Kind != yaml.ScalarNode || !plainTag(n, v) {
		d.fail(n.Line, path, fmt.Sprintf("expected %s, found %s", want, found(n)), quoteHint(n, v))
		return
	}
	text := n.Value
	if len(f.enum) > 0 && v.Kind() == reflect.String {
		name, ok := canonical(f.enum, text)
		if !ok {
			d.fail(n.Line, path, fmt.Sprintf("expected %s, found %s", want, shown(text, v)), didYouMean(text, f.enum))
			return
		}
		text = name
	}
	if err := setScalar(v, text); err != nil {
		d.fail(n.Line, path, fmt.Sprintf("expected %s, found %s", want, shown(text, v)), "")
		return
	}
	if err := checkBounds(f, v); err != nil {
		d.fail(n.Line, path, fmt.Sprintf("%s %s", shown(text, v), err), "")
	}
}

func didYouMean(text string, candidates []string) string {
	if near := nearest(text, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// plainTag says whether YAML's own idea of a scalar's type fits: texts may
// look like numbers or dates (a name of digits), but not like a truth value
// or something tagged.
func plainTag(n *yaml.Node, v reflect.Value) bool {
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!timestamp":
		return true
	case "!!bool":
		return v.Kind() != reflect.String
	}
	return false
}

func quoteHint(n *yaml.Node, v reflect.Value) string {
	if n.Kind == yaml.ScalarNode && v.Kind() == reflect.String {
		return "put the value in quotes"
	}
	return ""
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shown quotes a value for a message, unless it is a secret.
func shown(text string, v reflect.Value) string {
	if v.Type() == secretType {
		return "another value"
	}
	return strconv.Quote(clip(text))
}

// clip shortens what a message quotes.
func clip(text string) string {
	if len(text) > 40 {
		return text[:40] + "..."
	}
	return text
}

// found says in words what kind of node stands where another was expected.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a section"
	case n.Tag == "!!bool":
		return "a truth value (" + n.Value + ")"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	case n.Kind == yaml.ScalarNode && n.Tag != "!!str":
		return "a value with a YAML tag"
	}
	return "text"
}
