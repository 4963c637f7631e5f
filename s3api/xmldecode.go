package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pithos/pithos/internal/s3err"
)

// # Cost of documents
//
// A client chooses the bytes of a document. So the cost of decoding must be
// bounded by a small multiple of its length. Documents are decoded in one pass, and
// each rule below is checked at the token that breaks it: the rest of the document
// is not even tokenised.
//
//   - An element must be a field of its parent's type. The depth of a document
//     is that of the type.
//   - An element comes once, or up to maxXMLItems times where its field is a
//     slice; `max:"n"` in the field's tag sets another limit. A new document
//     type states the limit of S3 there.
//   - A tag with its attributes, a text or a comment has at most maxXMLToken
//     bytes, and a tag at most maxXMLAttributes attributes.
//   - Comments, processing instructions and pieces of text are limited by the
//     number of elements and maxXMLExtra.
//
// Operation.MaxBody limits the bytes of a document.
const (
	maxXMLItems      = 1000
	maxXMLToken      = 16 << 10 // the longest key, with each byte as a character reference, is 10 KiB
	maxXMLAttributes = 8
	maxXMLExtra      = 1000
)

// namespaces are the namespaces that a document may have: none, the current one, and
// the two of old clients.
var namespaces = map[string]bool{
	"": true, namespace: true,
	"https://s3.amazonaws.com/doc/2006-03-01/": true, "http://doc.s3.amazonaws.com/2006-03-01": true,
}

// decodeXML decodes a document strictly into v, a pointer to a struct: the root
// element must be one of roots; elements must have S3's namespace or none, must be
// fields of v, and occur once unless the field is a slice. S3's documents have no
// document types, hence no entities. Error: MalformedXML.
//
// A byte order mark before the document is skipped: AWS accepts it, and editors
// and .NET clients write it. encoding/xml would take it for text.
func decodeXML(data []byte, v any, roots ...string) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	tokens := &strictTokens{source: tokenSource{data: data}, roots: roots, root: shapeOf(reflect.TypeOf(v).Elem())}
	tokens.decoder = xml.NewDecoder(&tokens.source)
	err := xml.NewTokenDecoder(tokens).Decode(v)
	for err == nil { // content after the root element is an error
		_, err = tokens.Token()
	}
	var own *s3err.Error
	switch {
	case errors.As(err, &own):
		return own
	case !errors.Is(err, io.EOF):
		return malformedXML("%v", err)
	case tokens.elements == 0:
		return malformedXML("the document is empty")
	}
	return nil
}

// shape describes the content of an element that a Go type allows.
type shape struct {
	text   bool // character data other than white space
	fields map[string]child
	count  int // number of fields
}

// child is one kind of element within another.
type child struct {
	*shape
	index int // in the parent's counts
	max   int // maximum number of such elements
}

var shapes sync.Map // reflect.Type to *shape

// shapeOf returns the shape of t, which must not be recursive.
func shapeOf(t reflect.Type) *shape {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{text: t.Kind() != reflect.Struct}
	if t.Kind() == reflect.Struct {
		s.fields = map[string]child{}
		for i := range t.NumField() {
			s.add(t.Field(i))
		}
	}
	shapes.Store(t, s)
	return s
}

func (s *shape) add(f reflect.StructField) {
	name, options, _ := strings.Cut(f.Tag.Get("xml"), ",")
	if options == "chardata" {
		s.text = true
	}
	if f.Name == "XMLName" || options != "" && options != "omitempty" {
		return
	}
	if name == "" {
		name = f.Name
	}
	c := child{shape: shapeOf(f.Type), index: s.count, max: 1}
	if f.Type.Kind() == reflect.Slice {
		c.max = maxXMLItems
	}
	if limit, err := strconv.Atoi(f.Tag.Get("max")); err == nil {
		c.max = limit
	}
	s.fields[name] = c
	s.count++
}

// strictTokens is an xml.TokenReader of the tokens of a document that follow
// the rules; it fails at the first one that does not.
type strictTokens struct {
	source  tokenSource
	decoder *xml.Decoder
	roots   []string
	root    *shape
	open    []openElement // the elements around the next token, outermost first

	elements, extra int
}

// openElement is an element whose end tag has not been read yet.
type openElement struct {
	*shape
	name string
	seen []int // the number of elements of each field so far
}

