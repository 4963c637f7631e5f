// Package markdown finds the code in the project's pages, for the tests that
// run what the pages say.
package markdown

import (
	"regexp"
	"strings"
)

// Block is one block of code of a page: fenced, or indented by four spaces.
type Block struct {
	// Section is the heading above it, without its signs; empty before the first.
	Section string
	// Before is the line of text above it, trimmed.
	Before string
	// Language is what the fence names; empty where it names nothing or the
	// block is indented.
	Language string
	// Text is the code, without the indentation, each line with its end.
	Text string
	// Line is the number of the code's first line in the page, from 1.
	Line int
}

// File is the name of the file that the block is, which the line above it
// begins with: "`pithos.yaml`:" or "`rclone.conf` (...):". It is empty where
// that line names none.
func (b Block) File() string {
	if m := named.FindStringSubmatch(b.Before); m != nil {
		return m[1]
	}
	return ""
}

var named = regexp.MustCompile("^`([^`\\s]*\\.[^`\\s]+)`.*:$")

// Blocks returns the blocks of a page, in order.
func Blocks(page string) []Block {
	r := reader{}
	for line := range strings.Lines(page) {
		r.line++
		r.read(line)
	}
	r.end()
	return r.blocks
}

// reader is what was read of a page so far.
type reader struct {
	blocks  []Block
	line    int
	section string
	before  string
	fence   string // the fence that the current block is within
	block   *Block // the current one
	blank   string // lines, which belong to an indented block if it goes on
	free    bool   // an indented block may begin: after an empty line or a heading
}

func (r *reader) read(line string) {
	text := strings.TrimSpace(line)
	code, indented := strings.CutPrefix(line, "    ")
	switch {
	case r.fence != "":
		r.within(line, text)
	case strings.HasPrefix(text, "```"):
		r.end()
		r.fence = text[:len(text)-len(strings.TrimLeft(text, "`"))]
		r.begin(strings.TrimSpace(text[len(r.fence):]), r.line+1)
	case text == "":
		r.blank += "\n"
		r.free = true
	case indented && r.block != nil:
		r.block.Text += r.blank + code
		r.blank = ""
	case indented && r.free:
		r.begin("", r.line)
		r.block.Text = code
		r.blank = ""
	default:
		r.end()
		r.prose(line, text)
	}
}

// within reads a line of a fenced block.
func (r *reader) within(line, text string) {
	if text == r.fence {
		r.fence = ""
		r.end()
		return
	}
	r.block.Text += line
}

func (r *reader) prose(line, text string) {
	r.free = strings.HasPrefix(line, "#")
	if r.free {
		r.section = strings.TrimSpace(strings.TrimLeft(text, "#"))
		text = ""
	}
	r.before = text
}

func (r *reader) begin(language string, line int) {
	r.block = &Block{Section: r.section, Before: r.before, Language: language, Line: line}
}

// end ends the current block. What comes next has its own line above it.
func (r *reader) end() {
	if r.block != nil {
		r.blocks = append(r.blocks, *r.block)
		r.before = ""
	}
	r.block, r.blank = nil, ""
}

var span = regexp.MustCompile("`([^`]+)`")

// Spans returns the code that stands within the text of a page, in order; a
// line's end within it is a space.
func Spans(page string) []string {
	var found []string
	for _, m := range span.FindAllStringSubmatch(prose(page), -1) {
		found = append(found, strings.Join(strings.Fields(m[1]), " "))
	}
	return found
}

// prose is a page without its blocks of code.
func prose(page string) string {
	lines := strings.SplitAfter(page, "\n")
	for _, b := range Blocks(page) {
		for i := range strings.Count(b.Text, "\n") {
			lines[b.Line-1+i] = "\n"
		}
	}
	text := strings.Join(lines, "")
	return fences.ReplaceAllString(text, "")
}

var fences = regexp.MustCompile("(?m)^\\s*```.*$")

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Links returns the targets within the project that a page links to.
func Links(page string) []string {
	var found []string
	for _, m := range link.FindAllStringSubmatch(prose(page), -1) {
		if !strings.Contains(m[1], "://") {
			found = append(found, m[1])
		}
	}
	return found
}

var (
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Anchors returns the names by which the headings of a page are linked to, as
// GitHub makes them.
func Anchors(page string) []string {
	var found []string
	for _, m := range heading.FindAllStringSubmatch(prose(page), -1) {
		name := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		found = append(found, strings.ReplaceAll(name, " ", "-"))
	}
	return found
}
