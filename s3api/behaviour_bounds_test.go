package s3api_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

// A caller who cannot be allowed to delete any key of a bucket is refused before the
// document is read, whatever it contains.
func TestDeleteObjectsIsRefusedBeforeItsDocumentIsRead(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		x.put("public/k", "body")
		target := "/" + x.bucket + "?delete"
		good := "<Delete><Object><Key>k</Key></Object><Object><Key>public/k</Key></Object></Delete>"
		documents := []string{"", "garbage", good, "<Delete>" + strings.Repeat("<a/>", 1<<19-10) + "</Delete>"}
		strangers := []s3test.Key{{}, s3test.Bob}
		post := func(key s3test.Key, doc string) *reply {
			return x.as(key, "POST", target, doc, "X-Amz-Checksum-Sha256", sumOf("SHA256", doc))
		}
		refused := func(what string) {
			t.Helper()
			for _, doc := range documents {
				for _, key := range strangers {
					if r := post(key, doc); r.resp.StatusCode != 403 || r.Code != "AccessDenied" {
						x.Errorf("%s: %.20q of %q: %d %s", what, doc, key.ID, r.resp.StatusCode, r.Code)
					}
				}
			}
		}
		refused("a private bucket")
		allow := func(action, more string) string {
			return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"` + action + `","Resource":"arn:aws:s3:::` + x.bucket + `/public/*"` + more + `}]}`
		}
		x.raw("PUT", "?policy", allow("s3:GetObject", "")).want(204, "")
		refused("a policy about something else")
		x.raw("PUT", "?policy", allow("s3:Delete*", `,"Condition":{"StringEquals":{"aws:UserAgent":"none"}}`)).want(204, "")
		for _, key := range strangers { // a condition is decided for each key
			if r := post(key, good).want(200, ""); strings.Count(r.body, "<Code>AccessDenied</Code>") != 2 {
				x.Errorf("by %q, under a condition: %s", key.ID, r.body)
			}
			post(key, "garbage").want(400, "MalformedXML")
		}
		x.raw("PUT", "?policy", allow("s3:DeleteObject", "")).want(204, "")
		if r := post(s3test.Key{}, good).want(200, ""); strings.Count(r.body, "<Code>AccessDenied</Code>") != 1 || !strings.Contains(r.body, "<Deleted><Key>public/k</Key>") {
			x.Errorf("anonymous, by policy: %s", r.body)
		}
		x.raw("DELETE", "?policy", "").want(204, "")
		refused("without the policy")
		x.raw("PUT", "?acl", "", "X-Amz-Acl", "public-read-write").want(200, "")
		out, err := x.s.Client(x.T, s3test.Bob).DeleteObjects(x.Context(), &s3.DeleteObjectsInput{Bucket: &x.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: ptr("k")}}}})
		assert.NoError(x, err)
		if len(out.Deleted) != 1 {
			x.Errorf("by the bucket's ACL: %+v", out)
		}
	})
}

// Documents of all kinds that are built only to cost work are refused.
func TestHostileDocumentsOfEveryKindAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		upload := x.upload("u")
		for _, c := range []struct {
			method, target, root, repeated string
			size                           int
		}{
			{"POST", "?delete", "Delete", "<Object/>", 2 << 20},
			{"POST", "/u?uploadId=" + upload, "CompleteMultipartUpload", "<Part/>", 4 << 20},
			{"PUT", "?cors", "CORSConfiguration", "<CORSRule/>", 64 << 10},
			{"PUT", "?tagging", "Tagging", "<TagSet/>", 64 << 10},
			{"PUT", "/k?tagging", "Tagging", "<TagSet/>", 64 << 10},
			{"PUT", "?acl", "AccessControlPolicy", "<Owner/>", 64 << 10},
			{"PUT", "?encryption", "ServerSideEncryptionConfiguration", "<Rule/>", 64 << 10},
			{"PUT", "?versioning", "VersioningConfiguration", "<Status/>", 64 << 10},
			{"PUT", "?ownershipControls", "OwnershipControls", "<Rule/>", 64 << 10},
			{"PUT", "?publicAccessBlock", "PublicAccessBlockConfiguration", "<BlockPublicAcls/>", 64 << 10},
			{"PUT", "?object-lock", "ObjectLockConfiguration", "<Rule/>", 64 << 10},
			{"PUT", "?requestPayment", "RequestPaymentConfiguration", "<Payer/>", 64 << 10},
		} {
			for _, unit := range []string{c.repeated, "<a/>", "<!---->", "<![CDATA[", " x=\"\"", "<" + c.root + ">"} {
				head, tail := "<"+c.root+">", "</"+c.root+">"
				if unit[0] == ' ' {
					head, tail = "<"+c.root, "/>"
				}
				doc := head + strings.Repeat(unit, (c.size-len(head)-len(tail))/len(unit)) + tail
				r := x.raw(c.method, c.target, doc, "X-Amz-Checksum-Sha256", sumOf("SHA256", doc))
				if r.resp.StatusCode != 400 || r.Code != "MalformedXML" && r.Code != "MalformedACLError" {
					x.Errorf("%s %s of %s: %d %s", c.method, c.target, unit, r.resp.StatusCode, r.Code)
				}
			}
		}
	})
}

// A preflight is anonymous, and the bucket's owner chooses the rules with which it is
// compared. The worst case of both is answered, with rules that are parsed once.
func TestCORSOfTheLargestConfiguration(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/k", "body", "X-Amz-Acl", "public-read").want(200, "")
		rules := func(n int, rule string) string {
			return "<CORSConfiguration>" + strings.Repeat(rule, n) + "</CORSConfiguration>"
		}
		rule := "<CORSRule><AllowedOrigin>https://*.Example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>"
		end := "</CORSRule>"
		x.raw("PUT", "?cors", rules(101, rule+end)).want(400, "MalformedXML")
		x.raw("PUT", "?cors", rules(1, rule+strings.Repeat("<AllowedHeader>a</AllowedHeader>", 1001)+end)).want(400, "MalformedXML")
		x.raw("PUT", "?cors", rules(1, rule+strings.Repeat("<ExposeHeader>\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"</ExposeHeader>", 900)+end)).want(400, "MaxMessageLengthExceeded")
		wild := rule + strings.Repeat("<AllowedHeader>X-b*</AllowedHeader>", 950) + "<AllowedHeader>X-AMZ-*</AllowedHeader>" + end
		largest := "<CORSConfiguration>" + strings.Repeat(rule+end, 98) + wild + "</CORSConfiguration>"
		x.raw("PUT", "?cors", largest).want(200, "")
		preflight := func(origin string, names ...string) *reply {
			return x.as(s3test.Key{}, "OPTIONS", "/"+x.bucket+"/k", "", "Origin", origin, "Access-Control-Request-Method", "GET",
				"Access-Control-Request-Headers", strings.Join(names, ","))
		}
		var names []string
		for i := range 100 {
			names = append(names, "x-AMZ-meta-"+strings.Repeat("m", i/26)+string(rune('a'+i%26)))
		}
		r := preflight("https://a.Example.com", names...).want(200, "")
		if got := r.header("Access-Control-Allow-Headers"); got != strings.ToLower(strings.Join(names, ", ")) {
			x.Errorf("allowed are %q", got)
		}
		preflight("https://a.Example.com", append(names, "x-amz-z")...).want(400, "BadRequest")
		preflight("https://a.Example.com", "x-amz-"+strings.Repeat("m", 8<<10)).want(400, "BadRequest")
		preflight("https://a.Example.com", "x-c").want(403, "AccessForbidden")
		preflight("https://a.example.com", "x-b").want(403, "AccessForbidden")
		get := func() string {
			return x.as(s3test.Key{}, "GET", "/"+x.bucket+"/k", "", "Origin", "https://a.Example.com").want(200, "").header("Access-Control-Allow-Origin")
		}
		if got := get(); got != "https://a.Example.com" {
			x.Errorf("a GET lets %q", got)
		}
		x.raw("PUT", "?cors", rules(1, "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>")).want(200, "")
		if got := get(); got != "*" {
			x.Errorf("with other rules a GET lets %q", got)
		}
		x.raw("DELETE", "?cors", "").want(204, "")
		if got := get(); got != "" {
			x.Errorf("without rules a GET lets %q", got)
		}
	})
}

// Each request for an object reads its whole version, so the size of stored headers
// is limited, whichever way the headers are sent.
func TestStoredHeadersAreBounded(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("source", "body")
		from := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/source", "X-Amz-Metadata-Directive", "REPLACE"}
		fill := func(name string, used int) string { return strings.Repeat("v", 2048-len(name)-used) }
		disposition := []string{"Content-Type", "a/b", "Content-Disposition", fill("Content-Disposition", len("Content-Typea/b"))}
		both := []string{"Content-Type", "a/b", "Cache-Control", strings.Repeat("c", 1000), "Content-Disposition", strings.Repeat("d", 1100)}
		redirect := []string{"X-Amz-Website-Redirect-Location", "/" + strings.Repeat("r", 2047)}
		for _, c := range []struct {
			what    string
			headers []string
			over    string // the header that is one byte too long
		}{
			{"one header", disposition, "Content-Disposition"},
			{"several headers", both, ""},
			{"redirect", redirect, "X-Amz-Website-Redirect-Location"},
		} {
			longer := append([]string(nil), c.headers...)
			for i := 0; i < len(longer); i += 2 {
				if longer[i] == c.over {
					longer[i+1] += "v"
				}
			}
			fits := c.over != ""
			for _, how := range []struct {
				method, target, body string
				more                 []string
			}{{"PUT", "/k", "body", nil}, {"POST", "/k?uploads", "", nil}, {"PUT", "/k", "", from}} {
				if fits {
					x.raw(how.method, how.target, how.body, append(c.headers, how.more...)...).want(200, "")
				}
				if r := x.raw(how.method, how.target, how.body, append(longer, how.more...)...); r.resp.StatusCode != 400 || r.Code != "MetadataTooLarge" {
					x.Errorf("%s, one byte too long, by %s %s: %d %s", c.what, how.method, how.target, r.resp.StatusCode, r.Code)
				}
			}
		}
	})
}
