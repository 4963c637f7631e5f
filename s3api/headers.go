package s3api

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

const (
	amzMeta         = "X-Amz-Meta-"
	copyFrom        = "X-Amz-Copy-Source-"
	sseHeader       = "X-Amz-Server-Side-Encryption"
	customerHeaders = "Server-Side-Encryption-Customer-"
	defaultType     = "binary/octet-stream"
)

// conditions parses the preconditions of a request. prefix is "" or that of the
// conditions on the source of a copy. Malformed dates are ignored, as RFC 9110
// says.
func conditions(h http.Header, prefix string) store.Conditions {
	c := store.Conditions{IfMatch: etagList(h.Values(prefix + "If-Match")), IfNoneMatch: etagList(h.Values(prefix + "If-None-Match"))}
	c.IfModifiedSince, _ = http.ParseTime(h.Get(prefix + "If-Modified-Since"))
	c.IfUnmodifiedSince, _ = http.ParseTime(h.Get(prefix + "If-Unmodified-Since"))
	return c
}

// etagList splits the values of an If-Match; nil if there are none.
func etagList(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	list := []string{} // a header without a value has no ETag, and matches none
	for _, v := range values {
		for e := range strings.SplitSeq(v, ",") {
			if e = strings.TrimSpace(e); e != "" {
				list = append(list, e)
			}
		}
	}
	return list
}

// writeConditions parses the conditions of a PUT. S3 has no dates there, and
// If-None-Match only with "*": with an ETag it would confirm the ETag of an object
// to a caller that may only write.
func writeConditions(h http.Header) (store.Conditions, error) {
	if v := h.Values("If-None-Match"); len(v) > 0 && !slices.Equal(v, []string{"*"}) {
		return store.Conditions{}, notImplementedHeader("If-None-Match")
	}
	return conditions(h, ""), nil
}

func notImplementedHeader(name string) *s3err.Error {
	return failf(s3err.NotImplemented, "A header you provided implies functionality that is not implemented").With("Header", name)
}

// deleteConditions parses the conditions of a DELETE.
func deleteConditions(h http.Header) (store.Conditions, error) {
	c := store.Conditions{IfMatch: etagList(h.Values("If-Match"))}
	if v := h.Get("X-Amz-If-Match-Size"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return c, badArgument("x-amz-if-match-size", v, "The size must be a number of bytes")
		}
		c.IfMatchSize = &n
	}
	if v := h.Get("X-Amz-If-Match-Last-Modified-Time"); v != "" {
		t, err := parseDate(v)
		if err != nil {
			return c, badArgument("x-amz-if-match-last-modified-time", v, "The time must be an HTTP date")
		}
		c.IfMatchLastModified = t
	}
	return c, nil
}

// parseDate parses an HTTP date or an ISO 8601 date.
func parseDate(v string) (time.Time, error) {
	if t, err := http.ParseTime(v); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339Nano, v)
}

// byteRange parses a Range header. For a malformed value and for several ranges it
// returns nil, which means the whole object, as on S3. RFC 9110, section 14.2,
// allows that.
func byteRange(v string) *store.Range {
	spec, ok := strings.CutPrefix(v, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return nil
	}
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return nil
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return nil
		}
		if n == 0 { // the last 0 bytes: not satisfiable, like a start after the end
			return &store.Range{First: 1<<63 - 1, Last: -1}
		}
		return &store.Range{First: -int64(n), Last: -1}
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return nil
	}
	if last == "" {
		return &store.Range{First: int64(from), Last: -1}
	}
	to, err := strconv.ParseUint(last, 10, 63)
	if err != nil || to < from {
		return nil
	}
	return &store.Range{First: int64(from), Last: int64(to)}
}

// ifRange reports whether an If-Range matches the version: its ETag, or its date
// to the second. (RFC 9110, section 13.1.5.)
func ifRange(validator string, v *meta.Version) bool {
	if t, err := http.ParseTime(validator); err == nil {
		return t.Equal(time.UnixMicro(v.Modified).Truncate(time.Second))
	}
	return validator == quote(v.ETag)
}

// storedHeaders are the headers that are stored with an object unchanged.
var storedHeaders = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// objectHeaders returns the system headers that are stored with an object.
func objectHeaders(h http.Header) map[string]string {
	kept := map[string]string{"Content-Type": defaultType}
	for _, name := range storedHeaders {
		v := strings.Join(h.Values(name), ",")
		if name == "Content-Encoding" {
			v = withoutChunked(v)
		}
		if v != "" {
			kept[name] = v
		}
	}
	if v := h.Get("X-Amz-Website-Redirect-Location"); v != "" {
		kept["X-Amz-Website-Redirect-Location"] = v
	}
	return kept
}

