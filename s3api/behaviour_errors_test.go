package s3api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv2/sigv2test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

func TestErrorsHaveTheCodeAndStatusThatAWSDocuments(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		for _, c := range []struct {
			method, target, body string
			status               int
			code                 string
		}{
			{"GET", "/none", "", 404, "NoSuchKey"},
			{"DELETE", "", "", 409, "BucketNotEmpty"},
			{"GET", "?policy", "", 404, "NoSuchBucketPolicy"},
			{"GET", "?cors", "", 404, "NoSuchCORSConfiguration"},
			{"GET", "?tagging", "", 404, "NoSuchTagSet"},
			{"GET", "?max-keys=x", "", 400, "InvalidArgument"},
			{"GET", "?max-keys=-1", "", 400, "InvalidArgument"},
			{"GET", "?versions&version-id-marker=x", "", 400, "InvalidArgument"},
			{"GET", "?versions&key-marker=k&version-id-marker=x", "", 400, "InvalidArgument"},
			{"GET", "/k?versionId=x", "", 400, "InvalidArgument"},
			{"GET", "/k?versions", "", 400, "InvalidRequest"},
			{"GET", "/k?uploads", "", 400, "InvalidRequest"},
			{"PUT", "/k?partNumber=1", "x", 400, "InvalidArgument"},
			{"POST", "/k", "", 405, "MethodNotAllowed"},
			{"PATCH", "/k", "", 405, "MethodNotAllowed"},
			{"PATCH", "", "", 405, "MethodNotAllowed"},
			{"TRACE", "/k", "", 405, "MethodNotAllowed"},
			{"DELETE", "/k?acl", "", 405, "MethodNotAllowed"},
			{"PUT", "?lifecycle", "", 501, "NotImplemented"},
			{"GET", "?session", "", 501, "NotImplemented"},
			{"PUT", "?website", "", 501, "NotImplemented"},
			{"GET", "/k?torrent", "", 404, "NoSuchKey"},
			{"POST", "/k?restore", "", 501, "NotImplemented"},
			{"POST", "/k?select&select-type=2", "", 501, "NotImplemented"},
			{"PUT", "?versioning", "", 400, "MalformedXML"},
			{"PUT", "?versioning", "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>", 400, "MalformedXML"},
			{"PUT", "?policy", "{", 400, "MalformedPolicy"},
			{"PUT", "/k?acl", "<AccessControlPolicy><Owner>", 400, "MalformedACLError"},
			{"GET", "/k?attributes", "", 400, "InvalidRequest"},
		} {
			r := x.raw(c.method, c.target, c.body)
			if r.resp.StatusCode != c.status || r.Code != c.code && !(c.code == "MalformedACLError" && r.Code == "MalformedXML") {
				x.Errorf("%s %s %s: %d %s, want %d %s", c.method, c.target, c.body, r.resp.StatusCode, r.Code, c.status, c.code)
			}
			if r.header("X-Amz-Request-Id") == "" || r.header("X-Amz-Id-2") == "" || !strings.Contains(r.body, "<RequestId>"+r.header("X-Amz-Request-Id")+"<") {
				x.Errorf("%s %s: ids %v", c.method, c.target, r.resp.Header)
			}
		}
		if r := x.raw("PUT", "?lifecycle", ""); !strings.Contains(r.body, "PutBucketLifecycleConfiguration") {
			x.Errorf("the 501 does not name the operation: %s", r.body)
		}
		x.as(s3test.Alice, "GET", "/no-such-bucket-anywhere/k", "").want(404, "NoSuchBucket")
		x.as(s3test.Alice, "GET", "/UP", "").want(400, "InvalidBucketName")
		x.as(s3test.Alice, "POST", "/", "").want(405, "MethodNotAllowed")
		for target, status := range map[string]int{"/none": 404, "/k?versionId=x": 400, "/k?partNumber=x": 400} {
			if r := x.raw("HEAD", target, ""); r.resp.StatusCode != status || r.body != "" || r.header("X-Amz-Request-Id") == "" {
				x.Errorf("HEAD %s: %d %q", target, r.resp.StatusCode, r.body)
			}
		}
	})
}

func TestMalformedDocumentsAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		bomb := `<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">]><Delete><Object><Key>&x;</Key></Object></Delete>`
		for _, doc := range []string{"", " ", "text", "<", "<Delete>", "<Delete></delete>", "<Delete/>", "<Delete/><Delete/>", "<Other/>", "\x00", "<Delete>\xff</Delete>", bomb,
			"<Delete><Object><Key>k</Key><Key>l</Key></Object></Delete>", "<Delete><Object><Name>k</Name></Object></Delete>", "<Delete><Quiet>perhaps</Quiet><Object><Key>k</Key></Object></Delete>",
			"<Delete><Object><Key>k</Key><Size>x</Size></Object></Delete>", `<Delete xmlns="urn:other"><Object><Key>k</Key></Object></Delete>`, strings.Repeat("<Delete>", 1000),
			"<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>"} {
			r := x.raw("POST", "?delete", doc, "X-Amz-Checksum-Sha256", sumOf("SHA256", doc))
			if r.resp.StatusCode != 400 || r.Code != "MalformedXML" && r.Code != "MissingRequestBodyError" {
				x.Errorf("%.80q: %d %s", doc, r.resp.StatusCode, r.Code)
			}
		}
		x.raw("POST", "?delete", "<Delete><Object><Key></Key></Object></Delete>", "X-Amz-Checksum-Sha256", sumOf("SHA256", "<Delete><Object><Key></Key></Object></Delete>")).want(400, "UserKeyMustBeSpecified")
		doc := "<Delete><Object><Key>k</Key></Object></Delete>"
		x.raw("POST", "?delete", doc, "X-Amz-Checksum-Sha256", sumOf("SHA256", "other")).want(400, "BadDigest")
		huge := "<Delete><Object><Key>" + strings.Repeat("k", 3<<20) + "</Key></Object></Delete>"
		if r := x.raw("POST", "?delete", huge, "X-Amz-Checksum-Sha256", sumOf("SHA256", huge)); r.resp.StatusCode != 400 {
			x.Errorf("a document of 3 MiB: %d", r.resp.StatusCode)
		}
		assert.Equal(x, "object", x.get("k"), "body")
	})
}

// dialogue sends raw bytes and returns the first line of the answer.
func (x *apiTest) dialogue(text string) string {
	x.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(x.s.URL, "http://"))
	assert.NoError(x, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	assert.NoError(x, err)
	assert.NoError(x, conn.SetReadDeadline(time.Now().Add(5*time.Minute)))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		x.Fatalf("no answer to %.200q: %v", text, err)
	}
	return strings.TrimSpace(line)
}

// head is the head of a signed request, with more header lines.
func (x *apiTest) head(key s3test.Key, target, payload string, lines ...string) string {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), http.MethodPut, x.s.URL+"/"+x.bucket+target, nil)
	assert.NoError(x, err)
	if key.ID != "" {
		sigv4test.Signer{AccessKey: key.ID, Secret: key.Secret}.SignHeader(r, payload)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "PUT %s HTTP/1.1\r\nHost: %s\r\n", r.URL.RequestURI(), r.URL.Host)
	assert.NoError(x, r.Header.Write(&b))
	return b.String() + strings.Join(append(lines, "", ""), "\r\n")
}

