package sigv4

import (
	"net/url"
	"slices"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
)

// param is one query parameter, decoded.
type param struct{ name, value string }

// parseQuery splits a raw query. Unlike url.ParseQuery, it keeps the order and all
// parameters, and treats a semicolon as an ordinary byte: the signature requires
// this.
func parseQuery(raw string) ([]param, error) {
	var params []param
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return nil, badQuery(err)
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return nil, badQuery(err)
		}
		params = append(params, param{n, v})
	}
	return params, nil
}

func badQuery(err error) error {
	e := s3err.Newf(s3err.InvalidURI, "Couldn't parse the specified URI: the query has an invalid %%-escape.")
	e.Err = err
	return e
}

// find returns the parameter's value and how often it occurs. Names of
// authentication parameters are compared without case, so that an odd spelling
// is refused as a bad signature instead of being taken for an anonymous request.
func find(params []param, name string) (value string, count int) {
	for _, p := range params {
		if strings.EqualFold(p.name, name) {
			if count == 0 {
				value = p.value
			}
			count++
		}
	}
	return value, count
}

// canonicalQuery encodes and sorts all parameters except the signature itself.
func canonicalQuery(params []param, presigned, redact bool) string {
	encoded := make([]param, 0, len(params))
	for _, p := range params {
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		if redact && isSensitive(strings.ToLower(p.name)) {
			p.value = redacted
		}
		encoded = append(encoded, param{uriEncode(p.name, false), uriEncode(p.value, false)})
	}
	slices.SortFunc(encoded, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// uriEncode is AWS' UriEncode: every byte that is not unreserved becomes %XY in
// upper case; only in an object key the slash stays.
func uriEncode(s string, keepSlash bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) || keepSlash && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
