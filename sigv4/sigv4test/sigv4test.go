// Package sigv4test signs requests and encodes bodies as a client does, for
// tests that speak raw HTTP. It shares no code with the verification in
// package sigv4, so that the two check each other.
package sigv4test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Values of x-amz-content-sha256.
const (
	Unsigned        = "UNSIGNED-PAYLOAD"
	Chunked         = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	ChunkedTrailer  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	UnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// A Signer signs with one key.
type Signer struct {
	AccessKey, Secret string
	Region            string    // default us-east-1
	Time              time.Time // default now
	// Skip names headers, in lower case, to be left unsigned.
	Skip []string
}

// Hash returns the hex SHA-256 of a body, for use as payload.
func Hash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// SignHeader sets X-Amz-Date, X-Amz-Content-Sha256 and Authorization, signing
// all headers that r has by then, and returns the signature. The payload is
// the hex hash of the body or one of the constants.
func (s Signer) SignHeader(r *http.Request, payload string) string {
	at := s.at()
	r.Header.Set("X-Amz-Date", at.Format("20060102T150405Z"))
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Del("Authorization")
	names, lines := s.headers(r)
	signature := s.sign(at, canonical(r, r.URL.Query(), names, lines, payload))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		s.AccessKey, s.scope(at), names, signature))
	return signature
}

// Presign turns r's URL into a presigned one, valid for the given time. The
// headers that r has by then are signed and must be sent along.
func (s Signer) Presign(r *http.Request, expires time.Duration) {
	at := s.at()
	names, lines := s.headers(r)
	q := r.URL.Query()
	q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	q.Set("X-Amz-Credential", s.AccessKey+"/"+s.scope(at))
	q.Set("X-Amz-Date", at.Format("20060102T150405Z"))
	q.Set("X-Amz-Expires", strconv.Itoa(int(expires/time.Second)))
	q.Set("X-Amz-SignedHeaders", names)
	signature := s.sign(at, canonical(r, q, names, lines, Unsigned))
	r.URL.RawQuery = encodeQuery(q) + "&X-Amz-Signature=" + signature
}

// A Body is a payload, and the form in which it is sent.
type Body struct {
	Data      []byte
	ChunkSize int // default 64 KiB
	// Trailer are the fields behind the last chunk, in order, as name and value.
	Trailer [][2]string
}

// SignChunked sets the headers of an aws-chunked upload, signs r, and returns
// the encoded body, which it also sets. Payload is Chunked, ChunkedTrailer or
// UnsignedTrailer.
func (s Signer) SignChunked(r *http.Request, payload string, b Body) []byte {
	s.Time = s.at() // chunks are signed with the request's time, however long that takes
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(len(b.Data)))
	for _, f := range b.Trailer {
		r.Header.Add("X-Amz-Trailer", f[0])
	}
	seed := s.SignHeader(r, payload)
	encoded := s.Encode(payload, seed, b)
	r.ContentLength = int64(len(encoded))
	r.Body = nopCloser{bytes.NewReader(encoded)}
	return encoded
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// Encode writes b in the aws-chunked encoding; seed is the request's signature.
func (s Signer) Encode(payload, seed string, b Body) []byte {
	var out bytes.Buffer
	size := b.ChunkSize
	if size <= 0 {
		size = 64 << 10
	}
	chunk := func(data []byte) {
		if payload == UnsignedTrailer {
			fmt.Fprintf(&out, "%x\r\n", len(data))
			return
		}
		seed = s.signNext("AWS4-HMAC-SHA256-PAYLOAD", seed, emptyHash+"\n"+Hash(data))
		fmt.Fprintf(&out, "%x;chunk-signature=%s\r\n", len(data), seed)
	}
	for data := b.Data; len(data) > 0; data = data[min(size, len(data)):] {
		part := data[:min(size, len(data))]
		chunk(part)
		out.Write(part)
		out.WriteString("\r\n")
	}
	chunk(nil)
	if payload != Chunked {
		s.trailer(&out, payload, seed, b.Trailer)
	}
	out.WriteString("\r\n")
	return out.Bytes()
}

func (s Signer) trailer(out *bytes.Buffer, payload, seed string, fields [][2]string) {
	text := ""
	for _, f := range fields {
		fmt.Fprintf(out, "%s:%s\r\n", f[0], f[1])
		text += strings.ToLower(f[0]) + ":" + f[1] + "\n"
	}
	if payload == ChunkedTrailer {
		fmt.Fprintf(out, "x-amz-trailer-signature:%s\r\n", s.signNext("AWS4-HMAC-SHA256-TRAILER", seed, Hash([]byte(text))))
	}
}

func (s Signer) at() time.Time {
	if s.Time.IsZero() {
		return time.Now().UTC()
	}
	return s.Time.UTC()
}

func (s Signer) scope(at time.Time) string {
	region := s.Region
	if region == "" {
		region = "us-east-1"
	}
	return at.Format("20060102") + "/" + region + "/s3/aws4_request"
}

// headers returns SignedHeaders and the canonical headers.
func (s Signer) headers(r *http.Request) (names, lines string) {
	values := map[string]string{"host": r.Host}
	if r.Host == "" {
		values["host"] = r.URL.Host
	}
	for name, v := range r.Header {
		values[strings.ToLower(name)] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
	}
	for _, name := range s.Skip {
		delete(values, name)
	}
	var sorted []string
	for name := range values {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		lines += name + ":" + values[name] + "\n"
	}
	return strings.Join(sorted, ";"), lines
}

func canonical(r *http.Request, q url.Values, names, lines, payload string) string {
	path := strings.ReplaceAll(escape(r.URL.Path), "%2F", "/")
	if path == "" {
		path = "/"
	}
	return r.Method + "\n" + path + "\n" + encodeQuery(q) + "\n" + lines + "\n" + names + "\n" + payload
}

func encodeQuery(q url.Values) string {
	var parts []string
	for name, values := range q {
		for _, v := range values {
			parts = append(parts, escape(name)+"="+escape(v))
		}
	}
	byName := func(i int) string { return strings.Replace(parts[i], "=", "\x00", 1) } // "a" before "a-b"
	sort.Slice(parts, func(i, j int) bool { return byName(i) < byName(j) })
	return strings.Join(parts, "&")
}

// escape leaves AWS' unreserved characters only, which are url.QueryEscape's.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// sign signs a canonical request.
func (s Signer) sign(at time.Time, canonicalRequest string) string {
	s.Time = at
	return s.signNext("AWS4-HMAC-SHA256", "", Hash([]byte(canonicalRequest)))
}

// signNext signs algorithm, time, scope, the signature before (if any) and rest.
func (s Signer) signNext(algorithm, previous, rest string) string {
	at := s.at()
	if previous != "" {
		rest = previous + "\n" + rest
	}
	text := strings.Join([]string{algorithm, at.Format("20060102T150405Z"), s.scope(at), rest}, "\n")
	key := []byte("AWS4" + s.Secret)
	for _, part := range strings.Split(s.scope(at), "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}
