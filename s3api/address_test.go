package s3api

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// received returns the request that a server parses from a request line and a host.
func received(line, host string) (*http.Request, error) {
	return http.ReadRequest(bufio.NewReader(strings.NewReader(line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
}

var testSuffixes = serviceSuffixes([]string{"s3.example.com", "https://example.com:8080/", "S3.Example.ORG.", "127.0.0.1"})

func TestAddress(t *testing.T) {
	long := strings.Repeat("k", 1024)
	for _, c := range []struct{ line, host, bucket, key, code string }{
		{line: "GET /", host: "localhost"},
		{line: "GET /bkt", host: "localhost", bucket: "bkt"},
		{line: "GET /bkt/", host: "localhost", bucket: "bkt"},
		{line: "GET /bkt/key", host: "localhost:8080", bucket: "bkt", key: "key"},
		{line: "GET /bkt/key/", host: "127.0.0.1:8080", bucket: "bkt", key: "key/"},
		{line: "GET /bkt//key", host: "[::1]:8080", bucket: "bkt", key: "/key"},
		{line: "GET /bkt//", host: "localhost", bucket: "bkt", key: "/"},
		{line: "GET /bkt/a//b/./../c", host: "localhost", bucket: "bkt", key: "a//b/./../c"},
		{line: "GET /bkt/..", host: "localhost", bucket: "bkt", key: ".."},
		{line: "GET /bkt/a%2Fb%252F+c%20d", host: "localhost", bucket: "bkt", key: "a/b%2F+c d"},
		{line: "GET /bkt/%00%01%7F%0A", host: "localhost", bucket: "bkt", key: "\x00\x01\x7f\n"},
		{line: "GET /bkt/%F0%9F%90%9F?acl", host: "localhost", bucket: "bkt", key: "🐟"},
		{line: "GET /bkt/%3Fa%23b?x", host: "localhost", bucket: "bkt", key: "?a#b"},
		{line: "GET /bkt/%FF", host: "localhost", bucket: "bkt", code: "InvalidURI"},
		{line: "GET /bkt/" + long, host: "localhost", bucket: "bkt", key: long},
		{line: "GET /bkt/" + long + "k", host: "localhost", bucket: "bkt", code: "KeyTooLongError"},
		{line: "GET //key", host: "localhost", code: "InvalidBucketName"},
		{line: "GET /b%2Fk/key", host: "localhost", code: "InvalidBucketName"},
		{line: "GET /%F0%9F%90%9F%20bucket/key", host: "localhost", code: "InvalidBucketName"},
		{line: "GET /x/key", host: "localhost", code: "InvalidBucketName"},
		{line: "GET /key", host: "bkt.s3.example.com", bucket: "bkt", key: "key"},
		{line: "GET /", host: "BKT.S3.example.com:80", bucket: "bkt"},
		{line: "GET //a", host: "bkt.s3.example.com", bucket: "bkt", key: "/a"},
		{line: "GET /bkt/key", host: "s3.example.com", bucket: "bkt", key: "key"},
		{line: "GET /bkt/key", host: "s3.example.com.:8080", bucket: "bkt", key: "key"},
		{line: "GET /key", host: "my.dotted.bkt.s3.example.com", bucket: "my.dotted.bkt", key: "key"},
		{line: "GET /key", host: "s3x.example.com", bucket: "s3x", key: "key"},
		{line: "GET /key", host: "bkt.s3.example.org", bucket: "bkt", key: "key"},
		{line: "GET /bkt/key", host: "elsewhere.net", bucket: "bkt", key: "key"},
		{line: "GET /bkt/key", host: "10.0.0.127.0.0.1", bucket: "bkt", key: "key"},
		{line: "GET http://bkt.s3.example.com/a%2Fb", host: "ignored", bucket: "bkt", key: "a/b"},
		{line: "GET http://bkt.s3.example.com", host: "ignored", bucket: "bkt"},
		{line: "GET http://s3.example.com/bkt/k?acl", host: "ignored", bucket: "bkt", key: "k"},
	} {
		r, err := received(c.line, c.host)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		got, err := parseAddress(r, testSuffixes)
		code := ""
		if err != nil {
			code = string(toError(err).Code)
		}
		if code != c.code || code == "" && (got.bucket != c.bucket || got.key != c.key) {
			t.Errorf("%.80s of %s: bucket %q, key %.80q, error %q; want %q, %.80q, %q", c.line, c.host, got.bucket, got.key, code, c.bucket, c.key, c.code)
		}
	}
}

func TestHostBucketTakesTheLongestSuffix(t *testing.T) {
	for _, suffixes := range [][]string{{"example.com", "s3.example.com"}, {"s3.example.com", "example.com"}} {
		if b := hostBucket("a.b.s3.example.com", suffixes); b != "a.b" {
			t.Errorf("%v: %q", suffixes, b)
		}
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("/bkt/key", "localhost")
	f.Add("/a%2fb//%00", "bkt.s3.example.com:80")
	f.Add("http://bkt.s3.example.com/%ff?x", "h")
	f.Fuzz(func(t *testing.T, uri, host string) {
		r, err := received("GET "+uri, host)
		if err != nil {
			t.Skip()
		}
		a, err := parseAddress(r, testSuffixes)
		if err != nil {
			toError(err)
			return
		}
		if !utf8.ValidString(a.key) || len(a.key) > 1024 || a.bucket == "" && a.key != "" {
			t.Errorf("%q of %q: %+v", uri, host, a)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("prefix=a%2Fb&acl&&x=1=2")
	f.Add("%zz=1")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		if err != nil && toError(err).Code != "InvalidURI" {
			t.Error(err)
		}
		for name, values := range q {
			if len(values) == 0 || !utf8.ValidString(name) {
				t.Errorf("%q: %q has no value", raw, name)
			}
		}
	})
}
