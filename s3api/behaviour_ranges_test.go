package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/assert"
)

func TestRangesOfEveryForm(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		bodies := map[string]string{"small": random(1000), "large": random(2<<20 + 17)}
		for key, body := range bodies {
			x.put(key, body)
		}
		for key, body := range bodies {
			n := len(body)
			for _, c := range []struct {
				header      string
				first, last int // of a 206; first -1 is the whole object
			}{
				{"bytes=0-0", 0, 0},
				{"bytes=0-", 0, n - 1},
				{"bytes=5-9", 5, 9},
				{"bytes=-5", n - 5, n - 1},
				{fmt.Sprintf("bytes=-%d", n), 0, n - 1},
				{fmt.Sprintf("bytes=-%d", n+5), 0, n - 1},
				{fmt.Sprintf("bytes=%d-", n-1), n - 1, n - 1},
				{fmt.Sprintf("bytes=%d-%d", n-3, n+100), n - 3, n - 1},
				{"bytes=900-9223372036854775807", 900, n - 1},
				{fmt.Sprintf("bytes=%d-%d", n/2-1, n/2+1), n/2 - 1, n/2 + 1},
				{"bytes=0-1,3-4", -1, 0}, // several: the whole
				{"bytes=9-5", -1, 0},
				{"bytes=", -1, 0},
				{"bytes=-", -1, 0},
				{"bytes=a-b", -1, 0},
				{"bytes=1-b", -1, 0},
				{"bytes=+1-2", -1, 0},
				{"bytes=99999999999999999999-", -1, 0},
				{"octets=0-1", -1, 0},
			} {
				for _, method := range []string{"GET", "HEAD"} {
					r := x.raw(method, "/"+key, "", "Range", c.header)
					status, want, contentRange := 200, body, ""
					if c.first >= 0 {
						status, want = 206, body[c.first:c.last+1]
						contentRange = fmt.Sprintf("bytes %d-%d/%d", c.first, c.last, n)
					}
					r.want(status, "").has("Content-Range", contentRange, "Content-Length", fmt.Sprint(len(want)), "Accept-Ranges", "bytes")
					if method == "GET" {
						assert.Equal(x, key+" "+c.header, r.body, want)
					} else if r.body != "" {
						x.Errorf("HEAD has a body: %.40q", r.body)
					}
				}
			}
			for _, header := range []string{fmt.Sprintf("bytes=%d-", n), fmt.Sprintf("bytes=%d-%d", n, n+9), "bytes=-0", "bytes=9223372036854775807-"} {
				x.raw("GET", "/"+key, "", "Range", header).want(416, "InvalidRange").has("Content-Range", fmt.Sprintf("bytes */%d", n), "Content-Type", "application/xml")
				if r := x.raw("HEAD", "/"+key, "", "Range", header).has("Content-Range", fmt.Sprintf("bytes */%d", n)); r.resp.StatusCode != 416 {
					x.Errorf("HEAD: %d", r.resp.StatusCode)
				}
			}
		}
	})
}

func TestRangesOfEmptyObjects(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("empty", "")
		for _, header := range []string{"bytes=0-", "bytes=0-0", "bytes=-0", "bytes=1-"} {
			x.raw("GET", "/empty", "", "Range", header).want(416, "InvalidRange").has("Content-Range", "bytes */0")
		}
		x.raw("GET", "/empty", "", "Range", "bytes=-5").want(200, "").has("Content-Length", "0", "Content-Range", "")
		x.raw("GET", "/empty", "", "Range", "bytes=0-0,1-1").want(200, "").has("Content-Length", "0", "Content-Range", "")
		x.raw("GET", "/empty", "").want(200, "").has("Content-Length", "0", "Etag", `"d41d8cd98f00b204e9800998ecf8427e"`)
		x.raw("HEAD", "/empty", "").want(200, "").has("Content-Length", "0")
		x.raw("GET", "/empty?partNumber=1", "").want(206, "").has("Content-Length", "0")
	})
}

// RFC 9110, section 13.1.5: the answer is a range only if the object is the one of
// which the client has the rest.
func TestIfRangeGivesTheWholeOfAnotherObject(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("k", "0123456789").ETag
		modified := x.raw("HEAD", "/k", "").header("Last-Modified")
		for _, c := range []struct {
			validator string
			status    int
		}{{etag, 206}, {modified, 206}, {`"other"`, 200}, {"W/" + etag, 200}, {"Mon, 02 Jan 2006 15:04:05 GMT", 200}} {
			x.raw("GET", "/k", "", "Range", "bytes=2-3", "If-Range", c.validator).want(c.status, "")
		}
		x.raw("GET", "/k", "", "If-Range", `"other"`).want(200, "")
	})
}

func TestOverriddenHeadersOfAnAnswer(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		q := "?response-content-type=a%2Fb&response-content-language=de&response-expires=x&response-cache-control=no-cache" +
			"&response-content-disposition=attachment%3B+filename%3D%22%C3%BC%22&response-content-encoding=gzip"
		for _, method := range []string{"GET", "HEAD"} {
			x.raw(method, "/k"+q, "").want(200, "").has("Content-Type", "a/b", "Content-Language", "de", "Expires", "x",
				"Cache-Control", "no-cache", "Content-Disposition", `attachment; filename="ü"`, "Content-Encoding", "gzip")
		}
		x.raw("GET", "/k?response-content-type=a%0D%0AEvil:+1", "").want(400, "InvalidArgument").has("Evil", "")
		if r := x.raw("GET", "/k", ""); strings.Contains(r.header("Content-Type"), "a/b") {
			x.Errorf("an override stays: %v", r.resp.Header)
		}
	})
}