// Token implements xml.TokenReader. Namespaces are checked and left out.
func (s *strictTokens) Token() (xml.Token, error) {
	for {
		s.source.used = 0
		t, err := s.decoder.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.StartElement:
			return s.start(t)
		case xml.EndElement:
			s.open = s.open[:len(s.open)-1]
			t.Name.Space = ""
			return t, nil
		case xml.Directive:
			return nil, malformedXML("document types are not allowed")
		}
		if s.extra++; s.extra > maxXMLExtra+4*s.elements {
			return nil, malformedXML("there are too many comments or pieces of text")
		}
		text, ok := t.(xml.CharData)
		if !ok {
			continue // a comment or processing instruction
		}
		if err := s.text(text); err != nil {
			return nil, err
		}
		if len(s.open) > 0 {
			return text, nil
		}
	}
}

func (s *strictTokens) start(t xml.StartElement) (xml.Token, error) {
	switch {
	case !namespaces[t.Name.Space]:
		return nil, malformedXML("the element %.80s is of the namespace %.80q", t.Name.Local, t.Name.Space)
	case len(t.Attr) > maxXMLAttributes:
		return nil, malformedXML("the element %.80s has more than %d attributes", t.Name.Local, maxXMLAttributes)
	}
	of, err := s.place(t.Name.Local)
	if err != nil {
		return nil, err
	}
	s.elements++
	s.push(t.Name.Local, of)
	t.Name.Space = ""
	t.Attr = slices.DeleteFunc(t.Attr, func(a xml.Attr) bool { return a.Name.Space == "xmlns" || a.Name.Local == "xmlns" })
	return t, nil
}

// notImplementedElements are elements, in any document, that ask for protection that
// Pithos does not have. The answer is 501 with the element's name, as for headers
// (families in requestheaders.go).
var notImplementedElements = map[string]bool{"DefaultEventHold": true, "EventHold": true, "EventHoldDuration": true}

// place returns the shape of an element that begins at the current position.
func (s *strictTokens) place(name string) (*shape, error) {
	if len(s.open) == 0 {
		switch {
		case s.elements > 0:
			return nil, malformedXML("there is more than one root element")
		case !slices.Contains(s.roots, name):
			return nil, malformedXML("the root element is %.80q, want %s", name, strings.Join(s.roots, " or "))
		}
		return s.root, nil
	}
	parent := &s.open[len(s.open)-1]
	if parent.fields == nil {
		return nil, malformedXML("the element %.80s holds other elements", parent.name)
	}
	c, ok := parent.fields[name]
	if !ok {
		if notImplementedElements[name] {
			return nil, failf(s3err.NotImplemented, "The element %s implies functionality that is not implemented.", name).With("Element", name)
		}
		return nil, malformedXML("unknown element %.80s in %.80s", name, parent.name)
	}
	switch parent.seen[c.index]++; {
	case parent.seen[c.index] <= c.max:
		return c.shape, nil
	case c.max == 1:
		return nil, malformedXML("the element %.80s comes twice", name)
	}
	return nil, malformedXML("the element %.80s comes more than %d times", name, c.max)
}

func (s *strictTokens) push(name string, of *shape) {
	n := len(s.open)
	s.open = slices.Grow(s.open, 1)[:n+1]
	e := &s.open[n] // reuses the slice of counts of the previous element at this depth
	e.shape, e.name = of, name
	e.seen = slices.Grow(e.seen[:0], of.count)[:of.count]
	clear(e.seen)
}

func (s *strictTokens) text(t xml.CharData) error {
	if len(bytes.TrimSpace(t)) == 0 {
		return nil
	}
	if len(s.open) == 0 {
		return malformedXML("there is text outside of the root element")
	}
	if in := &s.open[len(s.open)-1]; !in.shape.text {
		return malformedXML("the element %.80s holds text", in.name)
	}
	return nil
}

// tokenSource reads a document and fails as soon as one token has more than
// maxXMLToken bytes. xml.Decoder reads it byte by byte.
type tokenSource struct {
	data []byte
	used int // bytes since the last token
}

// ReadByte implements io.ByteReader.
func (s *tokenSource) ReadByte() (byte, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	if s.used++; s.used > maxXMLToken {
		return 0, malformedXML("a tag, text or comment is longer than %d bytes", maxXMLToken)
	}
	c := s.data[0]
	s.data = s.data[1:]
	return c, nil
}

// Read implements io.Reader, which xml.NewDecoder requires.
func (s *tokenSource) Read(p []byte) (int, error) {
	for n := range p {
		c, err := s.ReadByte()
		if err != nil {
			return n, err
		}
		p[n] = c
	}
	return len(p), nil
}
