package s3api

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDocumentsTakeCharactersThatXMLForbids(t *testing.T) {
	for written, want := range map[string]string{
		"a&#x1;b":                        "a\x01b",
		"&#1;&#31;&#x0000c;":             "\x01\x1f\x0c",
		"\x01\x1f raw":                   "\x01\x1f raw",
		"&#0;\x00":                       "\x00\x00",
		"&#xfffe;\uffff":                 "\ufffe\uffff",
		"&#13;&#10;&#9;":                 "\r\n\t",
		"\uf8ff\ue001&#xf8ff;&#x1;":      "\uf8ff\ue001\uf8ff\x01",
		"<![CDATA[&#1;\x01\uf8ff]]>&#2;": "&#1;\x01\uf8ff\x02",
		"&amp;#1;":                       "&#1;",
		"\ufffd":                         "\ufffd",
	} {
		var doc deleteRequest
		err := decodeKeysXML([]byte("<Delete><Object><Key>"+written+"</Key></Object></Delete>"), &doc, "Delete")
		if err != nil || doc.Objects[0].Key != want {
			t.Errorf("%q: %v, %+v, want %q", written, err, doc, want)
		}
	}
	for _, bad := range []string{"&#xd800;", "&#x110000;", "&#;", "&#x;", "&#-1;", "&#99999999999999999999;", "\xff", "&#1", "<![CDATA[\x01"} {
		var doc deleteRequest
		if err := decodeKeysXML([]byte("<Delete><Object><Key>"+bad+"</Key></Object></Delete>"), &doc, "Delete"); err == nil {
			t.Errorf("%q: %+v", bad, doc)
		}
	}
	var doc deleteRequest
	if err := decodeKeysXML([]byte("<Delete><Obj\x01ect/></Delete>"), &doc, "Delete"); err == nil {
		t.Errorf("a name with a control character: %+v", doc)
	}
}

// Both decoders decode strict XML in the same way, and every key is decoded correctly,
// whether written with references or unescaped.
func FuzzKeysInDocuments(f *testing.F) {
	for _, s := range []string{"a", "&#x1;", "\x01", "<![CDATA[&#1;]]>", "\uf8ff\ue001", "&#xf8ff;", "]]>", "\r\n", "&lt;\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		document := func(key string) []byte { return []byte("<Delete><Object><Key>" + key + "</Key></Object></Delete>") }
		var strict, tolerant deleteRequest
		if decodeXML(document(s), &strict, "Delete") == nil && !strings.Contains(s, "&#") {
			if err := decodeKeysXML(document(s), &tolerant, "Delete"); err != nil || !reflect.DeepEqual(strict, tolerant) {
				t.Errorf("%q: %+v, %v, want %+v", s, tolerant, err, strict)
			}
		} else {
			_ = decodeKeysXML(document(s), &tolerant, "Delete")
		}
		if !utf8.ValidString(s) {
			return
		}
		var markup strings.Builder
		_ = xml.EscapeText(&markup, []byte(strings.Map(func(c rune) rune {
			if forbidden(c) {
				return -1
			}
			return c
		}, s)))
		for written, want := range map[string]string{escapeXML(s): s, "\x02" + markup.String(): ""} {
			var doc deleteRequest
			if err := decodeKeysXML(document(written), &doc, "Delete"); err != nil {
				t.Fatalf("%q: %v", written, err)
			}
			if got := doc.Objects[0].Key; want != "" && got != want {
				t.Errorf("%q came back as %q", want, got)
			}
		}
	})
}
