package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// TestBodiesOfThoseWhoMayNotAreNotRead: the client gets the answer although it does
// not send the announced body.
func TestBodiesOfThoseWhoMayNotAreNotRead(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const length = "Content-Length: 1000000\r\n\r\n"
		for name, c := range map[string]struct{ request, status string }{
			"a form for a bucket that does not exist": {"POST /no-such-bucket HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n", "404"},
			"an anonymous PUT":                        {fmt.Sprintf("PUT /%s/k HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous part":                       {fmt.Sprintf("PUT /%s/k?partNumber=1&uploadId=u HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous DeleteObjects":              {fmt.Sprintf("POST /%s?delete HTTP/1.1\r\n", x.bucket), "403"},
			"an anonymous policy":                     {fmt.Sprintf("PUT /%s?policy HTTP/1.1\r\n", x.bucket), "403"},
			"an unknown key":                          {fmt.Sprintf("PUT /%s/k HTTP/1.1\r\nAuthorization: AWS UNKNOWN:c2lnbmF0dXJl\r\n", x.bucket), "403"},
		} {
			host := "Host: " + strings.TrimPrefix(x.s.URL, "http://") + "\r\n"
			if got := x.dialogue(c.request + host + length); !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
				x.Errorf("%s: %s", name, got)
			}
		}
	})
}

// TestMalformedChunksAreTheClientsFault tests all kinds of wrong framing in each
// kind of body.
func TestMalformedChunksAreTheClientsFault(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		everybody := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::%s/*"}]}`, x.bucket)
		x.raw("PUT", "?policy", everybody).want(204, "")
		for name, request := range map[string]string{
			"PutObject":     "PUT /" + x.bucket + "/k HTTP/1.1\r\n",
			"DeleteObjects": "POST /" + x.bucket + "?delete HTTP/1.1\r\n",
			"PostObject":    "POST /" + x.bucket + " HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n",
			"aws-chunked":   "PUT /" + x.bucket + "/k HTTP/1.1\r\nContent-Encoding: aws-chunked\r\nX-Amz-Decoded-Content-Length: 5\r\nX-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nX-Amz-Trailer: x-amz-checksum-crc32\r\n",
		} {
			for _, body := range []string{
				"zz\r\nhello\r\n0\r\n\r\n",
				"-5\r\nhello\r\n0\r\n\r\n",
				"0x5\r\nhello\r\n0\r\n\r\n",
				"\r\nhello\r\n0\r\n\r\n",
				"5 5\r\nhello\r\n0\r\n\r\n",
				"5\r\nhelloXX0\r\n\r\n",
				"5\r\nhello0\r\n\r\n",
				"fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
				"5;" + strings.Repeat("x", 9000) + "\r\nhello\r\n0\r\n\r\n",
				strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\nh\r\n", 40) + "0\r\n\r\n",
				"5\r\nhello\r\n0\r\nno field\r\n\r\n",
				"5\r\nhello\r\n0\r\n: empty\r\n\r\n",
				"5\r\nhello\r\n0\r\nA: " + strings.Repeat("x", 9000) + "\r\n\r\n",
				"\x00\xff\r\n",
			} {
				head := request + "Host: " + strings.TrimPrefix(x.s.URL, "http://") + "\r\nTransfer-Encoding: chunked\r\n\r\n"
				if got := x.dialogue(head + body); !strings.HasPrefix(got, "HTTP/1.1 4") {
					x.Errorf("%s with %.60q: %s", name, body, got)
				}
			}
		}
	})
}

// TestRequestsThatProxiesMayTakeForOthers: framing that proxies and servers may
// interpret differently closes the connection; an empty line before a request is
// accepted.
func TestRequestsThatProxiesMayTakeForOthers(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		host := "Host: " + strings.TrimPrefix(x.s.URL, "http://") + "\r\n"
		for text, want := range map[string]string{
			"\r\nGET /no-such-bucket HTTP/1.1\r\n" + host + "\r\n":                                              "404",
			"PUT /b/k HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n": "400",
			"PUT /b/k HTTP/1.1\r\n" + host + "Content-Length: 5\r\ntransfer-encoding:chunked\r\n\r\nhello":      "400",
			"PUT /b/k HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                      "400",
			"PUT /b/k HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello":              "400",
			"PUT /b/k HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\nhello":                             "501",
			"GET / HTTP/1.1\r\n" + host + strings.Repeat("a:\r\n", 600) + "\r\n":                                "400",
			"GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n":                     "431",
		} {
			if got := x.dialogue(text); !strings.HasPrefix(got[len("HTTP/1.x "):], want) {
				x.Errorf("%.120q: %s, want %s", text, got, want)
			}
		}
	})
}

// TestConditionsSeeTheClientBehindProxies: s3test trusts this machine as one.
func TestConditionsSeeTheClientBehindProxies(t *testing.T) {
	behaviour(t, func(x *apiTest) {
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
