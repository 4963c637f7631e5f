package s3api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/s3api"
)

var anonymous = s3test.Key{}

// open allows everyone to read and write the bucket of the test.
func (x *apiTest) open() {
	x.Helper()
	x.raw("PUT", "?acl", "", "X-Amz-Acl", "public-read-write").want(200, "")
}

// policy sets the bucket's policy to the statements.
func (x *apiTest) policy(statements ...string) {
	x.Helper()
	x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`).want(204, "")
}

// rule is a statement about a tenant and the bucket's objects below prefix.
func (x *apiTest) rule(effect, tenant, prefix, condition string, actions ...string) string {
	if condition == "" {
		condition = "{}"
	}
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"AWS":%q},"Action":["%s"],"Resource":"arn:aws:s3:::%s/%s*","Condition":%s}`,
		effect, tenant, strings.Join(actions, `","`), x.bucket, prefix, condition)
}

// A header that may occur once is refused when repeated, before the caller is
// authenticated. Lists may have several lines.
func TestRepeatedHeadersAreRefusedByName(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.open()
		for _, h := range s3api.RequestHeaders() {
			keys := []s3test.Key{anonymous, s3test.Alice, {ID: "unknown", Secret: "x"}}
			switch h.Name {
			case "content-length", "user-agent": // net/http sends them once
				continue
			case "authorization", "x-amz-date", "x-amz-content-sha256": // so does the signer
				keys = keys[:1]
			}
			for _, key := range keys {
				r := x.as(key, "PUT", "/"+x.bucket+"/k", "body", h.Name, "first", h.Name, "second")
				if h.List {
					if strings.Contains(r.body, "must not be repeated") {
						x.Errorf("%s is a list: %s", h.Name, r.body)
					}
					continue
				}
				r.want(400, "InvalidArgument").says("<ArgumentName>" + h.Name + "</ArgumentName>")
			}
		}
		for _, free := range []string{"Accept", "Via", "X-Forwarded-For", "X-Custom", "Cookie", "X-Amz-Meta-A", "Cache-Control"} {
			x.raw("PUT", "/k", "body", free, "first", free, "second").want(200, "")
		}
		x.raw("HEAD", "/k", "").want(200, "").has("Cache-Control", "first,second")
		x.raw("PUT", "/k", "body", "X-Amz-Meta-A", "first", "X-Amz-Meta-A", "second").want(200, "")
		x.raw("HEAD", "/k", "").want(200, "").has("X-Amz-Meta-A", "first,second")
	})
}

func TestRepeatedParametersAreRefusedByName(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		for _, c := range []struct{ target, name string }{
			{"/k?versionId=null&versionId=x", "versionid"},
			{"/k?partNumber=1&partNumber=1", "partnumber"},
			{"/k?uploadId=a&uploadId=b", "uploadid"},
			{"/k?response-content-type=a&response-content-type=b", "response-content-type"},
			{"/k?acl&acl", "acl"},
			{"/k?X-Amz-Expires=1&X-Amz-Expires=2", "x-amz-expires"},
			{"/k?X-Amz-Signature=1&x-amz-signature=2", "x-amz-signature"},
			{"/k?x-amz-checksum-mode=1&X-AMZ-CHECKSUM-MODE=2", "x-amz-checksum-mode"},
			{"?prefix=a&prefix=b", "prefix"}, {"?delimiter=a&delimiter=b", "delimiter"}, {"?max-keys=1&max-keys=2", "max-keys"},
			{"?list-type=2&list-type=2", "list-type"}, {"?list-type=2&start-after=a&start-after=", "start-after"},
			{"?uploads&max-uploads=1&max-uploads=1", "max-uploads"},
		} {
			for _, key := range []s3test.Key{anonymous, s3test.Alice} {
				x.as(key, "GET", "/"+x.bucket+c.target, "").want(400, "InvalidArgument").says("<ArgumentName>" + c.name + "</ArgumentName>")
			}
		}
		x.raw("GET", "/k?utm_source=a&utm_source=b", "").want(200, "")
	})
}

