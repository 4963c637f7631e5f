package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MalformedError says why a document is no bucket policy: S3's error
// MalformedPolicy.
type MalformedError struct {
	// Message is for the user, worded like S3's own where S3 has one.
	Message string
	// Path leads to the place, as Statement[0].Action; "" is the document.
	Path string
	// Line and Column count from 1, columns in bytes; 0 where no place is to
	// blame.
	Line, Column int
}

// Error is the message and its place.
func (e *MalformedError) Error() string {
	text := e.Message
	if e.Path != "" {
		text += " in " + e.Path
	}
	if e.Line > 0 {
		text += fmt.Sprintf(" (line %d, column %d)", e.Line, e.Column)
	}
	return text
}

// node is a JSON value that knows where it stands. It is kept small: 20 KB can
// hold ten thousand of them.
type node struct {
	text   string
	items  []node
	fields []field
	place  *place // of the node, or of the list that it is an item of
	offset int32
	index  int32 // in the list; -1 where place is its own
	kind   byte  // '{', '[', 's'tring, 'n'umber, 'b'ool, '0' null
}

// place is where a node is. The path is spelled only where an error shows it:
// spelled for each node, long names above many values would be copied with
// each of them.
type place struct {
	parent *place
	name   string // of a field
	index  int32  // of an item of a list; -1 for a field
}

// path leads to the place, as Statement[0].Action; "" is the document.
func (p *place) path() string {
	var steps []string
	for ; p != nil; p = p.parent {
		switch {
		case p.index >= 0:
			steps = append(steps, fmt.Sprintf("[%d]", p.index))
		case p.parent == nil:
			steps = append(steps, p.name)
		default:
			steps = append(steps, "."+p.name)
		}
	}
	slices.Reverse(steps)
	return strings.Join(steps, "")
}

// own is the node's place.
func (n *node) own() *place {
	if n.index < 0 {
		return n.place
	}
	return &place{parent: n.place, index: n.index}
}

type field struct {
	name string
	node node
}

// maxDepth is more than any policy nests.
const maxDepth = 16

// tree reads JSON into nodes.
type tree struct {
	data []byte
	dec  *json.Decoder
}

func parseTree(data []byte) (node, *tree, error) {
	t := &tree{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	t.dec.UseNumber()
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return node{}, t, t.fail(0, nil, "Policies must be valid JSON and the first byte must be '{'")
	}
	if !utf8.Valid(data) {
		return node{}, t, t.fail(0, nil, "This policy contains invalid Json: it is not UTF-8")
	}
	root, err := t.value(nil, -1, 0)
	if err != nil {
		return node{}, t, err
	}
	if _, err := t.dec.Token(); err != io.EOF {
		return node{}, t, t.fail(t.dec.InputOffset(), nil, "This policy contains invalid Json: something follows its end")
	}
	return root, t, nil
}

// fail is an error about the place at an offset.
func (t *tree) fail(offset int64, at *place, format string, args ...any) *MalformedError {
	before := t.data[:min(offset, int64(len(t.data)))]
	return &MalformedError{
		Message: fmt.Sprintf(format, args...),
		Path:    at.path(),
		Line:    1 + bytes.Count(before, []byte("\n")),
		Column:  len(before) - bytes.LastIndexByte(before, '\n'),
	}
}

// at is an error about a node.
func (t *tree) at(n node, format string, args ...any) *MalformedError {
	return t.fail(int64(n.offset), n.own(), format, args...)
}

// next is where the next token begins.
func (t *tree) next() int64 {
	i := t.dec.InputOffset()
	for i < int64(len(t.data)) && bytes.IndexByte([]byte(" \t\r\n,:"), t.data[i]) >= 0 {
		i++
	}
	return i
}

func (t *tree) token(at *place) (json.Token, int64, error) {
	start := t.next()
	token, err := t.dec.Token()
	if err == nil {
		return token, start, nil
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, start, t.fail(int64(len(t.data)), at, "This policy contains invalid Json: it ends too early")
	}
	return nil, start, t.fail(start, at, "This policy contains invalid Json: %v", err)
}

func (t *tree) value(at *place, index int32, depth int) (node, error) {
	token, start, err := t.token(at)
	if err != nil {
		return node{}, err
	}
	n := node{place: at, index: index, offset: int32(start)}
	switch v := token.(type) {
	case json.Delim:
		if depth == maxDepth {
			return node{}, t.at(n, "This policy contains invalid Json: nested too deeply")
		}
		n.kind, n.place, n.index = byte(v), n.own(), -1 // others refer to it
		if v == '{' {
			err = t.object(&n, depth)
		} else {
			err = t.array(&n, depth)
		}
	case string:
		n.kind, n.text = 's', v
	case json.Number:
		n.kind, n.text = 'n', v.String()
	case bool:
		n.kind, n.text = 'b', strconv.FormatBool(v)
	default:
		n.kind = '0'
	}
	return n, err
}

func (t *tree) object(n *node, depth int) error {
	seen := map[string]bool{}
	for t.dec.More() {
		token, start, err := t.token(n.place)
		if err != nil {
			return err
		}
		name := token.(string) // the decoder accepts nothing else as a name
		at := &place{parent: n.place, name: name, index: -1}
		if seen[name] {
			return t.fail(start, at, "This policy contains invalid Json: the field is there twice")
		}
		seen[name] = true
		value, err := t.value(at, -1, depth+1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, field{name, value})
	}
	_, _, err := t.token(n.place)
	return err
}

func (t *tree) array(n *node, depth int) error {
	for t.dec.More() {
		item, err := t.value(n.place, int32(len(n.items)), depth+1)
		if err != nil {
			return err
		}
		if len(n.items) == cap(n.items) {
			n.items = slices.Grow(n.items, 1+len(n.items)) // append would copy more often
		}
		n.items = append(n.items, item)
	}
	_, _, err := t.token(n.place)
	return err
}

// strings reads a string or a list of at least one.
func (t *tree) strings(n node) ([]node, error) {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	if len(list) == 0 {
		return nil, t.at(n, "Empty list")
	}
	for _, item := range list {
		if item.kind != 's' {
			return nil, t.at(item, "Expected a string")
		}
	}
	return list, nil
}
