package s3api

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// getObject is GetObject in the S3 API reference.
func getObject(a *API, w http.ResponseWriter, r *Request) error {
	in, err := a.getInput(r)
	if err != nil {
		return err
	}
	o, err := a.store.Get(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	defer o.Body.Close()
	return sendBody(w, o, func() error { return a.objectHeaders(w.Header(), r, o) })
}

// headObject is HeadObject in the S3 API reference.
func headObject(a *API, w http.ResponseWriter, r *Request) error {
	in, err := a.getInput(r)
	if err != nil {
		return err
	}
	o, err := a.store.Head(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	if err := a.objectHeaders(w.Header(), r, o); err != nil {
		return err
	}
	w.WriteHeader(objectStatus(o))
	return nil
}

// getInput parses the parameters of a GET or HEAD.
func (a *API) getInput(r *Request) (in store.GetInput, err error) {
	in.VersionID, in.Found, in.Conditions = r.VersionID(), r.found, conditions(r.Header, "")
	if v := r.Header.Get("Range"); v != "" {
		in.Range = byteRange(v)
	}
	if v := r.Header.Get("If-Range"); v != "" {
		in.RangeIf = func(found *meta.Version) bool { return ifRange(v, found) }
	}
	if r.Has("partNumber") {
		if in.Range != nil {
			return in, failf(s3err.InvalidRequest, "Cannot specify both Range header and partNumber query parameter")
		}
		if in.PartNumber, err = intParam(r, "partNumber", 1, store.MaxPartNumber); err != nil {
			return in, err
		}
	}
	in.CustomerKey, err = a.customerKey(r, "X-Amz-")
	return in, err
}

// objectStatus returns the HTTP status of an object's answer.
func objectStatus(o *store.Object) int {
	if o.Partial {
		return http.StatusPartialContent
	}
	return http.StatusOK
}

// objectHeaders sets the headers that describe an object.
func (a *API) objectHeaders(h http.Header, r *Request, o *store.Object) error {
	v := &o.Version
	for name, value := range v.Headers {
		h.Set(name, value)
	}
	for name, value := range v.Metadata {
		h["x-amz-meta-"+name] = []string{encodeWords(value)} // some clients compare the name case-sensitively
	}
	if err := overrideHeaders(h, r); err != nil {
		return err
	}
	h.Set("Etag", quote(v.ETag))
	h.Set("Last-Modified", httpTime(o.Modified()))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Length", strconv.FormatInt(o.Length, 10))
	if o.Partial && o.Length > 0 {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", o.Offset, o.Offset+o.Length-1, v.Size))
	}
	if o.VersionID != "" {
		h.Set("X-Amz-Version-Id", o.VersionID)
	}
	if v.Class != store.ClassStandard {
		h.Set("X-Amz-Storage-Class", v.Class)
	}
	if len(v.Tags) > 0 && a.may(r, ofVersion("s3:GetObjectTagging", r.VersionID())) {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(len(v.Tags)))
	}
	if r.Has("partNumber") && o.PartsCount > 0 {
		h.Set("X-Amz-Mp-Parts-Count", strconv.Itoa(o.PartsCount))
	}
	writeEncryption(h, v.Encryption)
	if v.Retention != nil && a.may(r, "s3:GetObjectRetention") {
		writeRetention(h, v.Retention)
	}
	if (v.LegalHold || v.LegalHoldReleased) && a.may(r, "s3:GetObjectLegalHold") {
		h.Set("X-Amz-Object-Lock-Legal-Hold", holdStatus(v.LegalHold))
	}
	if strings.EqualFold(r.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		writeChecksum(h, shownChecksum(o))
	}
	return nil
}

// may reports whether the caller is allowed a further action on the object of the
// request. As on AWS, GetObject and HeadObject return tags and object lock only to
// callers that may read these.
func (a *API) may(r *Request, action string) bool {
	return a.allowed(r, &Access{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: action}) == nil
}

// shownChecksum returns the checksum of the bytes in the answer: the object's or
// the part's. A range has none.
func shownChecksum(o *store.Object) *meta.Checksum {
	switch {
	case o.Part != nil && o.PartsCount > 1:
		if o.Part.Checksum == nil || o.Version.Checksum == nil {
			return nil
		}
		c := *o.Part.Checksum
		c.Type = o.Version.Checksum.Type
		return &c
	case o.Partial && o.Length != o.Version.Size:
		return nil
	}
	return o.Version.Checksum
}

// overrides are the query parameters that replace headers of an answer.
var overrides = map[string]string{
	"response-content-type": "Content-Type", "response-content-language": "Content-Language", "response-expires": "Expires",
	"response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition", "response-content-encoding": "Content-Encoding",
}

func overrideHeaders(h http.Header, r *Request) error {
	for param, header := range overrides {
		if !r.Has(param) {
			continue
		}
		if r.Caller.Anonymous() {
			return failf(s3err.InvalidRequest, "Request specific response headers cannot be used for anonymous GET requests.")
		}
		value := r.Query().Get(param)
		if strings.ContainsAny(value, "\r\n\x00") {
			return badArgument(param, "", "A header cannot hold line breaks")
		}
		h.Set(header, value)
	}
	return nil
}

const sendBuffer = 256 << 10

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, sendBuffer); return &b }}

