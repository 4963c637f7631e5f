package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// TestBodiesOfThoseWhoMayNotAreNotRead: the answer comes although the body,
// which is announced, does not.
func TestBodiesOfThoseWhoMayNotAreNotRead(t *testing.T) {
	behaviour(t, func(x *story) {
		const length = "Content-Length: 1000000\r\n\r\n"
		for name, c := range map[string]struct{ request, status string }{
			"a form for a bucket that does not exist": {"POST /no-such-bucket HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n", "404"},
			"an anonymous PUT":                        {fmt.Sprintf("PUT /%s/k HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous part":                       {fmt.Sprintf("PUT /%s/k?partNumber=1&uploadId=u HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous DeleteObjects":              {fmt.Sprintf("POST /%s?delete HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous policy":                     {fmt.Sprintf("PUT /%s?policy HTTP/1.1\r\n", x.bucket), "403"},
			"an unknown key":                          {fmt.Sprintf("PUT /%s/k HTTP/1.1\r\nAuthorization: AWS NOBODY:c2lnbmF0dXJl\r\n", x.bucket), "403"},
		} {
			host := "Host: " + strings.TrimPrefix(x.s.URL, "http://") + "\r\n"
			if got := x.dialogue(c.request + host + length); !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
				x.Errorf("%s: %s", name, got)
			}
		}
	})
}

// TestConditionsSeeTheClientBehindProxies: s3test trusts this machine as one.
func TestConditionsSeeTheClientBehindProxies(t *testing.T) {
	behaviour(t, func(x *story) {
		x.put("k", "body")
		statement := `{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%[1]s/*",
			"Condition":{"IpAddress":{"aws:SourceIp":["198.51.100.0/24","2001:db8::/32"]},"Bool":{"aws:SecureTransport":"true"}}}`
		x.raw("PUT", "?policy", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[`+statement+`]}`, x.bucket)).want(204, "")
		for _, c := range []struct {
			address, proto string
			status         int
		}{
			{"198.51.100.7", "https", 200},
			{"2001:db8::7", "https", 200},
			{"127.0.0.1, 198.51.100.7", "https", 200},
			{"198.51.100.7", "http", 403},
			{"198.51.100.7", "https, http", 403},
			{"198.51.100.7", "", 403},
			{"203.0.113.9", "https", 403},
			{"198.51.100.7, 203.0.113.9", "https", 403},
			{"198.51.100.7, unknown", "https", 403},
			{"", "https", 403},
		} {
			header := []string{"X-Forwarded-For", c.address, "Forwarded", "for=198.51.100.7;proto=https"}
			if c.proto != "" {
				header = append(header, "X-Forwarded-Proto", c.proto)
			}
			if r := x.as(s3test.Key{}, "GET", "/"+x.bucket+"/k", "", header...); r.resp.StatusCode != c.status {
				x.Errorf("for %q by %q: %d, want %d", c.address, c.proto, r.resp.StatusCode, c.status)
			}
		}
	})
}