// An empty header is absent: the answer is the same as without the header.
func TestEmptyHeadersAreAbsent(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.open()
		x.put("k", "old")
		for _, h := range s3api.RequestHeaders() {
			r := x.as(anonymous, "PUT", "/"+x.bucket+"/k", "body", h.Name, "")
			if h.Name == "content-length" || h.Name == "user-agent" { // net/http sends its own
				continue
			}
			if h.KeepEmpty {
				if r.resp.StatusCode < 400 {
					x.Errorf("%s: %d", h.Name, r.resp.StatusCode)
				}
				continue
			}
			r.want(200, "")
			x.as(anonymous, "PUT", "/"+x.bucket+"/k", "body", h.Name, " \t ").want(200, "")
		}
	})
}

// A policy that requires a header is not met by an empty one, nor by an
// If-None-Match that the operation does not honour.
func TestEmptyHeadersMeetNoCondition(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, c := range []struct{ key, header, value string }{
			{"s3:if-none-match", "If-None-Match", ""},
			{"s3:if-match", "If-Match", ""},
			{"s3:x-amz-server-side-encryption", "X-Amz-Server-Side-Encryption", ""},
			{"s3:x-amz-server-side-encryption-aws-kms-key-id", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", ""},
			{"s3:x-amz-server-side-encryption-customer-algorithm", "X-Amz-Server-Side-Encryption-Customer-Algorithm", ""},
			{"s3:x-amz-storage-class", "X-Amz-Storage-Class", ""},
			{"s3:x-amz-acl", "X-Amz-Acl", ""},
			{"s3:x-amz-grant-full-control", "X-Amz-Grant-Full-Control", ""},
			{"s3:x-amz-website-redirect-location", "X-Amz-Website-Redirect-Location", ""},
			{"s3:object-lock-mode", "X-Amz-Object-Lock-Mode", ""},
			{"s3:RequestObjectTag/a", "X-Amz-Tagging", ""},
			{"aws:Referer", "Referer", ""},
		} {
			x.policy(x.rule("Allow", "bob", "", "", "s3:PutObject"), x.rule("Deny", "bob", "", `{"Null":{"`+c.key+`":"true"}}`, "s3:PutObject"))
			for _, target := range []string{"/k", "/k?uploads"} {
				method := map[bool]string{true: "PUT", false: "POST"}[target == "/k"]
				x.as(s3test.Bob, method, "/"+x.bucket+target, "", c.header, c.value).want(403, "AccessDenied")
				x.as(s3test.Bob, method, "/"+x.bucket+target, "", c.header, "  ").want(403, "AccessDenied")
			}
		}
		x.policy(x.rule("Allow", "bob", "", "", "s3:PutObject"), x.rule("Deny", "bob", "", `{"Null":{"s3:if-none-match":"true"}}`, "s3:PutObject"))
		etag := x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "body", "If-None-Match", "*").want(200, "").header("Etag")
		for _, bad := range []string{etag, wrongETag, ",", "*,*", "W/*", "**"} {
			x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "body", "If-None-Match", bad).want(501, "NotImplemented").says("If-None-Match")
		}
	})
}

// operations calls test with every implemented operation, and the target below the
// bucket that selects it. It is derived from the table: the tests that use it also
// cover new operations.
func (x *apiTest) operations(test func(op s3api.Operation, send func(key s3test.Key, header ...string) *reply)) {
	x.Helper()
	for _, op := range s3api.Operations() {
		if op.Handler == nil || op.Public {
			continue
		}
		target := map[s3api.Scope]string{s3api.ScopeService: "/", s3api.ScopeBucket: "/" + x.bucket, s3api.ScopeObject: "/" + x.bucket + "/k"}[op.Scope]
		values := map[string]string{"partNumber": "1", "uploadId": "0123456789abcdef0123456789abcdef"}
		for i, q := range op.Query {
			target += string("?&"[min(i, 1)]) + q.Name + "=" + values[q.Name] + q.Value
		}
		test(op, func(key s3test.Key, header ...string) *reply {
			x.Helper()
			if op.Header != "" {
				header = append(header, op.Header, "/"+x.bucket+"/k")
			}
			if op.Body == s3api.BodyForm {
				header = append(header, "Content-Type", "multipart/form-data; boundary=b")
				form := "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbody\r\n--b--\r\n"
				return x.as(anonymous, op.Method, target, form, header...)
			}
			return x.as(key, op.Method, target, "", header...)
		})
	}
}

