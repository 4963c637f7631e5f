package s3api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

// formHeaders are the fields, besides x-amz-*, that have the meaning of a header of
// a PUT, with the name of that header.
var formHeaders = map[string]string{
	"acl": "X-Amz-Acl", "content-type": "Content-Type", "cache-control": "Cache-Control",
	"content-disposition": "Content-Disposition", "content-encoding": "Content-Encoding",
	"content-language": "Content-Language", "expires": "Expires", "content-md5": "Content-Md5",
	"if-match": "If-Match", "if-none-match": "If-None-Match",
	"x-amz-checksum-algorithm": "X-Amz-Sdk-Checksum-Algorithm",
}

// formPrefixes are the prefixes of fields that have the meaning of headers.
var formPrefixes = []string{
	"x-amz-meta-", "x-amz-acl", "x-amz-grant-", "x-amz-storage-class", "x-amz-server-side-encryption",
	"x-amz-website-redirect-location", "x-amz-checksum-", "x-amz-sdk-checksum-algorithm", "x-amz-tagging", "x-amz-object-lock-",
}

// formHeader returns the header of a field, in lower case; "" if it has none.
func formHeader(field string) string {
	if h := formHeaders[field]; h != "" {
		return h
	}
	for _, prefix := range formPrefixes {
		if strings.HasPrefix(field, prefix) {
			return http.CanonicalHeaderKey(field)
		}
	}
	return ""
}

// headers returns the headers that a PUT of the form's object would have: those of
// the fields, and of outer, the headers of the POST, those that do not describe an
// object. InvalidArgument, NotImplemented.
func (f *form) headers(outer http.Header) (http.Header, error) {
	h := http.Header{}
	for name, values := range outer {
		if formHeaders[strings.ToLower(name)] == "" || strings.HasPrefix(name, "If-") {
			h[name] = values
		}
	}
	for _, field := range f.fieldNames() {
		name, value := formHeader(field), f.fields[field]
		switch {
		case name == "" && strings.HasPrefix(field, "x-amz-") && !verbatim[field]:
			return nil, failf(s3err.NotImplemented, "The form has a field that implies functionality that is not implemented").With("Header", field)
		case name == "":
			continue
		case !isToken(field):
			return nil, badArgument(field, "", "The name of the field is not that of a header.")
		case strings.ContainsFunc(value, isControl):
			return nil, badArgument(field, "", "The value of the field %.80s has control characters.", field)
		case h.Get(name) != "":
			return nil, badArgument(field, "", "The field %.80s contradicts the header or another field of that meaning.", field)
		}
		h.Set(name, value)
	}
	return h, f.tagHeader(h)
}

// tagHeader makes the header x-amz-tagging of the field tagging, an XML document.
// Handlers and policy conditions read the new object's tags from that header.
func (f *form) tagHeader(h http.Header) error {
	if !f.has("tagging") {
		return nil
	}
	if h.Get("X-Amz-Tagging") != "" {
		return badArgument("tagging", "", "The form has both tagging and x-amz-tagging.")
	}
	var doc taggingDocument
	if err := decodeXML([]byte(f.fields["tagging"]), &doc, "Tagging"); err != nil {
		return err
	}
	if doc.TagSet == nil {
		return malformedXML("there is no TagSet")
	}
	tags, err := tagsOf(doc.TagSet.Tag, maxObjectTags)
	if err != nil {
		return err
	}
	pairs := url.Values{}
	for _, t := range tags {
		pairs.Set(t.Key, t.Value)
	}
	h.Set("X-Amz-Tagging", pairs.Encode())
	return nil
}

// checkFormHeader refuses headers of a POST that describe the object. Only fields
// may do that, since the policy covers fields.
func checkFormHeader(h http.Header) error {
	for _, name := range []string{"Content-Md5", "X-Amz-Trailer", "X-Amz-Decoded-Content-Length", "X-Amz-Security-Token"} {
		if h.Get(name) != "" {
			return badArgument(name, "", "The header %s has no meaning for a form.", name)
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-") && formHeader(strings.ToLower(name)) != "" {
			return badArgument(name, "", "A form says this by a field, not by the header %s.", name)
		}
	}
	return nil
}

func isControl(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isToken reports whether s can be the name of a header, in lower case.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
