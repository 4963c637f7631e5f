package s3api

import (
	"strconv"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// rows are the elements that a listing's page has a thousand of. They are
// written by hand: encoding/xml, which writes all else, took longer for a page
// than the database did. The rest of the document has them as its "innerxml".
type rows []byte

func (b *rows) open(name string)  { *b = append(append(append(*b, '<'), name...), '>') }
func (b *rows) close(name string) { *b = append(append(append(*b, "</"...), name...), '>') }

// element is character data in an element of its own.
func (b *rows) element(name, value string) {
	b.open(name)
	*b = appendEscaped(*b, value)
	b.close(name)
}

// given is an element that is left out where there is no value.
func (b *rows) given(name, value string) {
	if value != "" {
		b.element(name, value)
	}
}

func (b *rows) etag(value string) {
	b.open("ETag")
	*b = append(*b, "&quot;"...)
	*b = appendEscaped(*b, value)
	*b = append(*b, "&quot;"...)
	b.close("ETag")
}

func (b *rows) truth(name string, value bool) { b.element(name, strconv.FormatBool(value)) }

func (b *rows) number(name string, value int64) {
	b.open(name)
	*b = strconv.AppendInt(*b, value, 10)
	b.close(name)
}

// time is that of µs since 1970, as [stamp] writes it.
func (b *rows) time(name string, µs int64) {
	b.open(name)
	*b = time.UnixMicro(µs).UTC().AppendFormat(*b, timeFormat)
	b.close(name)
}

func (b *rows) owner(id string) {
	b.open("Owner")
	b.element("ID", id)
	b.given("DisplayName", displayName(id))
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

// rowSize is about what a row of a page takes.
const rowSize = 350

// contents are the objects of a page.
func (l *listing) contents(b *meta.Bucket, entries []meta.Entry, owners bool) []byte {
	out := make(rows, 0, len(entries)*rowSize)
	for i := range entries {
		e := &entries[i]
		out.open("Contents")
		out.element("Key", string(l.text(e.Key)))
		out.time("LastModified", e.Modified)
		out.etag(e.ETag)
		out.given("ChecksumAlgorithm", e.Checksum)
		out.given("ChecksumType", e.SumType)
		out.number("Size", e.Size)
		if owners {
			out.owner(ownerIn(b, e.Owner))
		}
		out.element("StorageClass", storageClass(e.Class))
		out.close("Contents")
	}
	return out
}

// versions are the versions and delete markers of a page. They come in one
// sequence, and only their names tell them apart.
func (l *listing) versions(b *meta.Bucket, listed []store.ListedVersion) []byte {
	out := make(rows, 0, len(listed)*rowSize)
	for i := range listed {
		out.version(l, b, &listed[i])
	}
	return out
}

func (b *rows) version(l *listing, bucket *meta.Bucket, v *store.ListedVersion) {
	name, id := "Version", v.VersionID
	if v.Version.DeleteMarker {
		name = "DeleteMarker"
	}
	if id == "" { // of a bucket that never was versioned
		id = "null"
	}
	b.open(name)
	b.element("Key", string(l.text(v.Key)))
	b.element("VersionId", id)
	b.truth("IsLatest", v.IsLatest)
	b.time("LastModified", v.Version.Modified)
	if !v.Version.DeleteMarker {
		b.etag(v.Version.ETag)
		if c := v.Version.Checksum; c != nil {
			b.element("ChecksumAlgorithm", c.Algorithm)
			b.given("ChecksumType", c.Type)
		}
		b.number("Size", v.Version.Size)
	}
	b.owner(ownerIn(bucket, v.Version.Owner))
	if !v.Version.DeleteMarker {
		b.element("StorageClass", storageClass(v.Version.Class))
	}
	b.close(name)
}

// prefixes are the groups of keys of a page.
func (l *listing) prefixes(found []string) []byte {
	var out rows
	for _, p := range found {
		out.open("CommonPrefixes")
		out.element("Prefix", string(l.text(p)))
		out.close("CommonPrefixes")
	}
	return out
}