func TestLengthsAreDecidedByTheHead(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, c := range []struct {
			key    s3test.Key
			target string
			lines  []string
			status string
		}{
			{s3test.Alice, "/k", []string{"Content-Length: 4", "Expect: 100-continue"}, "100"},
			{s3test.Bob, "/k", []string{"Content-Length: 4", "Expect: 100-continue"}, "403"},
			{s3test.Key{}, "/k", []string{"Content-Length: 4", "Expect: 100-continue"}, "403"},
			{s3test.Alice, "-none/k", []string{"Content-Length: 4", "Expect: 100-continue"}, "404"},
			{s3test.Alice, "/k?partNumber=1&uploadId=x", []string{"Content-Length: 4", "Expect: 100-continue"}, "404"},
			{s3test.Alice, "/k", []string{"Content-Length: 4", "Expect: 100-continue", "If-Match: x"}, "404"},
			{s3test.Alice, "/k", []string{"Content-Length: 5368709121", "Expect: 100-continue"}, "400"},
			{s3test.Alice, "/k", []string{"Content-Length: 5368709121"}, "400"},
			{s3test.Alice, "/k", nil, "411"},
			{s3test.Alice, "/k", []string{"Content-Length: 0"}, "200"},
			{s3test.Alice, "/k", []string{"Content-Length: -1"}, "400"},
			{s3test.Alice, "/k", []string{"Content-Length: x"}, "400"},
		} {
			if got := x.dialogue(x.head(c.key, c.target, sigv4test.Unsigned, c.lines...)); !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") {
				x.Errorf("%s %v: %q, want %s", c.target, c.lines, got, c.status)
			}
		}
	})
}

func TestDecodedLengthsMustBeTrue(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		signer := sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret, Time: time.Now()}
		for _, declared := range []string{"3", "5", "0", "-1", "x", "99999999999999999999"} {
			r, err := http.NewRequestWithContext(x.Context(), http.MethodPut, x.s.URL+"/"+x.bucket+"/k", nil)
			assert.NoError(x, err)
			r.Header.Set("Content-Encoding", "aws-chunked")
			r.Header.Set("X-Amz-Decoded-Content-Length", declared)
			seed := signer.SignHeader(r, sigv4test.Chunked)
			encoded := signer.Encode(sigv4test.Chunked, seed, sigv4test.Body{Data: []byte("body")})
			r.Body, r.ContentLength = readCloser{strings.NewReader(string(encoded))}, int64(len(encoded))
			resp, err := x.s.HTTP.Do(r)
			assert.NoError(x, err)
			if got := x.reply(resp, []byte(x.read(resp.Body))); resp.StatusCode != 400 {
				x.Errorf("%s: %d %s", declared, resp.StatusCode, got.body)
			}
		}
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
	})
}

func TestOddRequestsAreAnsweredWithErrors(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, target := range []string{"?%zz", "/k?%zz=1", "?versionId", "/k?versionId=a&versionId=b", "/k?uploadId", "/k?partNumber", "/k?acl&tagging", "?uploads&versions", "?list-type=3", "/k?uploadId=x&partNumber=1&acl"} {
			for _, method := range []string{"GET", "PUT", "POST", "DELETE", "HEAD"} {
				if r := x.raw(method, target, ""); r.resp.StatusCode >= 500 && r.resp.StatusCode != 501 || method == "DELETE" && r.resp.StatusCode == 204 && !strings.HasPrefix(target, "/k?versionId") && target != "/k?partNumber" && target != "?versionId" && target != "?list-type=3" {
					x.Errorf("%s %s: %d %s", method, target, r.resp.StatusCode, r.body)
				}
			}
		}
	})
}

func TestVersion2SignaturesWriteAndRead(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		signer := sigv2test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret}
		for _, method := range []string{"PUT", "GET"} {
			r, err := http.NewRequestWithContext(x.Context(), method, x.s.URL+"/"+x.bucket+"/a%20%2B%25", strings.NewReader("body"))
			assert.NoError(x, err)
			signer.SignHeader(r)
			resp, err := x.s.HTTP.Do(r)
			assert.NoError(x, err)
			got := x.reply(resp, []byte(x.read(resp.Body))).want(200, "")
			if method == "GET" {
				assert.Equal(x, "object", got.body, "body")
			}
		}
	})
}
