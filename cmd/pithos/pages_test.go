package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// shipped is where packages take manual pages and completions from.
const shipped = "../../deploy"

// TestManualPagesAndCompletionsAreUpToDate holds what packages ship to what
// the commands say. They are written by: go test ./cmd/pithos -run UpToDate -update
func TestManualPagesAndCompletionsAreUpToDate(t *testing.T) {
	var started bool
	root := newRootCommand(io.Discard, io.Discard, &started)
	root.Version = "" // of the build, which is another each time
	want := map[string]string{}
	for _, c := range documented(root) {
		want[filepath.Join("man", pageName(c)+".1")] = manualPage(c)
	}
	for file, write := range map[string]func(io.Writer) error{
		"pithos.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_pithos":     root.GenZshCompletion,
		"pithos.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		var text bytes.Buffer
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		want[filepath.Join("completion", file)] = text.String()
	}
	for file, text := range want {
		upToDate(t, filepath.Join(shipped, file), text)
	}
	pages, err := filepath.Glob(filepath.Join(shipped, "man", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if _, ok := want[filepath.Join("man", filepath.Base(page))]; !ok {
			t.Errorf("%s is of a command that is gone: remove it", page)
		}
	}
}

func upToDate(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != text {
		t.Errorf("%s is not what the commands say (%v): run go test ./cmd/pithos -run UpToDate -update", path, err)
	}
}

// documented are the commands with a manual page: the root and all below it,
// but for cobra's own.
func documented(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, child := range c.Commands() {
		if child.Name() != "completion" && child.Name() != "help" && !child.Hidden {
			all = append(all, documented(child)...)
		}
	}
	return all
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manualPage is the page of a command, in the macros of man(7). It has no
// date: that of its generation would tell nothing.
func manualPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" Pithos \"Pithos manual\"\n", strings.ToUpper(pageName(c)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(c.UseLine()))
	fmt.Fprintf(&b, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(c.Long))
	options(&b, "OPTIONS", c.NonInheritedFlags())
	options(&b, "OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	var others []string
	if c.HasParent() {
		others = append(others, pageName(c.Parent()))
	}
	for _, other := range documented(c)[1:] {
		others = append(others, pageName(other))
	}
	slices.Sort(others)
	fmt.Fprintf(&b, ".SH SEE ALSO\n")
	for i, other := range others {
		end := ","
		if i == len(others)-1 {
			end = ""
		}
		fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(other), end)
	}
	return b.String()
}

func options(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %q\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		fmt.Fprintf(b, ".TP\n.B %s\n%s", roff(strings.TrimSpace(name+" "+value)), roff(usage))
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			fmt.Fprintf(b, " (default %s)", roff(f.DefValue))
		}
		b.WriteString("\n")
	})
}

// roff makes text of what roff would take for its own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
