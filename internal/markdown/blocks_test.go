package markdown_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/pithos/pithos/internal/markdown"
)

const page = "# Title\n" +
	"\n" +
	"    first\n" +
	"\n" +
	"      second\n" +
	"\n" +
	"Text with `one span`, and `one\nover lines`:\n" +
	"\n" +
	"```sh\n" +
	"echo `date`\n" +
	"\n" +
	"    # not a block of its own\n" +
	"```\n" +
	"\n" +
	"## Below\n" +
	"\n" +
	"`some/file.yaml` (or elsewhere):\n" +
	"\n" +
	"    key: value\n" +
	"- an item\n" +
	"    that goes on\n" +
	"\n" +
	"`all of it` is no file:\n" +
	"\n" +
	"````\n" +
	"```\n" +
	"````\n"

func TestBlocksOfAPage(t *testing.T) {
	want := []markdown.Block{
		{Section: "Title", Text: "first\n\n  second\n", Line: 3},
		{Section: "Title", Before: "over lines`:", Language: "sh", Text: "echo `date`\n\n    # not a block of its own\n", Line: 11},
		{Section: "Below", Before: "`some/file.yaml` (or elsewhere):", Text: "key: value\n", Line: 20},
		{Section: "Below", Before: "`all of it` is no file:", Text: "```\n", Line: 27},
	}
	got := markdown.Blocks(page)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	var files []string
	for _, b := range got {
		files = append(files, b.File())
	}
	if want := []string{"", "", "some/file.yaml", ""}; !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
}

func TestSpansOfAPage(t *testing.T) {
	want := []string{"one span", "one over lines", "some/file.yaml", "all of it"}
	if got := markdown.Spans(page); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzBlocks holds that every block is where it says.
func FuzzBlocks(f *testing.F) {
	f.Add(page)
	f.Add("```\n")
	f.Add("    a\n\n```")
	f.Fuzz(func(t *testing.T, page string) {
		line := 0
		for _, b := range markdown.Blocks(page) {
			if b.Line <= line {
				t.Errorf("a block of line %d after one of line %d", b.Line, line)
			}
			line = b.Line
		}
		markdown.Spans(page)
	})
}

func TestLinksAndAnchorsOfAPage(t *testing.T) {
	const page = "# Upgrade, and `roll` back\n\n[a](b.md#c) [d](https://example.com)\n\n    [e](f)\n\n## When a node is down\n"
	if got, want := markdown.Links(page), []string{"b.md#c"}; !slices.Equal(got, want) {
		t.Errorf("links %q, want %q", got, want)
	}
	if got, want := markdown.Anchors(page), []string{"upgrade-and-roll-back", "when-a-node-is-down"}; !slices.Equal(got, want) {
		t.Errorf("anchors %q, want %q", got, want)
	}
}
