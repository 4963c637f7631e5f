package s3api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

type initiateResult struct {
	XMLName  struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
	Bucket   string
	Key      text
	UploadId string //nolint:revive // S3's spelling
}

// createMultipartUpload is CreateMultipartUpload in the S3 API reference.
func createMultipartUpload(a *API, w http.ResponseWriter, r *Request) error {
	at, err := a.attributes(r)
	if err != nil {
		return err
	}
	sum, err := wantedChecksum(r.Header)
	if err != nil {
		return err
	}
	u, err := a.store.CreateUpload(r.Context(), r.Bucket, r.Key, store.CreateUploadInput{Attributes: at, Checksum: sum})
	if err != nil {
		return err
	}
	h := w.Header()
	writeEncryption(h, u.Doc.Version.Encryption)
	writeContext(h, u.Doc.Version.Encryption)
	if u.Doc.ChecksumAlgorithm != "" {
		h.Set("X-Amz-Checksum-Algorithm", u.Doc.ChecksumAlgorithm)
		h.Set("X-Amz-Checksum-Type", u.Doc.ChecksumType)
	}
	return writeXML(w, initiateResult{Bucket: r.BucketName, Key: text(r.Key), UploadId: u.ID.String()})
}

// uploadPart is UploadPart in the S3 API reference.
func uploadPart(a *API, w http.ResponseWriter, r *Request) error {
	if err := contentLength(r); err != nil {
		return err
	}
	number, err := intParam(r, "partNumber", 1, store.MaxPartNumber)
	if err != nil {
		return err
	}
	in := store.PartInput{UploadID: r.Query().Get("uploadId"), Number: number, Body: r.Body, Size: r.ContentLength, Sent: true}
	if in.ContentMD5, err = contentMD5(r.Header); err != nil {
		return err
	}
	if in.Checksum, err = bodyChecksum(r); err != nil {
		return err
	}
	if in.CustomerKey, err = a.partEncryption(r); err != nil {
		return err
	}
	result, err := a.store.UploadPart(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Etag", quote(result.ETag))
	writeEncryption(h, result.Encryption)
	if result.Checksum != nil {
		h.Set(checksumHeader(result.Checksum.Algorithm), result.Checksum.Value)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// partEncryption parses the encryption headers of a part or a completion. The
// encryption was set when the upload was created. S3 accepts only the customer's
// key again. Pithos accepts the upload's own type too, because clients send it; it
// changes nothing.
func (a *API) partEncryption(r *Request) (store.EncryptionRequest, error) {
	e, err := a.encryption(r)
	if err != nil || e.Type == "" {
		return e, err
	}
	u, err := a.store.Upload(r.Context(), r.Bucket, r.Key, r.Query().Get("uploadId"))
	if err != nil {
		return e, err
	}
	if !e.Describes(u.Doc.Version.Encryption) {
		return e, badArgument("x-amz-server-side-encryption", e.Type, "x-amz-server-side-encryption header is not supported for this operation.")
	}
	return store.EncryptionRequest{}, nil
}

type copyPartResult struct {
	XMLName      struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CopyPartResult"`
	LastModified stamp
	ETag         string
	checksumFields
}

// uploadPartCopy is UploadPartCopy in the S3 API reference.
func uploadPartCopy(a *API, w http.ResponseWriter, r *Request) error {
	number, err := intParam(r, "partNumber", 1, store.MaxPartNumber)
	if err != nil {
		return err
	}
	c, b, err := a.source(r)
	if err != nil {
		return err
	}
	in := store.PartCopyInput{UploadID: r.Query().Get("uploadId"), Number: number, Source: b, SourceFound: r.sourceFound(), SourceKey: c.key, SourceVersion: c.version,
		SourceConditions: conditions(r.Header, copyFrom)}
	if v := r.Header.Get("X-Amz-Copy-Source-Range"); v != "" {
		if in.Range, err = copyRange(v); err != nil {
			return err
		}
	}
	if in.SourceKeySSEC, err = a.customerKey(r, copyFrom); err != nil {
		return err
	}
	if in.CustomerKey, err = a.partEncryption(r); err != nil {
		return err
	}
	result, err := a.store.UploadPartCopy(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	writeEncryption(w.Header(), result.Encryption)
	if result.SourceVersionID != "" {
		w.Header().Set("X-Amz-Copy-Source-Version-Id", result.SourceVersionID)
	}
	return writeXML(w, copyPartResult{LastModified: stamp(result.Modified), ETag: quote(result.ETag), checksumFields: checksumOf(result.Checksum)})
}

// copyRange parses x-amz-copy-source-range, which must have both ends.
func copyRange(v string) (*store.Range, error) {
	bad := badArgument("x-amz-copy-source-range", v, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	spec, ok := strings.CutPrefix(v, "bytes=")
	if !ok {
		return nil, bad
	}
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return nil, bad
	}
	from, err1 := strconv.ParseUint(first, 10, 63)
	to, err2 := strconv.ParseUint(last, 10, 63)
	if err1 != nil || err2 != nil || to < from {
		return nil, bad
	}
	return &store.Range{First: int64(from), Last: int64(to)}, nil
}

type completeRequest struct {
	Parts []completePart `xml:"Part" max:"10000"`
}

type completePart struct {
	PartNumber        *int
	ETag              *string
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
}

func (p *completePart) checksum() (*meta.Checksum, error) {
	f := checksumFields{ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C, ChecksumCRC64NVME: p.ChecksumCRC64NVME,
		ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256, ChecksumSHA512: p.ChecksumSHA512, ChecksumMD5: p.ChecksumMD5,
		ChecksumXXHASH64: p.ChecksumXXHASH64, ChecksumXXHASH3: p.ChecksumXXHASH3, ChecksumXXHASH128: p.ChecksumXXHASH128}
	return f.parse()
}

type completeResult struct {
	XMLName  struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
	Location text
	Bucket   string
	Key      text
	ETag     string
	checksumFields
}

// completeMultipartUpload is CompleteMultipartUpload in the S3 API reference.
func completeMultipartUpload(a *API, w http.ResponseWriter, r *Request) error {
	var doc completeRequest
	body, err := r.Document()
	if err != nil {
		return err
	}
	if err := decodeXML(body, &doc, "CompleteMultipartUpload"); err != nil {
		return err
	}
	if len(doc.Parts) == 0 {
		return malformedXML("no part is named")
	}
	in := store.CompleteInput{UploadID: r.Query().Get("uploadId")}
	for _, p := range doc.Parts {
		if p.PartNumber == nil || p.ETag == nil {
			return malformedXML("each part needs its PartNumber and its ETag")
		}
		sum, err := p.checksum()
		if err != nil {
			return err
		}
		in.Parts = append(in.Parts, store.CompletedPart{Number: *p.PartNumber, ETag: strings.Trim(*p.ETag, `"`), Checksum: sum})
	}
	if err := a.completeHeaders(r, &in); err != nil {
		return err
	}
	result, err := a.store.CompleteUpload(r.Context(), r.Bucket, r.Key, in)
	if err != nil {
		return err
	}
	written(w.Header(), result)
	sums := checksumOf(result.Checksum)
	if result.Checksum != nil {
		sums.ChecksumType = result.Checksum.Type
	}
	return writeXML(w, completeResult{Location: text(a.location(r)), Bucket: r.BucketName, Key: text(r.Key), ETag: quote(result.ETag), checksumFields: sums})
}

func (a *API) completeHeaders(r *Request, in *store.CompleteInput) (err error) {
	if in.Conditions, err = writeConditions(r.Header); err != nil {
		return err
	}
	if in.CustomerKey, err = a.partEncryption(r); err != nil {
		return err
	}
	algorithm, value, err := declaredChecksum(r.Header)
	if err != nil {
		return err
	}
	kind := strings.ToUpper(r.Header.Get("X-Amz-Checksum-Type"))
	if kind != "" && kind != store.FullObject && kind != store.Composite {
		return failf(s3err.InvalidRequest, "Value for x-amz-checksum-type header is invalid.")
	}
	if base, _, _ := strings.Cut(value, "-"); algorithm != "" && !validSum(algorithm, base) {
		return checkSum(algorithm, base)
	}
	if algorithm != "" || kind != "" {
		in.Checksum = &meta.Checksum{Algorithm: algorithm, Type: kind, Value: value}
	}
	if v := r.Header.Get("X-Amz-Mp-Object-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return failf(s3err.InvalidRequest, "Value for x-amz-mp-object-size header is invalid: '%.80s'", v)
		case n < 0:
			return failf(s3err.InvalidRequest, "Value for x-amz-mp-object-size header is less than zero: '%d'", n)
		}
		in.ObjectSize = &n
	}
	return nil
}

// location returns the URL of the object of a request.
func (a *API) location(r *Request) string {
	scheme := "http://"
	if r.Client.Secure {
		scheme = "https://"
	}
	path := "/" + r.Key
	if !r.byHost {
		path = "/" + r.BucketName + path
	}
	return scheme + r.Host + encodeURL(path)
}

// abortMultipartUpload is AbortMultipartUpload in the S3 API reference.
func abortMultipartUpload(a *API, w http.ResponseWriter, r *Request) error {
	if v := r.Header.Get("X-Amz-If-Match-Initiated-Time"); v != "" {
		when, err := parseDate(v)
		if err != nil {
			return badArgument("x-amz-if-match-initiated-time", v, "The time must be an HTTP date")
		}
		u, err := a.store.Upload(r.Context(), r.Bucket, r.Key, r.Query().Get("uploadId"))
		if err != nil {
			return err
		}
		if !time.UnixMicro(u.Doc.Initiated).Truncate(time.Second).Equal(when.Truncate(time.Second)) {
			return fail(s3err.PreconditionFailed).With("Condition", "x-amz-if-match-initiated-time")
		}
	}
	if err := a.store.AbortUpload(r.Context(), r.Bucket, r.Key, r.Query().Get("uploadId")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type listPartsResult struct {
	XMLName              struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
	Bucket               string
	Key                  text
	UploadId             string //nolint:revive // S3's spelling
	Initiator            person
	Owner                person
	StorageClass         string
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	ChecksumAlgorithm    string       `xml:",omitempty"`
	ChecksumType         string       `xml:",omitempty"`
	Parts                []listedPart `xml:"Part"`
}

type listedPart struct {
	PartNumber   int
	LastModified stamp
	ETag         string
	Size         int64
	checksumFields
}

// person returns the XML of an owner or initiator.
type person struct {
	ID          string
	DisplayName string
}

// listParts is ListParts in the S3 API reference.
func listParts(a *API, w http.ResponseWriter, r *Request) error {
	most, err := parseMax(r.Query().Get("max-parts"), "max-parts")
	if err != nil {
		return err
	}
	after := 0
	if v := r.Query().Get("part-number-marker"); v != "" {
		if after, err = intParam(r, "part-number-marker", 0, 1<<31-1); err != nil {
			return err
		}
	}
	list, err := a.store.ListParts(r.Context(), r.Bucket, r.Key, r.Query().Get("uploadId"), after, most)
	if err != nil {
		return err
	}
	doc := list.Upload.Doc
	out := listPartsResult{Bucket: r.BucketName, Key: text(r.Key), UploadId: list.Upload.ID.String(),
		Initiator: person{doc.Initiator, doc.Initiator}, Owner: person{doc.Version.Owner, doc.Version.Owner},
		StorageClass: doc.Version.Class, PartNumberMarker: after, NextPartNumberMarker: list.Next, MaxParts: most, IsTruncated: list.Truncated,
		ChecksumAlgorithm: doc.ChecksumAlgorithm, ChecksumType: doc.ChecksumType}
	for _, p := range list.Parts {
		out.Parts = append(out.Parts, listedPart{p.Number, micros(p.Modified), quote(p.ETag), p.Size, checksumOf(p.Checksum)})
	}
	return writeXML(w, out)
}

type listUploadsResult struct {
	XMLName            struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
	Bucket             string
	KeyMarker          text
	UploadIdMarker     string //nolint:revive // S3's spelling
	NextKeyMarker      text   `xml:",omitempty"`
	NextUploadIdMarker string `xml:",omitempty"` //nolint:revive // S3's spelling
	Prefix             text
	Delimiter          text   `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Uploads            []listedUpload `xml:"Upload"`
	CommonPrefixes     []byte         `xml:",innerxml"`
}

type listedUpload struct {
	Key               text
	UploadId          string //nolint:revive // S3's spelling
	Initiator         person
	Owner             person
	StorageClass      string
	Initiated         stamp
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

// listMultipartUploads is ListMultipartUploads in the S3 API reference.
func listMultipartUploads(a *API, w http.ResponseWriter, r *Request) error {
	l, err := parseListRequest(r)
	if err != nil {
		return err
	}
	q := r.Query()
	most, err := parseMax(q.Get("max-uploads"), "max-uploads")
	if err != nil {
		return err
	}
	in := store.ListUploadsInput{Prefix: l.prefix, Delimiter: l.delimiter,
		KeyMarker: q.Get("key-marker"), UploadIDMarker: q.Get("upload-id-marker"), Limit: most}
	list, err := a.store.ListUploads(r.Context(), r.Bucket, in)
	if err != nil {
		return err
	}
	out := listUploadsResult{Bucket: r.BucketName, KeyMarker: l.text(in.KeyMarker), UploadIdMarker: in.UploadIDMarker,
		NextKeyMarker: l.text(list.NextKey), NextUploadIdMarker: list.NextUploadID, Prefix: l.text(in.Prefix), Delimiter: l.text(in.Delimiter),
		EncodingType: l.encodingType, MaxUploads: most, IsTruncated: list.Truncated}
	for i := range list.Uploads {
		u := &list.Uploads[i]
		v := &u.Doc.Version
		out.Uploads = append(out.Uploads, listedUpload{Key: l.text(u.Key), UploadId: u.ID.String(),
			Initiator: person{u.Doc.Initiator, u.Doc.Initiator}, Owner: person{v.Owner, v.Owner}, StorageClass: v.Class,
			Initiated: micros(u.Doc.Initiated), ChecksumAlgorithm: u.Doc.ChecksumAlgorithm, ChecksumType: u.Doc.ChecksumType})
	}
	out.CommonPrefixes = l.prefixes(list.Prefixes)
	return writeXML(w, out)
}
