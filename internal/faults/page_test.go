//go:build unix

package faults

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
)

// fromPage returns the arguments of a nodetool command that stands in the text
// of docs/operations.md, with its blanks filled in.
func fromPage(t testing.TB, command string, blanks ...string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(markdown.Spans(string(page)), command) {
		t.Fatalf("docs/operations.md does not have: %s", command)
	}
	return strings.Fields(strings.NewReplacer(blanks...).Replace(command))[1:]
}

// TestThePageHasTheCommandsOfTheRing holds what the tests of -faults.topology
// take from it, without them.
func TestThePageHasTheCommandsOfTheRing(t *testing.T) {
	for _, command := range []string{"nodetool cleanup", "nodetool decommission", "nodetool repair --full -pr <keyspace>"} {
		if got := fromPage(t, command, "<keyspace>", "k"); len(got) == 0 {
			t.Errorf("%s: no arguments", command)
		}
	}
	want := []string{"repair", "--full", "-hosts", "a", "-hosts", "b", "k"}
	if got := fromPage(t, "nodetool repair --full -hosts <it> -hosts <another> <keyspace>", "<it>", "a", "<another>", "b", "<keyspace>", "k"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