// withoutChunked removes aws-chunked from a Content-Encoding: it encodes the
// request's body, not the object.
func withoutChunked(v string) string {
	if !strings.Contains(strings.ToLower(v), "aws-chunked") {
		return v
	}
	var kept []string
	for e := range strings.SplitSeq(v, ",") {
		if t := strings.TrimSpace(e); t != "" && !strings.EqualFold(t, "aws-chunked") {
			kept = append(kept, e)
		}
	}
	return strings.TrimSpace(strings.Join(kept, ",")) // the other encodings stay as they were written
}

// userMetadata parses x-amz-meta-*.
func userMetadata(h http.Header) map[string]string {
	m := map[string]string{}
	for name, values := range h {
		if key, ok := strings.CutPrefix(name, amzMeta); ok {
			m[strings.ToLower(key)] = decodeWords(strings.Join(values, ","))
		}
	}
	return m
}

// decodeWords and encodeWords convert metadata that is not US-ASCII as S3 does: in
// HTTP it has the encoded words of RFC 2047. Other values, such as UTF-8, are not
// changed.
func decodeWords(v string) string {
	if decoded, err := new(mime.WordDecoder).DecodeHeader(v); err == nil {
		return decoded
	}
	return v
}

func encodeWords(v string) string {
	for _, c := range []byte(v) {
		if c < ' ' || c > '~' {
			return mime.BEncoding.Encode("UTF-8", v)
		}
	}
	return v
}

// contentMD5 parses Content-MD5; nil if there is none. InvalidDigest.
func contentMD5(h http.Header) ([]byte, error) {
	values, ok := h["Content-Md5"]
	if !ok {
		return nil, nil
	}
	sum, err := base64.StdEncoding.DecodeString(values[0])
	if err != nil || len(sum) != md5.Size {
		return nil, fail(s3err.InvalidDigest).With("Content-MD5", values[0])
	}
	return sum, nil
}

