package sigv4

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

const redacted = "(not shown)"

// signedRequest is a copy of everything that the signature covers, so that a router
// that rewrites the path afterwards does not change the result.
type signedRequest struct {
	method    string
	path      string // decoded
	rawPath   string // as received, when it decodes to path; else path encoded by net/url
	query     []param
	presigned bool
	names     []string   // signed headers, in the order of SignedHeaders
	values    [][]string // their values
	payload   string     // the last line of the canonical request
}

func newSignedRequest(r *http.Request, query []param, presigned bool, names []string, payload string) signedRequest {
	s := signedRequest{
		method: r.Method, path: r.URL.Path, rawPath: rawPath(r), query: query,
		presigned: presigned, names: names, payload: payload,
	}
	if s.path == "" { // absolute form without a path: http://host
		s.path, s.rawPath = "/", "/"
	}
	for _, name := range names {
		s.values = append(s.values, headerValues(r, name))
	}
	return s
}

// rawPath returns the path as it is in the request line, not decoded. URL.EscapedPath
// would re-encode a path in which the client left bytes such as { or ^ unescaped.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if i := strings.Index(raw, "://"); i > 0 && !strings.HasPrefix(raw, "/") {
		raw = raw[i+3:]
		slash := strings.IndexAny(raw, "/?")
		if slash < 0 {
			return r.URL.EscapedPath()
		}
		raw = raw[slash:]
	}
	raw, _, _ = strings.Cut(raw, "?")
	if decoded, err := url.PathUnescape(raw); err != nil || decoded != r.URL.Path {
		return r.URL.EscapedPath() // the URL was rewritten: verify the path that will be handled
	}
	return raw
}

// headerValues returns the values of a signed header, also of those that net/http
// moves to fields of the request.
func headerValues(r *http.Request, name string) []string {
	if name == "host" {
		return []string{r.Host}
	}
	if v := r.Header[textproto.CanonicalMIMEHeaderKey(name)]; len(v) > 0 {
		return v
	}
	switch {
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding":
		return r.TransferEncoding
	}
	return nil
}

// A variant is one interpretation of AWS' rules that existing clients have.
type variant struct {
	path   string
	header func(string) string
}

// variants returns the interpretations to try, the documented one first.
//
// Paths: AWS documents the key's bytes encoded by UriEncode, and its SDKs sign
// that. Other clients leave some of !'()*+,;=:@&$ unescaped on the wire, or send
// %2F for a slash, and sign the path as sent. The second interpretation decodes to
// the same key, so it accepts no request that the key's owner did not sign.
//
// Headers: AWS documents that runs of spaces are folded into one; boto 2 does not
// fold values that contain a quote, s3cmd never folds, botocore folds every Unicode
// space.
func (s *signedRequest) variants() []variant {
	paths := []string{uriEncode(s.path, true)}
	if s.rawPath != paths[0] {
		paths = append(paths, s.rawPath)
	}
	headers := []func(string) string{foldSpaces}
	if s.hasRuns() {
		headers = append(headers, foldUnquoted, trim, foldUnicode)
	}
	var out []variant
	for _, h := range headers {
		for _, p := range paths {
			out = append(out, variant{p, h})
		}
	}
	return out
}

func (s *signedRequest) hasRuns() bool {
	for _, values := range s.values {
		for _, v := range values {
			if folded := foldSpaces(v); folded != trim(v) || folded != foldUnicode(v) {
				return true
			}
		}
	}
	return false
}

func trim(v string) string { return strings.Trim(v, " \t") }

func foldUnicode(v string) string { return strings.Join(strings.Fields(v), " ") }

func foldSpaces(v string) string {
	isSpace := func(c rune) bool { return c == ' ' || c == '\t' }
	return strings.Join(strings.FieldsFunc(v, isSpace), " ")
}

func foldUnquoted(v string) string {
	if strings.Contains(v, `"`) {
		return trim(v)
	}
	return foldSpaces(v)
}

// canonicalRequest returns AWS' canonical request in the given interpretation. With
// redact, customer keys and session tokens are blanked so that it can be shown.
func (s *signedRequest) canonicalRequest(v variant, redact bool) string {
	var b strings.Builder
	b.WriteString(s.method + "\n" + v.path + "\n")
	b.WriteString(canonicalQuery(s.query, s.presigned, redact) + "\n")
	for i, name := range s.names {
		b.WriteString(name + ":")
		for j, value := range s.values[i] {
			if j > 0 {
				b.WriteByte(',')
			}
			if redact && isSensitive(name) {
				value = redacted
			}
			b.WriteString(v.header(value))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n" + strings.Join(s.names, ";") + "\n" + s.payload)
	return b.String()
}

func isSensitive(lowerName string) bool {
	return strings.HasSuffix(lowerName, "server-side-encryption-customer-key") ||
		lowerName == "x-amz-security-token"
}
