package s3api_test

import (
	"fmt"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

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
