package s3api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/s3api"
	"github.com/pithos/pithos/sigv2/sigv2test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

// presigned presigns a request with target, path and query with each signature
// version, sends both, and returns the answers. Headers are in pairs; version 4
// signs them.
func (x *apiTest) presigned(method, target, body string, header ...string) *reply {
	x.Helper()
	return x.send(x.presign(method, target, body, header...))
}

func (x *apiTest) presign(method, target, body string, header ...string) *http.Request {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), method, x.s.URL+"/"+x.bucket+target, strings.NewReader(body))
	assert.NoError(x, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret}.Presign(r, time.Hour)
	return r
}

func (x *apiTest) send(r *http.Request) *reply {
	x.Helper()
	resp, err := x.s.HTTP.Do(r)
	assert.NoError(x, err)
	return x.reply(resp, []byte(x.read(resp.Body)))
}

// sdkQuery is what the AWS SDK for JavaScript 3 puts into every presigned PUT
// by default, since 3.729: the checksum of the empty body.
const sdkQuery = "x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"

func TestChecksumsInThePresignedQueryAreNotVerified(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		crc := sumHeader("CRC32")
		for _, body := range []string{"", "body", random(300_000)} {
			x.presigned("PUT", "/k?x-id=PutObject&"+sdkQuery, body).want(200, "").has(crc, "")
			assert.Equal(x, "object", x.get("k"), body)
			up := x.upload("parts")
			x.presigned("PUT", "/parts?x-id=UploadPart&partNumber=1&uploadId="+up+"&"+sdkQuery, body).want(200, "")
		}
		for algorithm := range checksums {
			name := strings.ToLower(algorithm)
			for _, value := range []string{"", "nonsense", url.QueryEscape(sumOf(algorithm, "other"))} {
				x.presigned("PUT", "/k?x-amz-checksum-"+name+"="+value+"&x-amz-sdk-checksum-algorithm="+algorithm, "body").want(200, "")
			}
		}
		x.presigned("PUT", "/k?x-amz-sdk-checksum-algorithm=CRC32", "body").want(200, "")
		// Such a checksum is not verified for a document either; it needs another digest.
		x.presigned("POST", "?delete&"+sdkQuery, "<Delete><Object><Key>k</Key></Object></Delete>").want(400, "InvalidRequest")
		assert.Equal(x, "object", x.get("k"), "body")
	})
}

func TestChecksumsInHeadersOfPresignedRequestsAreVerified(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, query := range []string{"", "?" + sdkQuery} {
			for algorithm := range checksums {
				header := sumHeader(algorithm)
				x.presigned("PUT", "/k"+query, "body", header, sumOf(algorithm, "other")).want(400, "BadDigest")
				x.raw("HEAD", "/k", "").want(404, "")
				x.presigned("PUT", "/k"+query, "body", header, sumOf(algorithm, "body")).want(200, "").has(header, sumOf(algorithm, "body"))
				x.raw("DELETE", "/k", "").want(204, "")
			}
		}
		r := x.presign("PUT", "/k", "body")
		r.Header.Set(sumHeader("CRC32"), sumOf("CRC32", "body")) // added by the uploader, not signed
		x.send(r).want(403, "AccessDenied")
	})
}

// A parameter that a presigner put into the query has the meaning of the header, in
// policies too.
func TestHeadersInThePresignedQueryTakeEffect(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		query := url.Values{"x-amz-acl": {"public-read"}, "x-amz-tagging": {"a=b"}, "x-amz-meta-Name": {"value"}, "x-amz-server-side-encryption": {"AES256"},
			"x-amz-website-redirect-location": {"/else"}, "x-amz-storage-class": {"STANDARD"}}
		x.presigned("PUT", "/k?"+query.Encode(), "body").want(200, "").has("X-Amz-Server-Side-Encryption", "AES256")
		x.raw("GET", "/k", "").want(200, "").has("X-Amz-Server-Side-Encryption", "AES256", "X-Amz-Meta-Name", "value",
			"X-Amz-Tagging-Count", "1", "X-Amz-Website-Redirect-Location", "/else")
		x.as(s3test.Key{}, "GET", "/"+x.bucket+"/k", "").want(200, "")
		x.presigned("GET", "/k?x-amz-checksum-mode=ENABLED", "").want(200, "").has("X-Amz-Checksum-Crc64nvme", sumOf("CRC64NVME", "body"))
		x.presigned("PUT", "/copy?x-amz-copy-source="+url.QueryEscape(x.bucket+"/k"), "").want(200, "").says("<CopyObjectResult")
		x.presigned("PUT", "/k?x-amz-storage-class=NEVER", "body").want(400, "InvalidStorageClass")
		x.presigned("PUT", "/k?x-amz-tagging=%3D", "body").want(400, "InvalidTag")
		x.presigned("PUT", "/k?x-amz-expected-bucket-owner=mallory", "body").want(403, "AccessDenied")

		policy := func(key, value string) string {
			return `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::` + x.bucket +
				`/*","Condition":{"StringEquals":{"` + key + `":"` + value + `"}}}]}`
		}
		for key, c := range map[string][2]string{
			"s3:x-amz-acl":                    {"public-read", "x-amz-acl=public-read"},
			"s3:x-amz-server-side-encryption": {"AES256", "x-amz-server-side-encryption=AES256"},
			"s3:x-amz-storage-class":          {"STANDARD", "x-amz-storage-class=STANDARD"},
			"s3:RequestObjectTag/a":           {"b", "x-amz-tagging=a%3Db"},
		} {
			x.raw("PUT", "?policy", policy(key, c[0])).want(204, "")
			x.presigned("PUT", "/k?"+c[1], "body").want(403, "AccessDenied")
			x.presigned("PUT", "/k", "body").want(200, "")
		}
		x.raw("DELETE", "?policy", "").want(204, "")
	})
}