// sendBody answers with an object's bytes. The first of them are read before the
// answer begins, so that a missing or corrupt blob is an error, not a 200.
func sendBody(w http.ResponseWriter, o *store.Object, headers func() error) error {
	buf := sendBuffers.Get().(*[]byte)
	defer sendBuffers.Put(buf)
	n, err := readSome(o.Body, *buf)
	if err != nil && err != io.EOF {
		return err
	}
	if err := headers(); err != nil {
		return err
	}
	w.WriteHeader(objectStatus(o))
	if _, werr := w.Write((*buf)[:n]); werr != nil || err == io.EOF {
		return werr
	}
	_, err = io.CopyBuffer(w, o.Body, *buf) // or from the body's own memory
	return err
}

// readSome reads until it gets at least one byte or an error.
func readSome(r io.Reader, buf []byte) (int, error) {
	for {
		n, err := r.Read(buf)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// attributesResources declares that the object is read: AWS requires s3:GetObject
// as well, and the object's ACL is considered.
func attributesResources(_ *API, r *Request) ([]Access, error) {
	return []Access{{Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID(), Action: ofVersion("s3:GetObject", r.VersionID())}}, nil
}

// getObjectAttributes is GetObjectAttributes in the S3 API reference.
func getObjectAttributes(a *API, w http.ResponseWriter, r *Request) error {
	wanted, err := wantedAttributes(r.Header.Values("X-Amz-Object-Attributes"))
	if err != nil {
		return err
	}
	in := store.GetInput{VersionID: r.VersionID(), Found: r.found}
	if in.CustomerKey, err = a.customerKey(r, "X-Amz-"); err != nil {
		return err
	}
	o, err := a.store.Head(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	v := &o.Version
	out := objectAttributes{}
	if wanted["ETag"] {
		out.ETag = v.ETag
	}
	if wanted["ObjectSize"] {
		out.ObjectSize = &v.Size
	}
	if wanted["StorageClass"] {
		out.StorageClass = v.Class
	}
	if wanted["Checksum"] && v.Checksum != nil {
		whole := *v.Checksum
		// HeadObject and CompleteMultipartUpload append the number of parts to a
		// composite checksum. Here it is left out, as on AWS; it is in ObjectParts.
		whole.Value, _, _ = strings.Cut(whole.Value, "-")
		c := checksumOf(&whole)
		c.ChecksumType = whole.Type
		out.Checksum = &c
	}
	if wanted["ObjectParts"] && o.PartsCount > 0 {
		if out.ObjectParts, err = a.attributeParts(r, o); err != nil {
			return err
		}
	}
	w.Header().Set("Last-Modified", httpTime(o.Modified()))
	if o.VersionID != "" {
		w.Header().Set("X-Amz-Version-Id", o.VersionID)
	}
	return writeXML(w, out)
}

var attributeNames = map[string]bool{"ETag": true, "Checksum": true, "ObjectParts": true, "StorageClass": true, "ObjectSize": true}

func wantedAttributes(values []string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.TrimSpace(name)
			if !attributeNames[name] {
				return nil, badArgument("x-amz-object-attributes", name, "Invalid attribute name specified.")
			}
			wanted[name] = true
		}
	}
	if len(wanted) == 0 {
		return nil, failf(s3err.InvalidRequest, "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty")
	}
	return wanted, nil
}

type objectAttributes struct {
	XMLName      struct{}        `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
	ETag         string          `xml:",omitempty"`
	Checksum     *checksumFields `xml:",omitempty"`
	ObjectParts  *objectParts    `xml:",omitempty"`
	StorageClass string          `xml:",omitempty"`
	ObjectSize   *int64          `xml:",omitempty"`
}

// checksumFields are the elements that carry a checksum.
type checksumFields struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
	ChecksumSHA512    string `xml:",omitempty"`
	ChecksumMD5       string `xml:",omitempty"`
	ChecksumXXHASH64  string `xml:",omitempty"`
	ChecksumXXHASH3   string `xml:",omitempty"`
	ChecksumXXHASH128 string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

// checksumOf returns the fields for c, without its type.
func checksumOf(c *meta.Checksum) (f checksumFields) {
	if c == nil {
		return f
	}
	*f.field(c.Algorithm) = c.Value
	return f
}

func (f *checksumFields) field(algorithm string) *string {
	switch algorithm {
	case "CRC32":
		return &f.ChecksumCRC32
	case "CRC32C":
		return &f.ChecksumCRC32C
	case "CRC64NVME":
		return &f.ChecksumCRC64NVME
	case "SHA1":
		return &f.ChecksumSHA1
	case "SHA512":
		return &f.ChecksumSHA512
	case "MD5":
		return &f.ChecksumMD5
	case "XXHASH64":
		return &f.ChecksumXXHASH64
	case "XXHASH3":
		return &f.ChecksumXXHASH3
	case "XXHASH128":
		return &f.ChecksumXXHASH128
	}
	return &f.ChecksumSHA256
}

// parse returns the one checksum of the fields; nil if there is none.
func (f *checksumFields) parse() (*meta.Checksum, error) {
	var c *meta.Checksum
	for algorithm := range checksumBytes {
		v := *f.field(algorithm)
		if v == "" {
			continue
		}
		if c != nil || !validSum(algorithm, v) {
			return nil, badArgument("PartChecksum", v, "Invalid Base64 or multiple checksums present in request")
		}
		c = &meta.Checksum{Algorithm: algorithm, Type: f.ChecksumType, Value: v}
	}
	return c, nil
}

type objectParts struct {
	TotalPartsCount      int `xml:"PartsCount"`
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Parts                []attributePart `xml:"Part"`
}

type attributePart struct {
	PartNumber int
	Size       int64
	checksumFields
}

// attributeParts returns the page of parts that the request asks for.
func (a *API) attributeParts(r *Request, o *store.Object) (*objectParts, error) {
	p := &objectParts{TotalPartsCount: o.PartsCount, MaxParts: 1000}
	for name, field := range map[string]*int{"X-Amz-Max-Parts": &p.MaxParts, "X-Amz-Part-Number-Marker": &p.PartNumberMarker} {
		if s := r.Header.Get(name); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 0 {
				return nil, badArgument(strings.ToLower(name), s, "The value must be a number that is not negative")
			}
			*field = n
		}
	}
	p.MaxParts = min(p.MaxParts, 1000)
	parts, more, err := a.store.Parts(r.Context(), r.Bucket, r.Key, &o.Version, p.PartNumberMarker, p.MaxParts)
	if err != nil {
		return nil, err
	}
	p.IsTruncated = more
	for _, part := range parts {
		p.NextPartNumberMarker = part.Number
		p.Parts = append(p.Parts, attributePart{part.Number, part.Size, checksumOf(part.Checksum)})
	}
	return p, nil
}

// errNoTorrent is the error of an object that exists and has no torrent.
var errNoTorrent = failf(s3err.NoSuchKey, "The specified object has no torrent.")

// getObjectTorrent is GetObjectTorrent in the S3 API reference. S3 ended its
// support of BitTorrent in 2022; no object has a torrent.
func getObjectTorrent(a *API, _ http.ResponseWriter, r *Request) error {
	if _, err := a.store.Find(r.Context(), r.Bucket, r.Key, ""); err != nil {
		return err
	}
	return errNoTorrent
}
