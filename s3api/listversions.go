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
	Versions            []byte `xml:",innerxml"`
	CommonPrefixes      []byte `xml:",innerxml"`
}

// listObjectVersions is ListObjectVersions.
func listObjectVersions(a *API, w http.ResponseWriter, r *Request) error {
	l, err := parseListRequest(r)
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
		IsTruncated: found.Truncated, Versions: l.versions(r.Bucket, found.Versions), CommonPrefixes: l.prefixes(found.Prefixes),
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