// A presigned URL cannot be changed to another operation by adding the parameter
// that selects it.
func TestPresignedURLsAreGoodForOneOperation(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	path := map[s3api.Scope]string{s3api.ScopeService: "/", s3api.ScopeBucket: "/" + b, s3api.ScopeObject: "/" + b + "/k"}
	harmless := map[string]bool{"list-type": true, "x-id": true, "id": true} // no other right is needed with them
	for _, op := range s3api.Operations() {
		for _, q := range op.Query {
			if harmless[q.Name] {
				continue
			}
			for version, sign := range map[string]func(*http.Request){
				"2": func(r *http.Request) {
					sigv2test.Signer{AccessKey: "AK-alice", Secret: "secret-of-alice"}.Presign(r, time.Hour)
				},
				"4": func(r *http.Request) {
					sigv4test.Signer{AccessKey: "AK-alice", Secret: "secret-of-alice"}.Presign(r, time.Hour)
				},
			} {
				r := s.request(t, op.Method, path[op.Scope], "")
				sign(r)
				r.URL.RawQuery += "&" + q.Name + "=" + q.Value
				if a := s.do(t, r); op.Method != "HEAD" && a.xml.Code != "SignatureDoesNotMatch" && a.xml.Code != "MethodNotAllowed" && a.xml.Code != "InvalidArgument" {
					t.Errorf("version %s, %s %s with %s added: %d %s", version, op.Method, path[op.Scope], q.Name, a.StatusCode, a.xml.Code)
				}
			}
		}
	}
}

// AWS: the x-amz-* headers "excluding x-amz-content-sha256" must be signed.
func TestPayloadHashNeedNotBeASignedHeader(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		hash := func(body string) string { return sigv4test.Hash([]byte(body)) }
		for _, c := range []struct {
			payload, sent, body string
			status              int
			code                string
		}{
			{hash("body"), hash("body"), "body", 200, ""},
			{hash(""), hash(""), "", 200, ""},
			{sigv4test.Unsigned, sigv4test.Unsigned, "body", 200, ""},
			{hash("body"), hash("body"), "other", 400, "XAmzContentSHA256Mismatch"},
			{hash("body"), hash("other"), "other", 403, "SignatureDoesNotMatch"},
			{hash("body"), sigv4test.Unsigned, "other", 403, "SignatureDoesNotMatch"},
			{hash("body"), "", "body", 400, "InvalidRequest"},
			{hash("body"), "nonsense", "body", 400, "InvalidArgument"},
		} {
			r, err := http.NewRequestWithContext(x.Context(), http.MethodPut, x.s.URL+"/"+x.bucket+"/k", strings.NewReader(c.body))
			assert.NoError(x, err)
			sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret, Skip: []string{"x-amz-content-sha256"}}.SignHeader(r, c.payload)
			if strings.Contains(r.Header.Get("Authorization"), "x-amz-content-sha256") {
				x.Fatal("the header is signed")
			}
			r.Header.Set("X-Amz-Content-Sha256", c.sent)
			x.send(r).want(c.status, c.code)
			r = x.s.Request(x.T, s3test.Alice, http.MethodPut, "/"+x.bucket+"/k", []byte(c.body))
			r.Header.Add("X-Amz-Content-Sha256", c.sent)
			x.send(r).want(400, "InvalidArgument")
		}
	})
}
