package s3api

import (
	"strconv"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// xmlRows has the elements of a listing's page, up to a thousand. They are written
// by hand: encoding/xml, which writes all other documents, took longer for a page
// than the database. The rest of the document has them as its "innerxml".
type xmlRows []byte

func (b *xmlRows) open(name string)  { *b = append(append(append(*b, '<'), name...), '>') }
func (b *xmlRows) close(name string) { *b = append(append(append(*b, "</"...), name...), '>') }

// element writes an element with character data.
func (b *xmlRows) element(name, value string) {
	b.open(name)
	*b = appendEscaped(*b, value)
	b.close(name)
}

// optional is an element that is omitted without a value.
func (b *xmlRows) optional(name, value string) {
	if value != "" {
		b.element(name, value)
	}
}

func (b *xmlRows) etag(value string) {
	b.open("ETag")
	*b = append(*b, "&quot;"...)
	*b = appendEscaped(*b, value)
	*b = append(*b, "&quot;"...)
	b.close("ETag")
}

func (b *xmlRows) bool(name string, value bool) { b.element(name, strconv.FormatBool(value)) }

func (b *xmlRows) number(name string, value int64) {
	b.open(name)
	*b = strconv.AppendInt(*b, value, 10)
	b.close(name)
}

// time writes a time, in µs since 1970, as [stamp] does.
func (b *xmlRows) time(name string, µs int64) {
	b.open(name)
	*b = time.UnixMicro(µs).UTC().AppendFormat(*b, timeFormat)
	b.close(name)
}

func (b *xmlRows) owner(id string) {
	b.open("Owner")
	b.element("ID", id)
	b.optional("DisplayName", displayName(id))
	b.close("Owner")
}

// appendEscaped appends s as [text] writes it.
func appendEscaped(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '&' || c == '<' || c == '>' || c == '"' {
			return append(append(b, s[:i]...), escapeXML(s[i:])...)
		}
	}
	return append(b, s...)
}

// rowSize estimates the bytes of a row of a page.
const rowSize = 350

// contents encodes the objects of a page.
func (l *listRequest) contents(b *meta.Bucket, entries []meta.Entry, owners bool) []byte {
	out := make(xmlRows, 0, len(entries)*rowSize)
	for i := range entries {
		e := &entries[i]
		out.open("Contents")
		out.element("Key", string(l.text(e.Key)))
		out.time("LastModified", e.Modified)
		out.etag(e.ETag)
		out.optional("ChecksumAlgorithm", e.Checksum)
		out.optional("ChecksumType", e.SumType)
		out.number("Size", e.Size)
		if owners {
			out.owner(ownerIn(b, e.Owner))
		}
		out.element("StorageClass", storageClass(e.Class))
		out.close("Contents")
	}
	return out
}

// versions are the versions and delete markers of a page, in one sequence. They
// differ by the name of the element.
func (l *listRequest) versions(b *meta.Bucket, listed []store.ListedVersion) []byte {
	out := make(xmlRows, 0, len(listed)*rowSize)
	for i := range listed {
		out.version(l, b, &listed[i])
	}
	return out
}

func (b *xmlRows) version(l *listRequest, bucket *meta.Bucket, v *store.ListedVersion) {
	name, id := "Version", v.VersionID
	if v.Version.DeleteMarker {
		name = "DeleteMarker"
	}
	if id == "" { // of a bucket that was never versioned
		id = "null"
	}
	b.open(name)
	b.element("Key", string(l.text(v.Key)))
	b.element("VersionId", id)
	b.bool("IsLatest", v.IsLatest)
	b.time("LastModified", v.Version.Modified)
	if !v.Version.DeleteMarker {
		b.etag(v.Version.ETag)
		if c := v.Version.Checksum; c != nil {
			b.element("ChecksumAlgorithm", c.Algorithm)
			b.optional("ChecksumType", c.Type)
		}
		b.number("Size", v.Version.Size)
	}
	b.owner(ownerIn(bucket, v.Version.Owner))
	if !v.Version.DeleteMarker {
		b.element("StorageClass", storageClass(v.Version.Class))
	}
	b.close(name)
}

// prefixes encodes the common prefixes of a page.
func (l *listRequest) prefixes(found []string) []byte {
	var out xmlRows
	for _, p := range found {
		out.open("CommonPrefixes")
		out.element("Prefix", string(l.text(p)))
		out.close("CommonPrefixes")
	}
	return out
}
