package s3api

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
)

// maxXMLDepth is more than any document of S3's nests.
const maxXMLDepth = 16

// namespaces are those a document may be in: none, the current one, and the
// two that old clients write.
var namespaces = map[string]bool{
	"": true, namespace: true,
	"https://s3.amazonaws.com/doc/2006-03-01/": true, "http://doc.s3.amazonaws.com/2006-03-01": true,
}

// element is one element of a document that was read.
type element struct {
	name     string
	children []*element
	text     bool // it has character data beside white space
}

// decodeXML reads a document strictly into v, a pointer to a struct: the
// root element must be one of roots; elements must be of S3's namespace or of
// none, be fields of v, and come once unless the field is a slice. The errors
// are MalformedXML.
func decodeXML(data []byte, v any, roots ...string) error {
	root, err := parseXML(data)
	if err != nil {
		return err
	}
	if !slices.Contains(roots, root.name) {
		return malformedXML("the root element is %.80q, want %s", root.name, strings.Join(roots, " or "))
	}
	if err := root.check(reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := xml.Unmarshal(data, v); err != nil {
		return malformedXML("%v", err)
	}
	return nil
}

// parseXML reads a document's elements. There are no document types in S3's,
// hence no entities.
func parseXML(data []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	var stack []*element
	var root *element
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, malformedXML("%v", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			e := &element{name: t.Name.Local}
			switch {
			case !namespaces[t.Name.Space]:
				return nil, malformedXML("the element %.80s is of the namespace %.80q", t.Name.Local, t.Name.Space)
			case len(stack) == maxXMLDepth:
				return nil, malformedXML("nested too deeply")
			case len(stack) > 0:
				parent := stack[len(stack)-1]
				parent.children = append(parent.children, e)
			case root != nil:
				return nil, malformedXML("there is more than one root element")
			default:
				root = e
			}
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(bytes.TrimSpace(t)) == 0 {
				continue
			}
			if len(stack) == 0 {
				return nil, malformedXML("there is text outside of the root element")
			}
			stack[len(stack)-1].text = true
		case xml.Directive:
			return nil, malformedXML("document types are not allowed")
		}
	}
	if root == nil {
		return nil, malformedXML("the document is empty")
	}
	return root, nil
}

// check holds e to the fields of t.
func (e *element) check(t reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		if len(e.children) > 0 {
			return malformedXML("the element %.80s holds other elements", e.name)
		}
		return nil
	}
	if e.text && !hasCharData(t) {
		return malformedXML("the element %.80s holds text", e.name)
	}
	seen := map[string]bool{}
	for _, child := range e.children {
		field, ok := fieldOf(t, child.name)
		if !ok {
			return malformedXML("unknown element %.80s in %.80s", child.name, e.name)
		}
		if seen[child.name] && field.Kind() != reflect.Slice {
			return malformedXML("the element %.80s comes twice", child.name)
		}
		seen[child.name] = true
		if err := child.check(field); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf returns the type of the field that an element of that name goes to.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("xml"), ",")
		if f.Name == "XMLName" || options != "" && options != "omitempty" {
			continue
		}
		if tag == "" {
			tag = f.Name
		}
		if tag == name {
			return f.Type, true
		}
	}
	return nil, false
}

func hasCharData(t reflect.Type) bool {
	for i := range t.NumField() {
		if strings.HasSuffix(t.Field(i).Tag.Get("xml"), ",chardata") {
			return true
		}
	}
	return false
}
