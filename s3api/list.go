package s3api

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"

	"github.com/pithos/pithos/store"
)

const maxKeys = 1000

// listRequest has the parameters that all listings of a bucket have.
type listRequest struct {
	prefix, delimiter string
	limit             int
	url               bool // encoding-type=url
	encodingType      string
}

// parseListRequest parses these parameters. InvalidArgument.
func parseListRequest(r *Request) (l listRequest, err error) {
	q := r.Query()
	l.prefix, l.delimiter = q.Get("prefix"), q.Get("delimiter")
	if l.limit, err = parseMax(q.Get("max-keys"), "max-keys"); err != nil {
		return l, err
	}
	if r.Has("encoding-type") {
		l.encodingType = q.Get("encoding-type")
		if l.url = l.encodingType == "url"; !l.url {
			return l, badArgument("encoding-type", l.encodingType, "Invalid Encoding Method specified in Request")
		}
	}
	// Ceph's extension: any order is allowed, so the usual one is. It cannot be
	// combined with a delimiter.
	if q.Get("allow-unordered") == "true" && l.delimiter != "" {
		return l, badArgument("allow-unordered", "true", "An unordered listing cannot have a delimiter")
	}
	return l, nil
}

// parseMax parses the maximum number of entries of a page: 0 to 2^31-1, and more
// than 1,000 means 1,000, as on AWS.
func parseMax(v, name string) (int, error) {
	if v == "" {
		return maxKeys, nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		return 0, badArgument(name, v, "Provided %s not an integer or within integer range", name)
	}
	if n < 0 {
		return 0, badArgument(name, v, "Argument %s must be an integer between 0 and 2147483647", name)
	}
	return min(int(n), maxKeys), nil
}

// text encodes a key, prefix or marker as the client has requested.
func (l *listRequest) text(s string) text {
	if l.url {
		return text(encodeURL(s))
	}
	return text(s)
}

// encodeURL percent-encodes all characters except unreserved ones and slashes.
// Blanks are encoded too: all clients decode that in the same way.
func encodeURL(s string) string {
	var b strings.Builder
	const digits = "0123456789ABCDEF"
	for _, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if alnum || strings.IndexByte("-_.~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

// delimiterXML is nil without a delimiter, so that the element is omitted.
func (l *listRequest) delimiterXML() *text {
	if l.delimiter == "" {
		return nil
	}
	t := l.text(l.delimiter)
	return &t
}

func storageClass(class string) string {
	if class == "" {
		return store.ClassStandard
	}
	return class
}

type listObjectsXML struct {
	XMLName        xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name           text
	Prefix         text
	Marker         text
	NextMarker     *text `xml:",omitempty"`
	MaxKeys        int
	Delimiter      *text  `xml:",omitempty"`
	EncodingType   string `xml:",omitempty"`
	IsTruncated    bool
	Contents       []byte `xml:",innerxml"`
	CommonPrefixes []byte `xml:",innerxml"`
}

// listObjects is ListObjects, the first version.
func listObjects(a *API, w http.ResponseWriter, r *Request) error {
	l, err := parseListRequest(r)
	if err != nil {
		return err
	}
	marker := r.Query().Get("marker")
	found, err := a.store.List(r.Context(), r.Bucket, store.ListInput{Prefix: l.prefix, Delimiter: l.delimiter, After: marker, Limit: l.limit})
	if err != nil {
		return err
	}
	out := listObjectsXML{
		Name: text(r.BucketName), Prefix: text(l.prefix), Marker: l.text(marker), MaxKeys: l.limit, Delimiter: l.delimiterXML(),
		EncodingType: l.encodingType, IsTruncated: found.Truncated,
		Contents: l.contents(r.Bucket, found.Objects, true), CommonPrefixes: l.prefixes(found.Prefixes),
	}
	if found.Truncated && l.delimiter != "" {
		next := l.text(found.Next)
		out.NextMarker = &next
	}
	return writeXML(w, out)
}

type listObjectsV2XML struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  text
	Prefix                text
	StartAfter            *text  `xml:",omitempty"`
	ContinuationToken     *text  `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	KeyCount              int
	MaxKeys               int
	Delimiter             *text  `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	Contents              []byte `xml:",innerxml"`
	CommonPrefixes        []byte `xml:",innerxml"`
}

// listObjectsV2 is ListObjectsV2. Its tokens are sealed with the bucket's id, which
// all gateways know and no client sees.
func listObjectsV2(a *API, w http.ResponseWriter, r *Request) error {
	l, err := parseListRequest(r)
	if err != nil {
		return err
	}
	q := r.Query()
	after := q.Get("start-after")
	if token := q.Get("continuation-token"); token != "" {
		if after, err = a.openToken(r.Bucket.ID[:], "objects", token); err != nil {
			return err
		}
	}
	found, err := a.store.List(r.Context(), r.Bucket, store.ListInput{Prefix: l.prefix, Delimiter: l.delimiter, After: after, Limit: l.limit})
	if err != nil {
		return err
	}
	out := listObjectsV2XML{
		Name: text(r.BucketName), Prefix: l.text(l.prefix), ContinuationToken: optional(r, "continuation-token"),
		KeyCount: len(found.Objects) + len(found.Prefixes), MaxKeys: l.limit, Delimiter: l.delimiterXML(),
		EncodingType: l.encodingType, IsTruncated: found.Truncated,
		Contents:       l.contents(r.Bucket, found.Objects, q.Get("fetch-owner") == "true"),
		CommonPrefixes: l.prefixes(found.Prefixes),
	}
	if r.Has("start-after") {
		start := l.text(q.Get("start-after"))
		out.StartAfter = &start
	}
	if found.Truncated {
		out.NextContinuationToken = a.sealToken(r.Bucket.ID[:], "objects", found.Next)
	}
	return writeXML(w, out)
}