// encryption parses how the object is to be encrypted. Contradicting headers are
// refused.
func (a *API) encryption(r *Request) (store.EncryptionRequest, error) {
	e := store.EncryptionRequest{
		Type: r.Header.Get(sseHeader), KMSKeyID: r.Header.Get(sseHeader + "-Aws-Kms-Key-Id"), Context: r.Header.Get(sseHeader + "-Context"),
	}
	switch v := r.Header.Get(sseHeader + "-Bucket-Key-Enabled"); strings.ToLower(v) {
	case "", "false":
	case "true":
		e.BucketKey = true
	default:
		return e, badArgument("x-amz-server-side-encryption-bucket-key-enabled", v, "The value must be true or false")
	}
	switch {
	case e.Type != "" && e.Type != store.AlgorithmAES256 && e.Type != store.AlgorithmKMS:
		if e.Type == "aws:kms:dsse" {
			return e, failf(s3err.NotImplemented, "Encryption with aws:kms:dsse is not implemented")
		}
		return e, badArgument("x-amz-server-side-encryption", e.Type, "The encryption method specified is not supported")
	case e.KMSKeyID != "" && e.Type != store.AlgorithmKMS:
		return e, badArgument("x-amz-server-side-encryption-aws-kms-key-id", e.KMSKeyID, "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
	case e.Context != "" && e.Type != store.AlgorithmKMS:
		return e, badArgument("x-amz-server-side-encryption-context", e.Context, "An encryption context requires HTTP header x-amz-server-side-encryption : aws:kms")
	case e.Context != "" && !encryptionContext(e.Context):
		return e, badArgument("x-amz-server-side-encryption-context", e.Context, "The encryption context must be the base64 of a JSON object whose values are strings")
	}
	if _, given := r.Header[http.CanonicalHeaderKey(sseHeader)]; given && e.Type == "" {
		return e, badArgument("x-amz-server-side-encryption", "", "The encryption method specified is not supported")
	}
	if err := a.mayUseKey(r, e.KMSKeyID); err != nil {
		return e, err
	}
	c, err := a.customerKey(r, "X-Amz-")
	if err != nil {
		return e, err
	}
	if c.CustomerKey != nil {
		if e.Type != "" {
			return e, badArgument("x-amz-server-side-encryption", e.Type, "Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
		}
		return c, nil
	}
	return e, nil
}

// mayUseKey refuses a master key that the caller's tenant may not use. "" means the
// default key, which all tenants may use. AccessDenied.
func (a *API) mayUseKey(r *Request, keyID string) error {
	if keyID == "" || a.options.MayUseKey == nil || r.Caller.Master || a.options.MayUseKey(r.Caller.CanonicalID(), keyID) {
		return nil
	}
	return failf(s3err.AccessDenied, "User is not authorized to use the key %q", keyID)
}

func encryptionContext(v string) bool {
	raw, err := base64.StdEncoding.DecodeString(v)
	var pairs map[string]string
	return err == nil && json.Unmarshal(raw, &pairs) == nil
}

// customerKey parses the headers of SSE-C. prefix is X-Amz- or that of the source of
// a copy. A key that was sent without TLS is refused.
func (a *API) customerKey(r *Request, prefix string) (store.EncryptionRequest, error) {
	prefix += customerHeaders
	algorithm, key, sum := r.Header.Get(prefix+"Algorithm"), r.Header.Get(prefix+"Key"), r.Header.Get(prefix+"Key-Md5")
	var e store.EncryptionRequest
	if algorithm == "" && key == "" && sum == "" {
		return e, nil
	}
	if !r.Client.Secure && !a.options.AllowInsecureSSEC {
		return e, failf(s3err.InvalidRequest, "Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.")
	}
	name := strings.ToLower(prefix)
	switch {
	case algorithm == "":
		return e, badArgument(name+"algorithm", "", "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption algorithm.")
	case algorithm != store.AlgorithmAES256:
		return e, failf(s3err.InvalidEncryptionAlgorithmError, "The encryption request you specified is not valid. The valid value is AES256.").With("ArgumentName", name+"algorithm")
	case key == "":
		return e, badArgument(name+"key", "", "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.")
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) != 32 {
		return e, badArgument(name+"key", "", "The secret key was invalid for the specified algorithm.")
	}
	if sum == "" {
		return e, badArgument(name+"key-MD5", "", "Requests specifying Server Side Encryption with Customer provided keys must provide the MD5 hash of the secret key.")
	}
	if want := md5.Sum(raw); sum != base64.StdEncoding.EncodeToString(want[:]) {
		return e, badArgument(name+"key-MD5", sum, "The calculated MD5 hash of the key did not match the hash that was provided.")
	}
	return store.EncryptionRequest{CustomerKey: raw, CustomerKeyMD5: sum}, nil
}

// writeEncryption sets the headers that describe the encryption of an object.
func writeEncryption(h http.Header, e *meta.Encryption) {
	if e == nil {
		return
	}
	switch e.Type {
	case store.SSES3:
		h.Set(sseHeader, store.AlgorithmAES256)
	case store.SSEKMS:
		h.Set(sseHeader, store.AlgorithmKMS)
		h.Set(sseHeader+"-Aws-Kms-Key-Id", e.KMSKeyID)
		if e.BucketKey {
			h.Set(sseHeader+"-Bucket-Key-Enabled", "true")
		}
	case store.SSEC:
		h.Set("X-Amz-"+customerHeaders+"Algorithm", store.AlgorithmAES256)
		h.Set("X-Amz-"+customerHeaders+"Key-Md5", e.KeyMD5)
	}
}

// writeContext sets the header of the encryption context that a write has set:
// PutObject, CopyObject and CreateMultipartUpload. AWS returns it for no other
// operation.
func writeContext(h http.Header, e *meta.Encryption) {
	if e != nil && e.Type == store.SSEKMS && e.Context != "" {
		h.Set(sseHeader+"-Context", e.Context)
	}
}

// lockHeaders parses the object lock of a new object.
func lockHeaders(h http.Header, now time.Time, at *store.Attributes) error {
	mode, until := h.Get("X-Amz-Object-Lock-Mode"), h.Get("X-Amz-Object-Lock-Retain-Until-Date")
	switch v := h.Get("X-Amz-Object-Lock-Legal-Hold"); v {
	case "ON":
		at.LegalHold = true
	case "OFF":
		at.LegalHoldReleased = true
	case "":
	default:
		return badArgument("x-amz-object-lock-legal-hold", v, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	if mode == "" && until == "" {
		return nil
	}
	if mode == "" || until == "" {
		return failf(s3err.InvalidArgument, "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
	}
	if mode != store.ModeGovernance && mode != store.ModeCompliance {
		return badArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
	}
	t, err := time.Parse(time.RFC3339Nano, until)
	if err != nil {
		return badArgument("x-amz-object-lock-retain-until-date", until, "The retain until date must be provided in ISO 8601 format")
	}
	if !t.After(now) {
		return badArgument("x-amz-object-lock-retain-until-date", until, "The retain until date must be in the future!")
	}
	at.Retention = &meta.Retention{Mode: mode, Until: t.UnixMicro()}
	return nil
}

// writeRetention sets the headers that describe the retention of an object.
func writeRetention(h http.Header, retention *meta.Retention) {
	h.Set("X-Amz-Object-Lock-Mode", retention.Mode)
	h.Set("X-Amz-Object-Lock-Retain-Until-Date", xmlTime(retention.Until))
}

// xmlTime formats a time, in µs since 1970, as S3's documents have it.
func xmlTime(µs int64) string {
	return time.UnixMicro(µs).UTC().Format(timeFormat)
}

func quote(etag string) string { return `"` + etag + `"` }

// intParam parses a number of the query, within limits. InvalidArgument.
func intParam(r *Request, name string, least, most int) (int, error) {
	v := r.Query().Get(name)
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, badArgument(name, v, "%s must be an integer between %d and %d, inclusive", argumentTitle(name), least, most)
	}
	return n, nil
}

func argumentTitle(name string) string {
	if name == "partNumber" {
		return "Part number"
	}
	return fmt.Sprintf("Argument %s", name)
}
