package s3api

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// hostileXML are documents that cost their sender only their size.
func hostileXML(size int) map[string]string {
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (size-len(head)-len(tail))/len(unit)) + tail
	}
	return map[string]string{
		"unknown elements":        fill("<Delete>", "<a/>", "</Delete>"),
		"too many elements":       fill("<Delete>", "<Object/>", "</Delete>"),
		"nesting":                 fill("", "<Delete>", ""),
		"nesting of elements":     fill("<Delete>", "<Object>", ""),
		"nesting of text":         fill("<Delete><Object>", "<Key>", ""),
		"attributes":              fill("<Delete", ` a=""`, "/>"),
		"namespaces":              fill("<Delete", ` xmlns:a=""`, "/>"),
		"a long name":             fill("<", "D", "/>"),
		"a long value":            fill(`<Delete a="`, "a", `"/>`),
		"a long text":             fill("<Delete><Object><Key>", "k", "</Key></Object></Delete>"),
		"references":              fill("<Delete><Object><Key>", "&#1;", "</Key></Object></Delete>"),
		"white space":             fill("<Delete>", " ", "</Delete>"),
		"comments":                fill("<Delete>", "<!---->", "</Delete>"),
		"comments in front":       fill("", "<!---->", "<Delete/>"),
		"comments behind":         fill("<Delete/>", "<!---->", ""),
		"processing instructions": fill("<Delete>", "<?a?>", "</Delete>"),
		"a long comment":          fill("<Delete><!--", "a", "--></Delete>"),
		"CDATA sections":          fill("<Delete>", "<![CDATA[]]>", "</Delete>"),
		"CDATA without an end":    fill("<Delete>", "<![CDATA[", "</Delete>"),
		"CDATA of controls":       fill("\x01<Delete>", "<![CDATA[", "</Delete>"),
		"several roots":           fill("", "<Delete/>", ""),
		"text behind":             fill("<Delete/>", "a ", ""),
		"repeated elements":       fill("<Delete>", "<Quiet/>", "</Delete>"),
		"end tags":                fill("<Delete>", "</Delete>", ""),
	}
}

// A document that breaks a rule is refused at that token: a longer document does not
// cost more work.
func TestHostileDocumentsAreRefusedEarly(t *testing.T) {
	for name, doc := range hostileXML(2 << 20) {
		source := tokenSource{data: []byte(doc)}
		var v deleteRequest
		allocations := testing.AllocsPerRun(1, func() {
			v = deleteRequest{}
			if err := decodeKeysXML(source.data, &v, "Delete"); err == nil || toError(err).Code != "MalformedXML" {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocations > 20_000 {
			t.Errorf("%s: %.0f allocations", name, allocations)
		}
	}
}

// Documents at the limits are accepted.
func TestTheLargestDocumentsAreTaken(t *testing.T) {
	var b strings.Builder
	b.WriteString("<Delete xmlns=\"" + namespace + "\">\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  <!-- %d -->\n  <Object>\n    <Key>%s</Key>\n    <VersionId>v</VersionId>\n    <ETag>\"e\"</ETag>\n    <Size>1</Size>\n  </Object>\n", i, strings.Repeat("&#x1;", 200)+strings.Repeat("<![CDATA[k]]>", 2))
	}
	b.WriteString("<Quiet>true</Quiet></Delete>")
	var d deleteRequest
	if err := decodeKeysXML([]byte(b.String()), &d, "Delete"); err != nil || len(d.Objects) != 1000 || !d.Quiet {
		t.Fatalf("%d objects, %v", len(d.Objects), err)
	}
	if want := strings.Repeat("\x01", 200) + "kk"; d.Objects[999].Key != want || *d.Objects[999].Size != 1 {
		t.Errorf("the last object is %+v", d.Objects[999])
	}
	var longest deleteRequest
	key := strings.Repeat("\x01", 1024)
	if err := decodeKeysXML([]byte("<Delete><Object><Key>"+strings.Repeat("&#x000001;", 1024)+"</Key></Object></Delete>"), &longest, "Delete"); err != nil || longest.Objects[0].Key != key {
		t.Errorf("the longest key: %v", err)
	}
	b.Reset()
	b.WriteString("<CompleteMultipartUpload>")
	for i := range 10000 {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>e</ETag><ChecksumSHA256>s</ChecksumSHA256></Part>", i+1)
	}
	var c completeRequest
	if err := decodeXML([]byte(b.String()+"</CompleteMultipartUpload>"), &c, "CompleteMultipartUpload"); err != nil || len(c.Parts) != 10000 {
		t.Errorf("%d parts, %v", len(c.Parts), err)
	}
	if err := decodeXML([]byte(b.String()+"<Part/></CompleteMultipartUpload>"), &c, "CompleteMultipartUpload"); err == nil {
		t.Error("10001 parts are taken")
	}
}

// Every slice of a document has a limit of elements: its own or the common one.
func TestEveryDocumentIsBounded(t *testing.T) {
	for _, doc := range []any{deleteRequest{}, completeRequest{}, corsDocument{}, aclDocument{}, taggingDocument{}, createBucketDocument{}, encryptionDocument{}} {
		most := map[string]int{}
		var walk func(path string, s *shape, times int)
		walk = func(path string, s *shape, times int) {
			for name, c := range s.fields {
				most[path+"/"+name] = times * c.max
				walk(path+"/"+name, c.shape, times*c.max)
			}
		}
		walk("", shapeOf(reflect.TypeOf(doc)), 1)
		if len(most) == 0 {
			t.Errorf("%T has no elements", doc)
		}
		for path, n := range most {
			if n < 1 || n > 1_000_000 {
				t.Errorf("%T: up to %d of %s", doc, n, path)
			}
		}
	}
}