// headerValues are valid values of headers; other headers get "x".
var headerValues = map[string]string{
	"x-amz-acl": "private", "x-amz-tagging": "a=b", "x-amz-server-side-encryption": "AES256", "x-amz-storage-class": "STANDARD",
	"x-amz-website-redirect-location": "/x", "if-match": "*", "if-none-match": "*", "x-amz-grant-read": `id="alice"`,
	"x-amz-grant-read-acp": `id="alice"`, "x-amz-grant-write": `id="alice"`, "x-amz-grant-write-acp": `id="alice"`, "x-amz-grant-full-control": `id="alice"`,
	"x-amz-copy-source": "/b/k", "x-amz-metadata-directive": "COPY", "x-amz-write-offset-bytes": "4",
	"x-amz-server-side-encryption-customer-algorithm": "AES256",
}

func headerValue(name string) string {
	if v := headerValues[name]; v != "" {
		return v
	}
	return "x"
}

// Every operation refuses an unknown header of a family that promises protection or
// a condition, with 501 and the header's name.
func TestUnknownHeadersOfFamiliesAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		x.operations(func(op s3api.Operation, send func(s3test.Key, ...string) *reply) {
			for _, name := range []string{
				"X-Amz-Object-Lock-Event-Hold", "X-Amz-Object-Lock-Event-Hold-Duration-Days", "X-Amz-Object-Lock-Event-Hold-Duration-Years",
				"X-Amz-Server-Side-Encryption-New", "X-Amz-Checksum-New", "X-Amz-If-New", "X-Amz-Copy-Source-New", "X-Amz-Rename-Source-New",
				"X-Amz-Grant-New", "X-Amz-Write-New", "X-Amz-Bucket-New",
			} {
				r := send(s3test.Alice, name, "ON")
				switch {
				case op.Body == s3api.BodyForm && r.resp.StatusCode == 400: // fields say this, not headers
					r.says(name)
				case op.Method == "HEAD":
					if r.resp.StatusCode != 501 {
						x.Errorf("%s with %s: %d", op.Name, name, r.resp.StatusCode)
					}
				default:
					r.want(501, "NotImplemented").says("<Header>" + name + "</Header>")
				}
			}
		})
		assert.Equal(x, "object", x.get("k"), "body")
		x.raw("PUT", "/k", "body", "X-Amz-New", "ON").want(200, "") // as on AWS
		x.raw("GET", "/k", "", "X-Amz-New", "ON").want(200, "")
	})
}

// Event holds are refused in documents too.
func TestEventHoldsInDocumentsAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning("Enabled")
		x.put("k", "body")
		days := "<Days>1</Days>"
		for _, c := range []struct{ target, body, element string }{
			{"?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>" + days + "</DefaultRetention><DefaultEventHold>" + days + "</DefaultEventHold></Rule></ObjectLockConfiguration>", "DefaultEventHold"},
			{"?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode>" + days + "<DefaultEventHold>" + days + "</DefaultEventHold></DefaultRetention></Rule></ObjectLockConfiguration>", "DefaultEventHold"},
			{"/k?retention", "<Retention><EventHold>ON</EventHold></Retention>", "EventHold"},
			{"/k?retention", "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2999-01-01T00:00:00Z</RetainUntilDate><EventHold/></Retention>", "EventHold"},
			{"/k?retention", "<Retention><EventHoldDuration>" + days + "</EventHoldDuration></Retention>", "EventHoldDuration"},
		} {
			x.raw("PUT", c.target, c.body).want(501, "NotImplemented").says("<Element>" + c.element + "</Element>")
		}
		x.raw("GET", "?object-lock", "").want(404, "ObjectLockConfigurationNotFoundError")
	})
}

