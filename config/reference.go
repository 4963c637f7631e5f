package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// Reference renders every key with type, default and meaning as Markdown, the
// body of docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\n")
	b.WriteString("Pithos reads one YAML file: the one that `-f` names, else the one that `$PITHOS_CONFIGURATION` names, " +
		"else `" + DefaultPath + "` if it exists. Without a file the defaults hold: the embedded engine on 127.0.0.1:8080. " +
		"Environment variables win over the file; empty ones count as unset. A key that does not exist is an error.\n\n" +
		"Sizes are written `512k`, `1M`, `5G` (in 1024s), times `30s`, `15m`, `24h`, `7d`.\n")
	referenceSection(&b, "", "", reflect.TypeFor[Config]())
	referenceEnvironment(&b)
	referenceFormer(&b)
	return b.String()
}

// referenceSection writes a section's own keys, then the sections below it.
func referenceSection(b *strings.Builder, path, doc string, t reflect.Type) {
	if path != "" {
		fmt.Fprintf(b, "\n## `%s`\n\n%s\n", path, markdown(doc))
	}
	var rows []string
	lent := ""
	for _, f := range fieldsOf(t) {
		inner, _ := section(f)
		switch {
		case f.legacy() || f.name == "":
		case f.same != "":
			lent = f.same
		case inner == nil || shortField(inner) != nil && f.typ.Kind() != reflect.Struct:
			rows = append(rows, referenceRow(f))
		}
	}
	if len(rows) > 0 {
		b.WriteString("\n| key | value | default | meaning |\n|---|---|---|---|\n" + strings.Join(rows, ""))
	}
	if lent != "" {
		fmt.Fprintf(b, "\nAnd every Cassandra key of `%s`.\n", lent)
	}
	for _, f := range fieldsOf(t) {
		inner, names := section(f)
		if f.legacy() || f.same != "" || inner == nil || f.typ.Kind() == reflect.Slice {
			continue
		}
		referenceSection(b, join(path, f.name)+names, f.doc, inner)
	}
}

func referenceRow(f field) string {
	def := "`" + f.def + "`"
	if f.def == "" {
		def = ""
	}
	doc := f.doc
	if f.env != "" {
		doc += " Environment: " + f.env + "."
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", f.name, kindName(f), def, markdown(doc))
}

// kindName says what a key's value looks like.
func kindName(f field) string {
	t := f.typ
	bounds := ""
	if f.min != "" {
		bounds = fmt.Sprintf(", %s to %s", f.min, f.max)
	}
	switch {
	case len(f.enum) > 0:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	case t == sizeType:
		return "size" + bounds
	case t == durationType:
		return "time" + bounds
	case t == secretType:
		return "text, kept secret"
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case t.Kind() == reflect.Int:
		return "number" + bounds
	case t.Kind() == reflect.Slice:
		return "one or a list"
	case t.Kind() == reflect.Map:
		return "number by " + f.item + bounds
	}
	return "text"
}

var quoted = regexp.MustCompile(`(^|[\s(])'([^']+)'`)

// markdown turns the quotes of doc tags into code, and makes placeholders
// outside of code safe.
func markdown(doc string) string {
	parts := strings.Split(quoted.ReplaceAllString(doc, "$1`$2`"), "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

func referenceEnvironment(b *strings.Builder) {
	b.WriteString("\n## Environment\n\n| variable | sets |\n|---|---|\n")
	rows := [][2]string{
		{"PITHOS_CONFIGURATION", "the file to read"},
		{"PITHOS_LISTEN", "`service.host` and `service.port`, as host:port"},
		{"PITHOS_ACCESS_KEY", "the access key of a root key, with PITHOS_SECRET_KEY"},
		{"PITHOS_SECRET_KEY", "its secret"},
	}
	rows = append(rows, variablesOf("", reflect.TypeFor[Config]())...)
	for _, row := range rows {
		fmt.Fprintf(b, "| `%s` | %s |\n", row[0], row[1])
	}
}

func variablesOf(path string, t reflect.Type) (rows [][2]string) {
	for _, f := range fieldsOf(t) {
		switch {
		case f.legacy():
		case f.env != "" && f.name != "":
			rows = append(rows, [2]string{f.env, "`" + join(path, f.name) + "`" + listNote(f)})
		case f.env != "":
			rows = append(rows, [2]string{f.env, markdown(f.doc)})
		case f.typ.Kind() == reflect.Struct:
			rows = append(rows, variablesOf(join(path, f.name), f.typ)...)
		}
	}
	return rows
}

func listNote(f field) string {
	if f.typ.Kind() == reflect.Slice {
		return ", separated by commas"
	}
	return ""
}

func referenceFormer(b *strings.Builder) {
	b.WriteString("\n## Keys of former versions\n\nFiles written for Pithos 0.x load. What has changed:\n\n| key | now |\n|---|---|\n")
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		for _, f := range fieldsOf(t) {
			if f.legacy() && f.same == "" {
				fmt.Fprintf(b, "| `%s` | %s |\n", join(path, f.name), formerNote(f))
			}
		}
		for _, f := range fieldsOf(t) {
			if inner, names := section(f); inner != nil && !f.legacy() && f.same == "" {
				walk(join(path, f.name)+names, inner)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}

func formerNote(f field) string {
	switch {
	case f.moved != "":
		return "another name for `" + f.moved + "`"
	case f.ignored != "" && f.refused == "":
		return "accepted without effect: " + markdown(f.ignored)
	case len(f.classes) > 0:
		return "accepted with `" + strings.Join(f.classes, "` or `") + "`; else " + markdown(f.refused)
	}
	return "refused: " + markdown(f.refused)
}
