package costtest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the table of bounds into docs/security.md")

const (
	page0 = "<!-- bounds: written by go test ./internal/costtest -run Page -update -->\n"
	page1 = "<!-- end of bounds -->\n"
)

// table is the bounds as Markdown.
func table() string {
	var b strings.Builder
	b.WriteString(page0 + "\n| requests | CPU time | memory allocated | metadata rows |\n|---|---|---|---|\n")
	for _, o := range bounds {
		rows := fmt.Sprint(o.rows)
		if o.answer {
			rows += " + those shown"
		}
		fmt.Fprintf(&b, "| %s | %v + %v/KiB (%v) | %d KiB + %d bytes/byte (%d) | %s |\n", o.name,
			o.cpu, o.cpuHead, o.cpuBody.Round(time.Microsecond), o.alloc>>10, o.allocHead, o.allocBody, rows)
	}
	fmt.Fprintf(&b, "\nThe answer to a refused request has %d KiB at most, whatever was sent.\n", errorBytes>>10)
	return b.String() + page1
}

func TestPageStatesTheBounds(t *testing.T) {
	const file = "../../docs/security.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), page0)
	_, after, ok1 := strings.Cut(rest, page1)
	if !ok || !ok1 {
		t.Fatalf("%s has no table of bounds: %q ... %q", file, page0, page1)
	}
	want := before + table() + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(text) {
		t.Errorf("%s states other bounds than the cost test holds: run go test ./internal/costtest -run Page -update", file)
	}
}