// Every operation with every header that has a kind: the header is refused by name
// unless the row honours or ignores it.
func TestHeadersThatAnOperationDoesNotHonourAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		x.operations(func(op s3api.Operation, send func(s3test.Key, ...string) *reply) {
			if op.Name == "CreateBucket" || op.Name == "DeleteBucket" { // they would do it
				return
			}
			honoured := op.Honours | op.Ignores | s3api.Directives | s3api.Bypass
			if op.Body == s3api.BodyDocument {
				honoured |= s3api.BodyChecksum
			}
			for _, h := range s3api.RequestHeaders() {
				if h.Kind == 0 || h.KeepEmpty || h.Name == "x-amz-copy-source" && op.Scope == s3api.ScopeObject {
					continue
				}
				write, change := op.Method == "PUT" || op.Method == "POST", op.Method == "DELETE"
				condition := s3api.IfMatch | s3api.IfNoneMatch | s3api.IfDate | s3api.IfSame | s3api.IfInitiated | s3api.RenameSource
				if h.Kind&honoured != 0 || !write && (!change || h.Kind&condition == 0) {
					continue
				}
				r := send(s3test.Alice, h.Name, headerValue(h.Name))
				if r.resp.StatusCode != 400 && r.resp.StatusCode != 501 || !strings.Contains(strings.ToLower(r.body), h.Name) {
					x.Errorf("%s with %s: %d %.300s", op.Name, h.Name, r.resp.StatusCode, r.body)
				}
			}
		})
		assert.Equal(x, "object", x.get("k"), "body")
		// A parameter would be a header if the query were presigned.
		x.raw("PUT", "/k?x-amz-object-lock-mode=COMPLIANCE", "").want(400, "InvalidArgument").says("x-amz-object-lock-mode")
		x.raw("PUT", "/k?x-amz-object-lock-event-hold=ON", "").want(501, "NotImplemented")
		x.raw("GET", "/k?x-amz-acl=private", "").want(200, "")
	})
}

// A policy that requires a header is met only by a header that takes effect. The test
// covers every operation with the action s3:PutObject and every header that is a
// condition key.
func TestConditionsSeeWhatTakesEffect(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		keys := []string{"if-match", "if-none-match", "x-amz-acl", "x-amz-copy-source", "x-amz-grant-full-control", "x-amz-grant-read",
			"x-amz-metadata-directive", "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-algorithm", "x-amz-storage-class",
			"x-amz-website-redirect-location", "x-amz-tagging"}
		kinds := map[string]s3api.Headers{}
		for _, h := range s3api.RequestHeaders() {
			kinds[h.Name] = h.Kind
		}
		for _, name := range keys {
			key := "s3:" + name
			if name == "x-amz-tagging" {
				key = "s3:RequestObjectTag/a"
			}
			x.policy(x.rule("Allow", "bob", "", "", "s3:*"), x.rule("Deny", "bob", "", `{"Null":{"`+key+`":"true"}}`, "s3:PutObject"))
			x.operations(func(op s3api.Operation, send func(s3test.Key, ...string) *reply) {
				if op.Action != "s3:PutObject" || op.Body == s3api.BodyForm || op.Header != "" && name == "x-amz-copy-source" {
					return
				}
				x.put("k", "body") // an operation before has made it bob's
				header := []string{name, headerValue(name)}
				if name == "x-amz-tagging" && op.Name == "CopyObject" {
					send(s3test.Bob, header...).want(403, "AccessDenied") // a copy takes the source's tags
					send(s3test.Bob, append(header, "X-Amz-Tagging-Directive", "COPY")...).want(403, "AccessDenied")
					header = append(header, "X-Amz-Tagging-Directive", "REPLACE")
				}
				if op.Name == "RenameObject" {
					header = append(header, "X-Amz-Rename-Source", "k")
				}
				r := send(s3test.Bob, header...)
				switch honoured := op.Honours&kinds[name] != 0; {
				case honoured && r.resp.StatusCode == 403:
					x.Errorf("%s does not see %s: %s", op.Name, name, r.body)
				case !honoured && r.resp.StatusCode < 400:
					x.Errorf("%s is let through by %s, which it does not honour", op.Name, name)
				}
			})
		}
	})
}

