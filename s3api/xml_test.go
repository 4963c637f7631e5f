package s3api

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

func TestXMLOfAListing(t *testing.T) {
	l := listRequest{delimiter: "/", prefix: "a&b"}
	bucket := &meta.Bucket{Owner: "me"}
	key := "<\x01\r\n\t\"&\uffff>é"
	got, err := encodeXML(listVersionsXML{
		Name: "bkt", Prefix: l.text(l.prefix), MaxKeys: 2, Delimiter: l.delimiterXML(), IsTruncated: true,
		Versions: l.versions(bucket, []store.ListedVersion{
			{Key: key, VersionID: "v", Version: meta.Version{Modified: 123456, ETag: "0", Size: 3, Owner: "<>", Checksum: &meta.Checksum{Algorithm: "CRC32", Type: "COMPOSITE"}}},
			{Key: "k", IsLatest: true, Version: meta.Version{DeleteMarker: true}},
		}),
		CommonPrefixes: l.prefixes([]string{"p/"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bkt</Name><Prefix>a&amp;b</Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><MaxKeys>2</MaxKeys><Delimiter>/</Delimiter><IsTruncated>true</IsTruncated>` +
		`<Version><Key>&lt;&#x1;&#xd;` + "\n\t" + `&quot;&amp;&#xffff;&gt;é</Key><VersionId>v</VersionId><IsLatest>false</IsLatest><LastModified>1970-01-01T00:00:00.123Z</LastModified><ETag>&quot;0&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType><Size>3</Size><Owner><ID>&lt;&gt;</ID><DisplayName>&lt;&gt;</DisplayName></Owner><StorageClass>STANDARD</StorageClass></Version>` +
		`<DeleteMarker><Key>k</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><LastModified>1970-01-01T00:00:00.000Z</LastModified><Owner><ID>me</ID><DisplayName>me</DisplayName></Owner></DeleteMarker>` +
		`<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListVersionsResult>`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// contentElement is what encoding/xml writes a Contents from.
type contentElement struct {
	XMLName           xml.Name `xml:"Contents"`
	Key               text
	LastModified      stamp
	ETag              text
	ChecksumAlgorithm text `xml:",omitempty"`
	ChecksumType      text `xml:",omitempty"`
	Size              int64
	Owner             *ownerXML `xml:",omitempty"`
	StorageClass      text
}

func FuzzRowsAreWhatEncodingXMLWrites(f *testing.F) {
	f.Add("a<b&\x00\xff\r", "etag-2", "CRC32", "me", "", int64(5), int64(-1), true)
	f.Add("plain/key", "", "", "", "GLACIER", int64(0), int64(1<<40), false)
	f.Fuzz(func(t *testing.T, key, etag, sum, owner, class string, size, modified int64, owners bool) {
		if modified < 0 || modified > 253402300799999999 { // the year 9999
			modified = 0
		}
		b := &meta.Bucket{Owner: "bucket's"}
		want := contentElement{Key: text(key), LastModified: micros(modified), ETag: text(quote(etag)), ChecksumAlgorithm: text(sum),
			ChecksumType: text(sum), Size: size, StorageClass: text(storageClass(class))}
		if owners {
			o := ownerOf(objectOwner(b, &meta.Version{Owner: owner}))
			want.Owner = &o
		}
		text, err := xml.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		e := meta.Entry{Key: key, Modified: modified, ETag: etag, Checksum: sum, SumType: sum, Size: size, Owner: owner, Class: class}
		if got := (&listRequest{}).contents(b, []meta.Entry{e}, owners); string(got) != string(text) {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	})
}

func BenchmarkPageOfAThousand(b *testing.B) {
	entries := make([]meta.Entry, 1000)
	for i := range entries {
		entries[i] = meta.Entry{Key: fmt.Sprintf("folder/%06d.jpg", i), Size: 1 << 20, Modified: 1<<50 + int64(i), Owner: "alice",
			ETag: "9e107d9d372bb6826bd81d3542a419d6", Checksum: "CRC64NVME", SumType: "FULL_OBJECT"}
	}
	for b.Loop() {
		l := listRequest{limit: len(entries)}
		if _, err := encodeXML(listObjectsV2XML{Contents: l.contents(&meta.Bucket{}, entries, true)}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEncodeURL(t *testing.T) {
	for in, want := range map[string]string{
		"foo+1/bar": "foo%2B1/bar", "quux ab/thud": "quux%20ab/thud", "a-b_c.d~e*": "a-b_c.d~e%2A", "é\x00": "%C3%A9%00",
	} {
		if got := encodeURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

type strictDocument struct {
	Status string
	Rule   []struct {
		ID   string
		Days *int
	}
}

func TestDecodeXMLIsStrict(t *testing.T) {
	for doc, bad := range map[string]bool{
		`<Config><Status>x</Status></Config>`: false,
		`<Config xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ID>a</ID></Rule><Rule/></Config>`:   false,
		`<?xml version="1.0" encoding="UTF-8"?><!-- c --> <Config> <Rule> <Days> 1 </Days></Rule></Config>`: false,
		"\ufeff<Config/>": false,
		"\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<Config><Status>\ufeffx</Status></Config>": false,
		"\ufeff":                true,
		"\ufeff\ufeff<Config/>": true,
		"\ufffe<Config/>":       true,
		" \ufeff<Config/>":      true,
		"<Config/>\ufeff":       true,
		``:                      true,
		`<Config>`:              true,
		`<Other></Other>`:       true,
		`<Config/><Config/>`:    true,
		`<Config/>x`:            true,
		`<Config>text</Config>`: true,
		`<Config><Status><ID/></Status></Config>`:                                  true,
		`<Config><Status/><Status/></Config>`:                                      true,
		`<Config><Unknown/></Config>`:                                              true,
		`<Config xmlns="urn:other"/>`:                                              true,
		`<Config><Rule><Days>x</Days></Rule></Config>`:                             true,
		`<!DOCTYPE Config [<!ENTITY e "x">]><Config><Status>&e;</Status></Config>`: true,
		strings.Repeat("<Config>", 100) + strings.Repeat("</Config>", 100):         true,
	} {
		var v strictDocument
		err := decodeXML([]byte(doc), &v, "Config")
		if (err != nil) != bad {
			t.Errorf("%.90s: %v", doc, err)
		}
		if err != nil && toError(err).Code != "MalformedXML" {
			t.Errorf("%.90s: %v", doc, err)
		}
	}
}

func FuzzDecodeXML(f *testing.F) {
	f.Add([]byte(`<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>a</ID></Owner><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>b</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>`))
	f.Add([]byte(`<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`))
	f.Add([]byte(`<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		targets := map[string]any{"AccessControlPolicy": &aclDocument{}, "CORSConfiguration": &corsDocument{}, "Tagging": &taggingDocument{},
			"CreateBucketConfiguration": &createBucketDocument{}, "ServerSideEncryptionConfiguration": &encryptionDocument{}}
		for root, v := range targets {
			if err := decodeXML(data, v, root); err != nil && toError(err).Code != "MalformedXML" {
				t.Error(err)
			}
		}
	})
}

func FuzzEscapeXML(f *testing.F) {
	f.Add("a<b&\x00\xff\r")
	f.Fuzz(func(t *testing.T, s string) {
		out := escapeXML(s)
		if strings.ContainsAny(out, "<>\"\x00\r") || !utf8.ValidString(out) {
			t.Errorf("%q: %q", s, out)
		}
	})
}

func TestTokensAreTamperProof(t *testing.T) {
	a := &API{}
	key := []byte("0123456789abcdef")
	token := a.sealToken(key, "objects", "a/b\x00")
	if got, err := a.openToken(key, "objects", token); err != nil || got != "a/b\x00" {
		t.Fatalf("%q, %v", got, err)
	}
	other := a.sealToken([]byte("another bucket's"), "objects", "a/b\x00")
	for _, bad := range []string{"", "x", token + "A", token[:len(token)-2], other, a.sealToken(key, "buckets", "a/b\x00"), "!" + token[1:]} {
		if got, err := a.openToken(key, "objects", bad); err == nil {
			t.Errorf("%q opens as %q", bad, got)
		}
	}
}

func FuzzToken(f *testing.F) {
	a := &API{}
	key := []byte("0123456789abcdef")
	f.Add(a.sealToken(key, "objects", "k"))
	f.Fuzz(func(t *testing.T, token string) {
		position, err := a.openToken(key, "objects", token)
		if err == nil && a.sealToken(key, "objects", position) != token {
			t.Errorf("%q opens, and was never sealed", token)
		}
	})
}

func TestEveryCodeHasAStatus(t *testing.T) {
	for _, code := range s3err.Codes() {
		if status := statuses[code]; status < 300 || status > 599 {
			t.Errorf("%s has the status %d", code, status)
		}
	}
}
