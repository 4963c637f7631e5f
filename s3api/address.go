package s3api

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/store"
)

// address is the bucket and key of a request.
type address struct {
	bucket, key string
	// byHost: the host names the bucket (virtual-host style, or proxy mode).
	byHost bool
}

func (a address) scope() Scope {
	switch {
	case a.key != "":
		return ScopeObject
	case a.bucket != "":
		return ScopeBucket
	}
	return ScopeService
}

// parseAddress finds bucket and key of a request: in the host if that ends with
// one of the service suffixes (lower case, without port), else in the path. The
// path is that of the request line, decoded exactly once. InvalidURI,
// KeyTooLongError, InvalidBucketName.
func parseAddress(r *http.Request, suffixes []string) (address, error) {
	var a address
	bucket, rest := hostBucket(r.Host, suffixes), strings.TrimPrefix(rawPath(r), "/")
	a.byHost = bucket != ""
	if !a.byHost {
		var slash bool
		bucket, rest, slash = strings.Cut(rest, "/")
		if bucket == "" && !slash {
			return a, nil
		}
	}
	var err error
	if a.bucket, err = url.PathUnescape(bucket); err != nil {
		return a, invalidURI(err)
	}
	if !plausibleBucket(a.bucket) {
		return a, fail(s3err.InvalidBucketName).With("BucketName", a.bucket)
	}
	if a.key, err = url.PathUnescape(rest); err != nil {
		return a, invalidURI(err)
	}
	return a, checkKey(a.key)
}

// checkKey enforces S3's rules for keys; "" is accepted. InvalidURI,
// KeyTooLongError.
func checkKey(key string) error {
	if !utf8.ValidString(key) {
		return fail(s3err.InvalidURI).WithHint("the key is not UTF-8")
	}
	if len(key) > store.MaxKeyBytes {
		return fail(s3err.KeyTooLongError).With("Size", itoa(len(key))).With("MaxSizeAllowed", itoa(store.MaxKeyBytes))
	}
	return nil
}

func invalidURI(cause error) error {
	e := fail(s3err.InvalidURI)
	e.Err = cause
	return e
}

// rawPath returns the path as in the request line. URL.Path does not show which
// slashes were escaped.
func rawPath(r *http.Request) string {
	raw := r.RequestURI
	if i := strings.Index(raw, "://"); i > 0 && raw[0] != '/' {
		raw = raw[i+3:]
		if slash := strings.IndexAny(raw, "/?"); slash >= 0 {
			raw = raw[slash:]
		} else {
			raw = ""
		}
	}
	raw, _, _ = strings.Cut(raw, "?")
	if decoded, err := url.PathUnescape(raw); err != nil || decoded != r.URL.Path {
		return r.URL.EscapedPath() // the URL was rewritten on the way here
	}
	return raw
}

// hostBucket returns the bucket that host names before the longest matching
// suffix, in lower case. It is "" for other hosts, IP addresses, and the service
// itself.
func hostBucket(host string, suffixes []string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return ""
	}
	longest, bucket := -1, ""
	for _, suffix := range suffixes {
		if host == suffix {
			return ""
		}
		if b, ok := strings.CutSuffix(host, "."+suffix); ok && len(suffix) > longest {
			longest, bucket = len(suffix), b
		}
	}
	return bucket
}

// plausibleBucket accepts all names that buckets on AWS may have, also by older
// rules. Package store has the stricter rules for new buckets.
func plausibleBucket(name string) bool {
	if len(name) < 3 || len(name) > 255 {
		return false
	}
	for _, c := range []byte(name) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && c != '.' && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// serviceSuffixes normalizes service URIs: host, host:port or a URL.
func serviceSuffixes(uris []string) []string {
	var out []string
	for _, uri := range uris {
		if i := strings.Index(uri, "://"); i >= 0 {
			uri = uri[i+3:]
		}
		uri, _, _ = strings.Cut(uri, "/")
		if h, _, err := net.SplitHostPort(uri); err == nil {
			uri = h
		}
		if uri = strings.ToLower(strings.Trim(uri, ".")); uri != "" && net.ParseIP(strings.Trim(uri, "[]")) == nil {
			out = append(out, uri)
		}
	}
	return out
}
