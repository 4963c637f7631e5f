package s3api

import (
	"bytes"
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

const defaultMaxDocument = 64 << 10

// Document reads the whole body of a BodyDocument, compares it with the digests of
// the request, and caches it. MaxMessageLengthExceeded, BadDigest, InvalidDigest,
// InvalidRequest, IncompleteBody.
func (r *Request) Document() ([]byte, error) {
	if r.read {
		return r.document, nil
	}
	limit := r.Op.MaxBody
	if limit == 0 {
		limit = defaultMaxDocument
	}
	if r.ContentLength > limit {
		return nil, fail(s3err.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", itoa(int(limit)))
	}
	data, err := r.readUpTo(limit + 1)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fail(s3err.MaxMessageLengthExceeded).With("MaxMessageLengthBytes", itoa(int(limit)))
	}
	if err := r.checkDigests(data); err != nil {
		return nil, err
	}
	r.document, r.read = data, true
	return data, nil
}

// readUpTo reads up to limit bytes. Memory is admitted as the bytes arrive, not for
// the length that the client declares: documents may be read before the request is
// authorized.
func (r *Request) readUpTo(limit int64) ([]byte, error) {
	size := int64(4 << 10)
	if r.ContentLength >= 0 {
		size = min(max(r.ContentLength+1, 512), defaultMaxDocument) // one more byte, to see the end
	}
	data := make([]byte, 0, min(size, limit))
	if err := r.admit(WorkDocument, int64(cap(data))); err != nil {
		return nil, err
	}
	for {
		n, err := r.Body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // as io.Reader has it
			return data, nil
		case err != nil:
			return nil, err
		case int64(len(data)) == limit:
			return data, nil
		case len(data) < cap(data):
			continue
		}
		size = min(2*int64(cap(data)), limit)
		if err := r.admit(WorkDocument, size); err != nil {
			return nil, err
		}
		data = append(make([]byte, 0, size), data...)
	}
}

// DecodeXML decodes the body strictly into v; roots are the allowed names of the
// root element. Errors: MalformedXML and those of Document.
func (r *Request) DecodeXML(v any, roots ...string) error {
	data, err := r.Document()
	if err != nil {
		return err
	}
	return decodeXML(data, v, roots...)
}

const digestPrefix = "X-Amz-Checksum-"

// checkDigests compares a document with its Content-MD5 and x-amz-checksum-* in
// the header or the trailer.
func (r *Request) checkDigests(data []byte) error {
	checked := false
	if values, ok := r.Header["Content-Md5"]; ok {
		want, err := base64.StdEncoding.DecodeString(values[0])
		if err != nil || len(want) != md5.Size || len(values) > 1 {
			return fail(s3err.InvalidDigest).With("Content-MD5", strings.Join(values, ","))
		}
		got := md5.Sum(data)
		if !bytes.Equal(got[:], want) {
			return failf(s3err.BadDigest, "The Content-MD5 you specified did not match what we received.").
				With("ExpectedDigest", values[0]).With("CalculatedDigest", base64.StdEncoding.EncodeToString(got[:]))
		}
		checked = true
	}
	if r.Op.ObjectChecksum {
		return nil
	}
	fields := []http.Header{r.Header}
	if r.Trailer != nil {
		fields = append(fields, r.Trailer())
	}
	for _, h := range fields {
		found, err := checkChecksums(h, data)
		if err != nil {
			return err
		}
		checked = checked || found
	}
	if r.Op.NeedDigest && !checked {
		return failf(s3err.InvalidRequest, "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	return nil
}

func checkChecksums(h http.Header, data []byte) (found bool, err error) {
	for name, values := range h {
		algorithm, ok := strings.CutPrefix(name, digestPrefix)
		if !ok || algorithm == "Algorithm" || algorithm == "Type" || algorithm == "Mode" {
			continue
		}
		if found {
			return found, manyChecksums()
		}
		sum, err := store.NewChecksum(strings.ToUpper(algorithm))
		if err != nil {
			return found, failf(s3err.InvalidRequest, "The algorithm of the header %s is not supported.", strings.ToLower(name))
		}
		sum.Write(data)
		want, err := base64.StdEncoding.DecodeString(values[0])
		if err != nil || len(want) != sum.Size() || len(values) > 1 {
			return found, failf(s3err.InvalidRequest, "Value for %s header is invalid.", strings.ToLower(name))
		}
		if subtle.ConstantTimeCompare(want, sum.Sum(nil)) == 0 {
			return found, failf(s3err.BadDigest, "The %s you specified did not match the calculated checksum.", strings.ToUpper(algorithm))
		}
		found = true
	}
	return found, nil
}
