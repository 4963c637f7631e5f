package s3api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/s3api"
)

var nobody = s3test.Key{}

// open lets everybody read and write the story's bucket.
func (x *story) open() {
	x.Helper()
	x.raw("PUT", "?acl", "", "X-Amz-Acl", "public-read-write").want(200, "")
}

// policy sets the bucket's policy to the statements.
func (x *story) policy(statements ...string) {
	x.Helper()
	x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`).want(204, "")
}

// rule is a statement about a tenant and the bucket's objects below prefix.
func (x *story) rule(effect, tenant, prefix, condition string, actions ...string) string {
	if condition == "" {
		condition = "{}"
	}
	return fmt.Sprintf(`{"Effect":%q,"Principal":{"AWS":%q},"Action":["%s"],"Resource":"arn:aws:s3:::%s/%s*","Condition":%s}`,
		effect, tenant, strings.Join(actions, `","`), x.bucket, prefix, condition)
}

// A header with one value is refused when it comes twice, before anything is
// asked of the caller. Lists may come in several lines.
func TestRepeatedHeadersAreRefusedByName(t *testing.T) {
	behaviour(t, func(x *story) {
		x.open()
		for _, h := range s3api.RequestHeaders() {
			keys := []s3test.Key{nobody, s3test.Alice, {ID: "unknown", Secret: "x"}}
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
	behaviour(t, func(x *story) {
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
			for _, key := range []s3test.Key{nobody, s3test.Alice} {
				x.as(key, "GET", "/"+x.bucket+c.target, "").want(400, "InvalidArgument").says("<ArgumentName>" + c.name + "</ArgumentName>")
			}
		}
		x.raw("GET", "/k?utm_source=a&utm_source=b", "").want(200, "")
	})
}

// An empty header is absent: the request is answered as it is without it.
func TestEmptyHeadersAreAbsent(t *testing.T) {
	behaviour(t, func(x *story) {
		x.open()
		x.put("k", "old")
		for _, h := range s3api.RequestHeaders() {
			r := x.as(nobody, "PUT", "/"+x.bucket+"/k", "body", h.Name, "")
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
			x.as(nobody, "PUT", "/"+x.bucket+"/k", "body", h.Name, " \t ").want(200, "")
		}
	})
}

// A policy that wants a header does not take an empty one, nor an
// If-None-Match that the operation does not honour.
func TestEmptyHeadersMeetNoCondition(t *testing.T) {
	behaviour(t, func(x *story) {
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
