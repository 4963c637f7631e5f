package s3api

import (
	"encoding/xml"
	"net/http"

	"github.com/pithos/pithos/store"
)

type listVersionsXML struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                text
	Prefix              text
	KeyMarker           text
	VersionIDMarker     text   `xml:"VersionIdMarker"`
	NextKeyMarker       *text  `xml:",omitempty"`
	NextVersionIDMarker *text  `xml:"NextVersionIdMarker,omitempty"`
	MaxKeys             int    `xml:"MaxKeys"`
	Delimiter           *text  `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	IsTruncated         bool
	Versions            []versionXML
	CommonPrefixes      []commonPrefix
}

// versionXML is a Version, or a DeleteMarker where it has no ETag.
type versionXML struct {
	Key               text
	VersionID         text `xml:"VersionId"`
	IsLatest          bool
	LastModified      stamp
	ETag              *text `xml:",omitempty"`
	ChecksumAlgorithm []string
	ChecksumType      string `xml:",omitempty"`
	Size              *int64 `xml:",omitempty"`
	Owner             ownerXML
	StorageClass      string `xml:",omitempty"`
}

// MarshalXML implements xml.Marshaler: versions and delete markers come in one
// sequence, and only their names tell them apart.
func (v versionXML) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type fields versionXML
	start.Name.Local = "Version"
	if v.ETag == nil {
		start.Name.Local = "DeleteMarker"
	}
	return e.EncodeElement(fields(v), start)
}

// listObjectVersions is ListObjectVersions.
func listObjectVersions(a *API, w http.ResponseWriter, r *Request) error {
	l, err := givenListing(r)
	if err != nil {
		return err
	}
	q := r.Query()
	in := store.ListVersionsInput{Prefix: l.prefix, Delimiter: l.delimiter, Limit: l.limit,
		KeyMarker: q.Get("key-marker"), VersionMarker: q.Get("version-id-marker")}
	if in.VersionMarker != "" && in.KeyMarker == "" {
		return badArgument("version-id-marker", in.VersionMarker, "A version-id marker cannot be specified without a key marker.")
	}
	found, err := a.store.ListVersions(r.Context(), r.Bucket, in)
	if err != nil {
		return err
	}
	out := listVersionsXML{
		Name: text(r.BucketName), Prefix: l.text(l.prefix), KeyMarker: l.text(in.KeyMarker), VersionIDMarker: text(in.VersionMarker),
		MaxKeys: l.limit, Delimiter: l.delimiterXML(), EncodingType: l.encodingType,
		IsTruncated: found.Truncated, CommonPrefixes: l.prefixes(found.Prefixes),
	}
	for i := range found.Versions {
		out.Versions = append(out.Versions, l.version(r, &found.Versions[i]))
	}
	if found.Truncated {
		key, version := l.text(found.NextKey), text(found.NextVersion)
		out.NextKeyMarker = &key
		if version != "" {
			out.NextVersionIDMarker = &version
		}
	}
	return writeXML(w, out)
}

func (l *listing) version(r *Request, v *store.ListedVersion) versionXML {
	x := versionXML{
		Key: l.text(v.Key), VersionID: text(v.VersionID), IsLatest: v.IsLatest,
		LastModified: micros(v.Version.Modified), Owner: ownerOf(objectOwner(r.Bucket, &v.Version)),
	}
	if v.VersionID == "" { // of a bucket that never was versioned
		x.VersionID = "null"
	}
	if v.Version.DeleteMarker {
		return x
	}
	etag := text(quote(v.Version.ETag))
	x.ETag, x.Size, x.StorageClass = &etag, &v.Version.Size, storageClass(v.Version.Class)
	if c := v.Version.Checksum; c != nil {
		x.ChecksumAlgorithm, x.ChecksumType = []string{c.Algorithm}, c.Type
	}
	return x
}
