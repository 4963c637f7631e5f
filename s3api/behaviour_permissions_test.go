package s3api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

// Each request needs all of its actions, and no others: if one of them is missing, it
// is refused and changes nothing. ("Required permissions for Amazon S3 API
// operations" in the user guide.)
func TestRequestsNeedTheActionsOfAllTheyDo(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("other", "body")
		source := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/src"}
		with := func(base []string, more ...string) []string { return append(slices.Clone(base), more...) }
		tagged := func() { x.raw("PUT", "/src", "body", "X-Amz-Tagging", "a=b").want(200, "") }
		public := func() { x.raw("PUT", "/src", "body", "X-Amz-Acl", "public-read").want(200, "") }
		plain := func() { x.put("src", "body") }
		etag := x.put("src", "body").ETag
		up := func() string { return x.upload("src") }
		complete := func(t *apiTest, headers ...string) func() *reply {
			return func() *reply {
				id := up()
				part := x.part("src", id, 1, "part")
				doc := `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>` + *part.ETag + `</ETag></Part></CompleteMultipartUpload>`
				return x.as(s3test.Bob, "POST", "/"+x.bucket+"/src?uploadId="+id, doc, headers...)
			}
		}
		bob := func(method, target string, headers ...string) func() *reply {
			return func() *reply { return x.as(s3test.Bob, method, "/"+x.bucket+target, "", headers...) }
		}
		deletes := func(condition string) func() *reply {
			return func() *reply {
				doc := "<Delete><Object><Key>src</Key>" + condition + "</Object></Delete>"
				r := x.as(s3test.Bob, "POST", "/"+x.bucket+"?delete", doc, "Content-Md5", contentMD5(doc))
				if strings.Contains(r.body, "<Code>AccessDenied") {
					r.resp.StatusCode = 403
				}
				return r
			}
		}
		form := func(fields ...string) func() *reply {
			return func() *reply {
				var signed []string
				body, contentType := browserForm(x.T, "body", append(append(signed, "key", "dst"), fields...)...)
				return x.as(anonymous, "POST", "/"+x.bucket, string(body), "Content-Type", contentType)
			}
		}
		for _, c := range []struct {
			name    string
			prepare func()
			send    func() *reply
			needs   string
		}{
			{"put", plain, bob("PUT", "/dst"), "PutObject"},
			{"put with tags", plain, bob("PUT", "/dst", "X-Amz-Tagging", "a=b"), "PutObject PutObjectTagging"},
			{"put with an ACL", plain, bob("PUT", "/dst", "X-Amz-Acl", "public-read"), "PutObject PutObjectAcl"},
			{"put with a grant", plain, bob("PUT", "/dst", "X-Amz-Grant-Read", `id="bob"`), "PutObject PutObjectAcl"},
			{"put with grants to the owner and another", plain, bob("PUT", "/dst", "X-Amz-Grant-Full-Control", `id="alice"`, "X-Amz-Grant-Read", `id="bob"`), "PutObject PutObjectAcl"},
			{"put with a grant to the bucket's owner", plain, bob("PUT", "/dst", "X-Amz-Grant-Full-Control", `id="alice"`), "PutObject"},
			{"put with the bucket owner's canned ACL", plain, bob("PUT", "/dst", "X-Amz-Acl", "bucket-owner-full-control"), "PutObject"},
			{"put with a grant to everybody", plain, bob("PUT", "/dst", "X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`), "PutObject PutObjectAcl"},
			{"create with tags", plain, bob("POST", "/dst?uploads", "X-Amz-Tagging", "a=b"), "PutObject PutObjectTagging"},
			{"create with an ACL", plain, bob("POST", "/dst?uploads", "X-Amz-Acl", "private"), "PutObject PutObjectAcl"},
			{"form with tags", plain, form("x-amz-tagging", "a=b"), "PutObject PutObjectTagging"},
			{"form with an ACL", plain, form("acl", "private"), "PutObject PutObjectAcl"},
			{"copy", plain, bob("PUT", "/dst", source...), "GetObject PutObject"},
			{"copy of a tagged object", tagged, bob("PUT", "/dst", source...), "GetObject GetObjectTagging PutObject PutObjectTagging"},
			{"copy with tags replaced", tagged, bob("PUT", "/dst", with(source, "X-Amz-Tagging-Directive", "REPLACE", "X-Amz-Tagging", "c=d")...), "GetObject PutObject PutObjectTagging"},
			{"copy with no tags", tagged, bob("PUT", "/dst", with(source, "X-Amz-Tagging-Directive", "REPLACE")...), "GetObject PutObject"},
			{"copy with an ACL", plain, bob("PUT", "/dst", with(source, "X-Amz-Acl", "public-read")...), "GetObject PutObject PutObjectAcl"},
			{"put, If-Match", plain, bob("PUT", "/src", "If-Match", *etag), "PutObject GetObject"},
			{"put, If-Match of two", plain, bob("PUT", "/src", "If-Match", "*, "+*etag), "PutObject GetObject"},
			{"put, If-Match: *", plain, bob("PUT", "/src", "If-Match", "*"), "PutObject"},
			{"put, If-None-Match: *", plain, bob("PUT", "/new", "If-None-Match", "*"), "PutObject"},
			{"complete", plain, complete(x), "PutObject"},
			{"complete, If-Match", plain, complete(x, "If-Match", *etag), "PutObject GetObject"},
			{"append", plain, bob("PUT", "/src", "X-Amz-Write-Offset-Bytes", "4"), "PutObject GetObject"},
			{"append to nothing", plain, bob("PUT", "/new", "X-Amz-Write-Offset-Bytes", "0"), "PutObject GetObject"},
			{"append to a tagged object", tagged, bob("PUT", "/src", "X-Amz-Write-Offset-Bytes", "4"), "PutObject GetObject PutObjectTagging"},
			{"append to a public object", public, bob("PUT", "/src", "X-Amz-Write-Offset-Bytes", "4"), "PutObject PutObjectAcl"},
			{"rename", plain, bob("PUT", "/dst?renameObject", "X-Amz-Rename-Source", "src"), "GetObject DeleteObject PutObject"},
			{"rename of a tagged object", tagged, bob("PUT", "/dst?renameObject", "X-Amz-Rename-Source", "src"), "GetObject DeleteObject GetObjectTagging PutObject PutObjectTagging"},
			{"rename of a public object", public, bob("PUT", "/dst?renameObject", "X-Amz-Rename-Source", "src"), "DeleteObject PutObject PutObjectAcl"},
			{"attributes", plain, bob("GET", "/src?attributes", "X-Amz-Object-Attributes", "ETag"), "GetObject GetObjectAttributes"},
			{"attributes of a version", plain, bob("GET", "/src?attributes&versionId=null", "X-Amz-Object-Attributes", "ETag"), "GetObjectVersion GetObjectVersionAttributes"},
			{"copy of a version", tagged, bob("PUT", "/dst", "X-Amz-Copy-Source", "/"+x.bucket+"/src?versionId=null"), "GetObjectVersion GetObjectVersionTagging PutObject PutObjectTagging"},
			{"delete", plain, bob("DELETE", "/src"), "DeleteObject"},
			{"delete, If-Match", plain, bob("DELETE", "/src", "If-Match", *etag), "DeleteObject GetObject"},
			{"delete, size", plain, bob("DELETE", "/src", "X-Amz-If-Match-Size", "4"), "DeleteObject GetObject"},
			{"delete, If-Match: *", plain, bob("DELETE", "/src", "If-Match", "*"), "DeleteObject"},
			{"delete of a version, If-Match", plain, bob("DELETE", "/src?versionId=null", "If-Match", *etag), "DeleteObjectVersion GetObjectVersion"},
			{"deletes", plain, deletes(""), "DeleteObject"},
			{"deletes, ETag", plain, deletes("<ETag>" + strings.ReplaceAll(*etag, `"`, "&quot;") + "</ETag>"), "DeleteObject GetObject"},
			{"deletes, size", plain, deletes("<Size>4</Size>"), "DeleteObject GetObject"},
			{"deletes, ETag *", plain, deletes("<ETag>*</ETag>"), "DeleteObject"},
			{"ACL of a version", plain, bob("PUT", "/src?acl&versionId=null", "X-Amz-Acl", "private"), "PutObjectVersionAcl"},
		} {
			needs := strings.Fields(c.needs)
			allow := func(actions []string) {
				statements := []string{fmt.Sprintf(`{"Effect":"Deny","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/none"}`, x.bucket)}
				for _, a := range actions {
					principal := `{"AWS":"bob"}`
					if strings.HasPrefix(c.name, "form") {
						principal = `"*"`
					}
					statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Principal":%s,"Action":"s3:%s","Resource":"arn:aws:s3:::%s/*"}`, principal, a, x.bucket))
				}
				x.policy(statements...)
			}
			for i := range needs {
				for _, key := range []string{"dst", "new"} {
					x.deleteKey(key)
				}
				c.prepare()
				allow(slices.Delete(slices.Clone(needs), i, i+1))
				if r := c.send(); r.resp.StatusCode != 403 {
					x.Errorf("%s without %s: %d %.300s", c.name, needs[i], r.resp.StatusCode, r.body)
				}
				if status := x.raw("HEAD", "/src", "").resp.StatusCode; status != 200 {
					x.Errorf("%s without %s has removed the source", c.name, needs[i])
				}
			}
			for _, key := range []string{"dst", "new"} {
				x.deleteKey(key)
			}
			c.prepare()
			allow(needs)
			if r := c.send(); r.resp.StatusCode >= 300 {
				x.Errorf("%s with %s: %d %.300s", c.name, c.needs, r.resp.StatusCode, r.body)
			}
		}
	})
}

// The attributes that a copy takes from its source are part of what it writes: a Deny
// of the action and a Deny of the tag apply to copies as they do to headers.
func TestCopiedTagsAreSeenByConditions(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/tagged", "body", "X-Amz-Tagging", "approved=yes").want(200, "")
		x.put("plain", "body")
		copy := func(from string) *reply {
			return x.as(s3test.Bob, "PUT", "/"+x.bucket+"/dst", "", "X-Amz-Copy-Source", "/"+x.bucket+"/"+from)
		}
		x.policy(x.rule("Allow", "bob", "", "", "s3:*"), x.rule("Deny", "bob", "", `{"StringEquals":{"s3:RequestObjectTag/approved":"yes"}}`, "s3:PutObjectTagging"))
		copy("tagged").want(403, "AccessDenied")
		copy("plain").want(200, "")
		x.policy(x.rule("Allow", "bob", "", "", "s3:*"), x.rule("Deny", "bob", "", `{"Null":{"s3:RequestObjectTag/approved":"true"}}`, "s3:PutObject"))
		copy("tagged").want(200, "")
		copy("plain").want(403, "AccessDenied")
		x.as(s3test.Bob, "PUT", "/"+x.bucket+"/dst", "", "X-Amz-Copy-Source", "/"+x.bucket+"/plain", "X-Amz-Tagging", "approved=yes").want(403, "AccessDenied")
	})
}

// A caller who may read an object but not its tags does not learn the tags from a
// copy, nor their number.
func TestTagsOfReadableObjectsAreNotDisclosed(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/k", "body", "X-Amz-Tagging", "customer=ACME", "X-Amz-Acl", "public-read").want(200, "")
		mine := s3test.BucketName(x.T)
		bob := x.s.Client(x.T, s3test.Bob)
		_, err := bob.CreateBucket(x.Context(), &s3.CreateBucketInput{Bucket: &mine})
		assert.NoError(x, err)
		x.Cleanup(func() { x.s.Remove(x.T, mine) })
		x.as(s3test.Bob, "GET", "/"+x.bucket+"/k?tagging", "").want(403, "AccessDenied")
		x.as(s3test.Bob, "PUT", "/"+mine+"/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(403, "AccessDenied")
		x.as(s3test.Bob, "PUT", "/"+mine+"/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k", "X-Amz-Tagging-Directive", "REPLACE").want(200, "")
		for _, key := range []s3test.Key{anonymous, s3test.Bob} {
			x.as(key, "GET", "/"+x.bucket+"/k", "").want(200, "").has("X-Amz-Tagging-Count", "")
			x.as(key, "HEAD", "/"+x.bucket+"/k", "").want(200, "").has("X-Amz-Tagging-Count", "")
		}
		x.raw("HEAD", "/k", "").has("X-Amz-Tagging-Count", "1")
		x.policy(x.rule("Allow", "bob", "", "", "s3:GetObjectTagging"))
		x.as(s3test.Bob, "HEAD", "/"+x.bucket+"/k", "").want(200, "").has("X-Amz-Tagging-Count", "1")
		x.as(s3test.Bob, "PUT", "/"+mine+"/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(200, "")
	})
}

// A bucket's ACL has only a permission to write: a write that it allows may set ACL
// and tags by headers, unless a policy denies that.
func TestWritesByACLMaySetWhatGoesWithThem(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.open()
		x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "bob's", "X-Amz-Acl", "bucket-owner-read", "X-Amz-Tagging", "a=b").want(200, "")
		// The ACL is that of the new object; the owner of the old one does not matter.
		x.raw("PUT", "/k", "alice's", "X-Amz-Acl", "public-read").want(200, "")
		x.as(anonymous, "PUT", "/"+x.bucket+"/k", "stranger's", "X-Amz-Tagging", "a=b").want(200, "")
		for _, action := range []string{"s3:PutObjectTagging", "s3:PutObjectAcl"} {
			x.policy(x.rule("Deny", "bob", "", "", action))
			header := map[string][]string{"s3:PutObjectTagging": {"X-Amz-Tagging", "a=b"}, "s3:PutObjectAcl": {"X-Amz-Grant-Read", `id="alice"`}}[action]
			x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "bob's", header...).want(403, "AccessDenied")
		}
	})
}

// The attributes of another tenant's object are shown to callers whom its ACL allows
// to read.
func TestAttributesRespectTheObjectsACL(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.open()
		attributes := func(key s3test.Key) *reply {
			return x.as(key, "GET", "/"+x.bucket+"/k?attributes", "", "X-Amz-Object-Attributes", "ETag,ObjectSize")
		}
		x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "secret").want(200, "")
		attributes(s3test.Alice).want(403, "AccessDenied")
		x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "shared", "X-Amz-Acl", "bucket-owner-read").want(200, "")
		attributes(s3test.Alice).want(200, "")
		x.policy(x.rule("Allow", "bob", "", "", "s3:GetObjectAttributes"))
		attributes(s3test.Bob).want(200, "")
		x.put("k", "alice's")
		attributes(s3test.Bob).want(403, "AccessDenied")
	})
}

// A caller who may only write learns neither size nor ETag.
func TestWritersLearnNothingOfWhatIsThere(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("k", "secret").ETag
		x.policy(x.rule("Allow", "bob", "", "", "s3:PutObject", "s3:DeleteObject"))
		for _, c := range [][3]string{
			{"PUT", "If-Match", etag}, {"PUT", "If-Match", wrongETag}, {"DELETE", "If-Match", etag}, {"DELETE", "If-Match", wrongETag},
			{"DELETE", "X-Amz-If-Match-Size", "6"}, {"DELETE", "X-Amz-If-Match-Size", "7"},
			{"PUT", "X-Amz-Write-Offset-Bytes", "6"}, {"PUT", "X-Amz-Write-Offset-Bytes", "7"}, {"PUT", "X-Amz-Write-Offset-Bytes", "0"},
		} {
			r := x.as(s3test.Bob, c[0], "/"+x.bucket+"/k", "", c[1], c[2]).want(403, "AccessDenied")
			if strings.Contains(r.body, "ObjectSize") {
				x.Errorf("%v: %s", c, r.body)
			}
		}
		for _, v := range []string{etag, wrongETag} {
			x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k", "", "If-None-Match", v).want(501, "NotImplemented")
		}
		assert.Equal(x, "object", x.get("k"), "secret")
		x.versioning(types.BucketVersioningStatusEnabled)
		x.as(s3test.Bob, "DELETE", "/"+x.bucket+"/k?versionId=null", "", "If-Match", etag).want(403, "AccessDenied")
	})
}

// Retention and legal hold are shown only to callers who may read them, as on AWS.
func TestLocksAreToldToWhomMayReadThem(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		x.raw("PUT", "?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>").want(200, "")
		until := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
		x.raw("PUT", "/k", "body", "Content-MD5", contentMD5("body"), "X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", until, "X-Amz-Object-Lock-Legal-Hold", "ON").want(200, "")
		for _, c := range []struct{ action, mode, hold string }{
			{"s3:GetObject", "", ""}, {"s3:GetObjectRetention", "GOVERNANCE", ""}, {"s3:GetObjectLegalHold", "", "ON"},
		} {
			x.policy(x.rule("Allow", "bob", "", "", "s3:GetObject", c.action))
			for _, method := range []string{"GET", "HEAD"} {
				x.as(s3test.Bob, method, "/"+x.bucket+"/k", "").want(200, "").has("X-Amz-Object-Lock-Mode", c.mode, "X-Amz-Object-Lock-Legal-Hold", c.hold)
			}
		}
		x.raw("HEAD", "/k", "").has("X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Legal-Hold", "ON")
	})
}

// A caller who may not list learns nothing about a missing key: neither that it has a
// delete marker nor the marker's version.
func TestAMissingKeyTellsNothingToThoseWhoMayNotList(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "?versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>").want(200, "")
		x.put("deleted", "body")
		x.raw("DELETE", "/deleted", "").want(204, "")
		x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::`+x.bucket+`/*"}}`).want(204, "")
		for _, method := range []string{"GET", "HEAD"} {
			for _, key := range []string{"/deleted", "/never"} {
				r := x.as(s3test.Bob, method, "/"+x.bucket+key, "")
				if r.resp.StatusCode != 403 {
					x.Errorf("%s %s: %s", method, key, r.resp.Status)
				}
				for _, name := range []string{"X-Amz-Delete-Marker", "X-Amz-Version-Id", "Last-Modified"} {
					if v := r.resp.Header.Values(name); len(v) > 0 {
						x.Errorf("%s %s: %s: %q", method, key, name, v)
					}
				}
			}
		}
		if r := x.raw("GET", "/deleted", ""); r.resp.Header.Get("X-Amz-Delete-Marker") != "true" {
			x.Errorf("the owner: %v", r.resp.Header)
		}
	})
}

// The owner of a bucket is not confirmed before authentication.
func TestExpectedOwnerIsLookedAtAfterAuthentication(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		var answers []string
		for _, owner := range []string{"alice", "bob", "absent"} {
			answers = append(answers, x.as(s3test.Key{}, "POST", "/"+x.bucket, "no form", "X-Amz-Expected-Bucket-Owner", owner).Code)
		}
		if answers[0] != answers[1] || answers[0] != answers[2] {
			x.Errorf("anonymous forms that expect an owner: %v", answers)
		}
	})
}