// The same rules apply to the fields of a form as to headers.
func TestFieldsOfFormsAreHeaders(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.open()
		post := func(fields ...string) *reply {
			body, contentType := browserForm(x.T, "body", append([]string{"key", "k"}, fields...)...)
			return x.as(anonymous, "POST", "/"+x.bucket, string(body), "Content-Type", contentType)
		}
		for _, field := range []string{"x-amz-object-lock-event-hold", "X-Amz-Object-Lock-Event-Hold-Duration-Days", "x-amz-server-side-encryption-new",
			"x-amz-checksum-new", "x-amz-grant-new", "x-amz-write-offset-bytes", "x-amz-copy-source", "x-amz-bucket-object-lock-enabled", "x-amz-if-match-size"} {
			post(field, "1").want(501, "NotImplemented")
		}
		post("if-none-match", wrongETag).want(501, "NotImplemented")
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
		post("acl", "", "x-amz-storage-class", "", "x-amz-tagging", "", "if-match", "", "x-amz-website-redirect-location", "").want(204, "")
		for _, c := range []struct{ key, field string }{
			{"s3:x-amz-acl", "acl"}, {"s3:x-amz-storage-class", "x-amz-storage-class"}, {"s3:if-none-match", "if-none-match"},
			{"s3:x-amz-server-side-encryption-customer-algorithm", "x-amz-server-side-encryption-customer-algorithm"},
			{"s3:RequestObjectTag/a", "tagging"}, {"s3:RequestObjectTag/a", "x-amz-tagging"},
		} {
			x.policy(fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::%s/*","Condition":{"Null":{%q:"true"}}}`, x.bucket, c.key))
			if c.field != "tagging" {
				post(c.field, "").want(403, "AccessDenied")
			}
			post().want(403, "AccessDenied")
		}
	})
}

// Unknown headers are reported; without a valid signature their names are left out.
func TestUnknownHeadersAreReported(t *testing.T) {
	var reported []string
	s := newServer(t)
	api := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var info s3api.RequestInfo
		api.ServeHTTP(w, r.WithContext(s3api.WithRequestInfo(r.Context(), &info)))
		reported = info.UnknownHeaders
	})
	b := s.bucket(t)
	known := []string{"X-Amz-Meta-A", "1", "X-Amz-Request-Payer", "requester", "X-Amz-Checksum-Mode", "ENABLED", "X-Amz-User-Agent", "x", "X-Custom", "1"}
	s.signed(t, "alice", "GET", "/"+b, "", append(known, "X-Amz-Brand-New", "1")...).want(t, 200, "")
	if !slices.Equal(reported, []string{"x-amz-brand-new"}) {
		t.Errorf("signed: %q", reported)
	}
	s.raw(t, "GET", "/"+b, "", append(known, "X-Amz-Brand-New", "1")...).want(t, 403, "AccessDenied")
	if !slices.Equal(reported, []string{""}) {
		t.Errorf("anonymous: %q", reported)
	}
}

// The parts and the completion of an upload may only repeat the upload's encryption:
// conditions see the actual encryption.
func TestEncryptionOfPartsIsThatOfTheUpload(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const sse = "X-Amz-Server-Side-Encryption"
		for kind, others := range map[string][][]string{
			"AES256":  {{sse, "aws:kms"}},
			"aws:kms": {{sse, "AES256"}, {sse, "aws:kms", sse + "-Aws-Kms-Key-Id", "other"}},
		} {
			r := x.raw("POST", "/k?uploads", "", sse, kind).want(200, "")
			_, id, _ := strings.Cut(r.body, "<UploadId>")
			id, _, _ = strings.Cut(id, "<")
			right := []string{sse, kind}
			if key := r.header(sse + "-Aws-Kms-Key-Id"); key != "" {
				right = append(right, sse+"-Aws-Kms-Key-Id", key)
			}
			part, complete := "/k?partNumber=1&uploadId="+id, "/k?uploadId="+id
			etag := x.raw("PUT", part, "body", right...).want(200, "").header("Etag")
			doc := "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + etag + "</ETag></Part></CompleteMultipartUpload>"
			for _, other := range others {
				x.raw("PUT", part, "body", other...).want(400, "InvalidArgument")
				x.raw("POST", complete, doc, other...).want(400, "InvalidArgument")
			}
			x.raw("POST", complete, doc, right...).want(200, "")
			assert.Equal(x, "object", x.get("k"), "body")
		}
	})
}
