package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/policy"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

// policyOf returns a bucket policy that allows Bob everything except what the
// statements deny.
func policyOf(bucket string, denials ...string) string {
	about := fmt.Sprintf(`"Principal":{"AWS":"bob"},"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]`, bucket, bucket)
	statements := []string{`{"Effect":"Allow","Action":"s3:*",` + about + `}`}
	for _, d := range denials {
		statements = append(statements, `{"Effect":"Deny",`+about+`,`+d+`}`)
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// keyCase is a request that has a condition key.
type keyCase struct {
	key, operator, value string
	send                 func() *reply
}

// keyCases are requests of Bob, at least one for each condition key in the table.
func keyCases(x *apiTest) []keyCase {
	at := "/" + x.bucket
	bob := func(method, target, body string, header ...string) func() *reply {
		return func() *reply { return x.as(s3test.Bob, method, at+target, body, header...) }
	}
	secure := func() *reply {
		_, err := x.s.Client(x.T, s3test.Bob, x.s.OverTLS).GetObject(x.Context(), &s3.GetObjectInput{Bucket: &x.bucket, Key: aws.String("k")})
		status := http.StatusOK
		if code(x.T, err) == "AccessDenied" {
			status = http.StatusForbidden
		} else if err != nil {
			x.Error(err)
		}
		return &reply{t: x.T, resp: &http.Response{StatusCode: status}}
	}
	presigned := func() *reply {
		r, err := http.NewRequestWithContext(x.Context(), http.MethodPut, x.s.URL+at+"/o", strings.NewReader("x"))
		assert.NoError(x, err)
		sigv4test.Signer{AccessKey: s3test.Bob.ID, Secret: s3test.Bob.Secret, Region: s3test.Region}.Presign(r, time.Minute)
		resp, err := x.s.HTTP.Do(r)
		assert.NoError(x, err)
		defer resp.Body.Close()
		return &reply{t: x.T, resp: resp}
	}
	form := func() *reply {
		body, contentType := browserForm(x.T, "file", signedV4(s3test.Bob, x.bucket, 100)...)
		return x.as(s3test.Key{}, "POST", at, string(body), "Content-Type", contentType)
	}
	get, put := bob("GET", "/k", ""), bob("PUT", "/o", "x")
	uploadID := x.upload("big")
	upload := "?partNumber=1&uploadId=" + uploadID
	with := func(name, value string) func() *reply { return bob("PUT", "/o", "x", name, value) }
	until := time.Now().Add(48*time.Hour + time.Minute).UTC().Format(time.RFC3339)
	tagging := "<Tagging><TagSet><Tag><Key>Team</Key><Value>red</Value></Tag></TagSet></Tagging>"
	copied := x.bucket + "/k"
	const one = "StringEquals"
	return []keyCase{
		{"aws:CurrentTime", "DateGreaterThan", "2020-01-01T00:00:00Z", get},
		{"aws:EpochTime", "NumericGreaterThan", "1577836800", get},
		{"aws:EpochTime", "DateGreaterThan", "2020-01-01T00:00:00Z", get},
		{"aws:PrincipalAccount", one, "bob", get},
		{"aws:PrincipalArn", "ArnEquals", "arn:aws:iam::bob:root", get},
		{"aws:PrincipalIsAWSService", "Bool", "false", get},
		{"aws:PrincipalType", one, "Account", get},
		{"aws:Referer", one, "http://here/", bob("GET", "/k", "", "Referer", "http://here/")},
		{"aws:RequestedRegion", one, s3test.Region, get},
		{"aws:ResourceAccount", one, "alice", get},
		{"aws:ResourceAccount", one, "alice", bob("GET", "", "")},
		{"aws:SecureTransport", "Bool", "false", get},
		{"aws:SecureTransport", "Bool", "true", secure},
		{"aws:SourceIp", "IpAddress", "127.0.0.1", get},
		{"aws:UserAgent", one, "agent/1", bob("GET", "/k", "", "User-Agent", "agent/1")},
		{"aws:userid", one, "bob", get},
		{"aws:ViaAWSService", "Bool", "false", get},
		{"s3:authType", one, "REST-HEADER", get},
		{"s3:authType", one, "REST-QUERY-STRING", presigned},
		{"s3:authType", one, "POST", form},
		{"s3:BucketTag/Cost", one, "low", get},
		{"s3:delimiter", one, "/", bob("GET", "?delimiter=%2F", "")},
		{"s3:delimiter", one, "/", bob("GET", "?uploads&delimiter=%2F", "")},
		{"s3:ExistingObjectTag/Team", one, "blue", get},
		{"s3:ExistingObjectTag/Team", one, "blue", bob("GET", "/k?tagging", "")},
		{"s3:if-match", one, "*", bob("PUT", "/k", "body", "If-Match", "*", "X-Amz-Tagging", "Team=blue")},
		{"s3:if-match", one, "*", bob("DELETE", "/new", "", "If-Match", "*")},
		{"s3:if-none-match", one, "*", bob("PUT", "/new", "x", "If-None-Match", "*")},
		{"s3:max-keys", "NumericEquals", "7", bob("GET", "?list-type=2&max-keys=7", "")},
		{"s3:object-lock-legal-hold", one, "OFF", with("X-Amz-Object-Lock-Legal-Hold", "OFF")},
		{"s3:object-lock-legal-hold", one, "OFF", bob("PUT", "/o?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")},
		{"s3:object-lock-mode", one, "GOVERNANCE", bob("PUT", "/o", "x", "X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", until)},
		{"s3:object-lock-remaining-retention-days", "NumericEquals", "2", bob("PUT", "/o?retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>"+until+"</RetainUntilDate></Retention>")},
		{"s3:object-lock-retain-until-date", "DateEquals", until, bob("PUT", "/o", "x", "X-Amz-Object-Lock-Mode", "GOVERNANCE", "X-Amz-Object-Lock-Retain-Until-Date", until)},
		{"s3:ObjectCreationOperation", "Bool", "true", put},
		{"s3:ObjectCreationOperation", "Bool", "true", form},
		{"s3:ObjectCreationOperation", "Bool", "true", bob("PUT", "/o", "", "X-Amz-Copy-Source", copied)},
		{"s3:ObjectCreationOperation", "Bool", "false", bob("POST", "/o?uploads", "")},
		{"s3:ObjectCreationOperation", "Bool", "false", bob("PUT", "/big"+upload, "x")},
		{"s3:ObjectCreationOperation", "Bool", "false", bob("PUT", "/big"+upload, "", "X-Amz-Copy-Source", copied)},
		{"s3:prefix", one, "a/", bob("GET", "?prefix=a%2F", "")},
		{"s3:prefix", one, "a/", bob("GET", "?versions&prefix=a%2F", "")},
		{"s3:prefix", one, "a/", bob("GET", "?uploads&prefix=a%2F", "")},
		{"s3:RequestObjectTag/Team", one, "red", with("X-Amz-Tagging", "Team=red")},
		{"s3:RequestObjectTag/Team", one, "red", bob("PUT", "/o?tagging", tagging)},
		{"s3:RequestObjectTagKeys", "ForAnyValue:StringEquals", "Team", with("X-Amz-Tagging", "Cost=1&Team=red")},
		{"s3:ResourceAccount", one, "alice", put},
		{"s3:signatureAge", "NumericLessThan", "60000", get},
		{"s3:signatureversion", one, "AWS4-HMAC-SHA256", get},
		{"s3:TlsVersion", "NumericGreaterThanEquals", "1.2", secure},
		{"s3:VersionId", one, "null", bob("GET", "/old?versionId=null", "")},
		{"s3:x-amz-acl", one, "private", with("X-Amz-Acl", "private")},
		{"s3:x-amz-acl", one, "private", bob("PUT", "?acl", "", "X-Amz-Acl", "private")},
		{"s3:x-amz-content-sha256", one, "UNSIGNED-PAYLOAD", presigned},
		{"s3:x-amz-content-sha256", one, "UNSIGNED-PAYLOAD", form},
		{"s3:x-amz-content-sha256", one, sigv4test.Hash([]byte("x")), put},
		{"s3:x-amz-copy-source", one, copied, bob("PUT", "/o", "", "X-Amz-Copy-Source", copied)},
		{"s3:x-amz-grant-full-control", one, "id=alice", with("X-Amz-Grant-Full-Control", "id=alice")},
		{"s3:x-amz-grant-read", one, "id=alice", with("X-Amz-Grant-Read", "id=alice")},
		{"s3:x-amz-grant-read-acp", one, "id=alice", with("X-Amz-Grant-Read-Acp", "id=alice")},
		{"s3:x-amz-grant-write", one, "id=alice", bob("PUT", "?acl", "", "X-Amz-Grant-Write", "id=alice")},
		{"s3:x-amz-grant-write-acp", one, "id=alice", with("X-Amz-Grant-Write-Acp", "id=alice")},
		{"s3:x-amz-metadata-directive", one, "REPLACE", bob("PUT", "/o", "", "X-Amz-Copy-Source", copied, "X-Amz-Metadata-Directive", "REPLACE")},
		{"s3:x-amz-server-side-encryption", one, "AES256", with("X-Amz-Server-Side-Encryption", "AES256")},
		{"s3:x-amz-server-side-encryption-aws-kms-key-id", one, "key-1", bob("PUT", "/o", "x", "X-Amz-Server-Side-Encryption", "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "key-1")},
		{"s3:x-amz-server-side-encryption-customer-algorithm", one, "AES256", with("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")},
		{"s3:x-amz-storage-class", one, "STANDARD", with("X-Amz-Storage-Class", "STANDARD")},
		{"s3:x-amz-website-redirect-location", one, "/there", with("X-Amz-Website-Redirect-Location", "/there")},
	}
}

// setPolicy puts a bucket policy as the owner.
func (x *apiTest) setPolicy(text string) {
	x.Helper()
	x.raw("PUT", "?policy", text).want(204, "")
}

// A Deny on a condition key of the request applies, and the key is not absent.
func TestRequestsCarryEveryConditionKey(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		blue := func(in *s3.PutObjectInput) { in.Tagging = aws.String("Team=blue") }
		x.put("k", "body", blue)
		x.put("old", "body")
		x.put("o", "body")
		_, err := x.c.PutBucketTagging(x.Context(), &s3.PutBucketTaggingInput{Bucket: &x.bucket,
			Tagging: &types.Tagging{TagSet: []types.Tag{{Key: aws.String("Cost"), Value: aws.String("low")}}}})
		assert.NoError(x, err)
		shown := map[string]bool{}
		for _, c := range keyCases(x) {
			name, _, family := strings.Cut(c.key, "/")
			if family {
				name += "/"
			}
			shown[name] = true
			x.setPolicy(policyOf(x.bucket, fmt.Sprintf(`"Action":"s3:*","Condition":{%q:{%q:%q}}`, c.operator, strings.ToUpper(name)+strings.TrimPrefix(c.key, name), c.value)))
			if r := c.send(); r.resp.StatusCode != 403 {
				x.Errorf("Deny if %s %s is %s: %d %s", c.operator, c.key, c.value, r.resp.StatusCode, r.body)
			}
			x.setPolicy(policyOf(x.bucket, fmt.Sprintf(`"Action":%s,"Condition":{"Null":{%q:"true"}}`, actionsWith(name), c.key)))
			if r := c.send(); r.resp.StatusCode == 403 {
				x.Errorf("%s is absent: %s", c.key, r.body)
			}
		}
		for _, k := range policy.Keys() {
			if !shown[k.Name] {
				x.Errorf("no request of this test carries %s", k.Name)
			}
		}
		x.raw("DELETE", "?policy", "").want(204, "")
	})
}

// actionsWith returns the actions whose requests can have the key, as a list for a
// policy.
func actionsWith(name string) string {
	for _, k := range policy.Keys() {
		if k.Name == name && k.Actions != nil {
			return `["s3:` + strings.Join(k.Actions, `","s3:`) + `"]`
		}
	}
	return `"s3:*"`
}

// The recipes of the user guide, "Enforce conditional writes on Amazon S3
// buckets" and "Enforce conditional deletes on Amazon S3 buckets".
func TestConditionalWritesAndDeletesCanBeEnforced(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.setPolicy(policyOf(x.bucket, `"Action":"s3:PutObject","Condition":{"Null":{"s3:if-none-match":"true"},"Bool":{"s3:ObjectCreationOperation":"true"}}`))
		bob := x.s.Client(x.T, s3test.Bob)
		put := func(key string, ifNoneMatch *string) error {
			_, err := bob.PutObject(x.Context(), &s3.PutObjectInput{Bucket: &x.bucket, Key: &key, Body: strings.NewReader("body"), IfNoneMatch: ifNoneMatch})
			return err
		}
		x.wantCode(put("k", nil), "AccessDenied")
		x.wantCode(put("k", aws.String("*")), "")
		x.wantCode(put("k", aws.String("*")), "PreconditionFailed")
		_, err := bob.CopyObject(x.Context(), &s3.CopyObjectInput{Bucket: &x.bucket, Key: aws.String("copy"), CopySource: aws.String(x.bucket + "/k")})
		x.wantCode(err, "AccessDenied")
		up, err := bob.CreateMultipartUpload(x.Context(), &s3.CreateMultipartUploadInput{Bucket: &x.bucket, Key: aws.String("big")})
		assert.NoError(x, err)
		part, err := bob.UploadPart(x.Context(), &s3.UploadPartInput{Bucket: &x.bucket, Key: aws.String("big"), UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")})
		assert.NoError(x, err)
		complete := func(ifNoneMatch *string) error {
			_, err := bob.CompleteMultipartUpload(x.Context(), &s3.CompleteMultipartUploadInput{Bucket: &x.bucket, Key: aws.String("big"), UploadId: up.UploadId, IfNoneMatch: ifNoneMatch,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}}}})
			return err
		}
		x.wantCode(complete(nil), "AccessDenied")
		x.wantCode(complete(aws.String("*")), "")

		x.setPolicy(policyOf(x.bucket, `"Action":"s3:DeleteObject","Condition":{"Null":{"s3:if-match":"true"}}`))
		x.as(s3test.Bob, "DELETE", "/"+x.bucket+"/big", "").want(403, "AccessDenied")
		keys := func(objects string) string { return "<Delete>" + objects + "</Delete>" }
		md5 := func(body string) []string { return []string{"Content-MD5", contentMD5(body)} }
		body := keys("<Object><Key>big</Key></Object><Object><Key>k</Key><ETag>*</ETag></Object>")
		// The header is not the ETag of the keys. It would have no effect and is refused.
		x.as(s3test.Bob, "POST", "/"+x.bucket+"?delete", body, append(md5(body), "If-Match", "*")...).want(501, "NotImplemented")
		r := x.as(s3test.Bob, "POST", "/"+x.bucket+"?delete", body, md5(body)...).want(200, "")
		r.says("<Deleted><Key>k</Key></Deleted>").says("<Error><Key>big</Key><Code>AccessDenied</Code>")
		x.as(s3test.Bob, "DELETE", "/"+x.bucket+"/big", "", "If-Match", "*").want(204, "")
	})
}

func contentMD5(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A condition on a key that no request has is refused by name. If an earlier version
// stored such a condition, it is decided against the caller.
func TestConditionKeysThatNoRequestCarries(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		get := func() *reply { return x.as(s3test.Bob, "GET", "/"+x.bucket+"/k", "") }
		for _, c := range []struct{ key, denial string }{
			{"aws:SecureTransprot", `"Action":"s3:*","Condition":{"Bool":{"aws:SecureTransprot":"false"}}`},
			{"aws:SourceVpce", `"Action":"s3:*","Condition":{"StringNotEquals":{"aws:SourceVpce":"vpce-1"}}`},
			{"s3:locationconstraint", `"Action":"s3:*","Condition":{"StringLike":{"s3:locationconstraint":"*"}}`},
			{"s3:x-amz-bucket-namespace", `"Action":"s3:*","Condition":{"StringEquals":{"s3:x-amz-bucket-namespace":"global"}}`},
			{"s3:prefix", `"Action":"s3:GetObject","Condition":{"StringEquals":{"s3:prefix":"x"}}`},
			{"aws:SourceIp", `"Action":"s3:*","Condition":{"NumericEquals":{"aws:SourceIp":"1"}}`},
			{"aws:PrincipalTag/a", `"Action":"s3:*","Condition":{"StringEquals":{"aws:Referer":"${aws:PrincipalTag/a}"}}`},
		} {
			x.setPolicy(policyOf(x.bucket))
			get().want(200, "")
			text := policyOf(x.bucket, c.denial)
			if r := x.raw("PUT", "?policy", text).want(400, "MalformedPolicy"); !strings.Contains(strings.ToLower(r.body), strings.ToLower(c.key)) {
				x.Errorf("%s is not named: %s", c.key, r.body)
			}
			b, err := x.s.Store.Bucket(x.Context(), x.bucket)
			assert.NoError(x, err)
			_, err = x.s.Store.UpdateBucket(x.Context(), b, func(c *meta.BucketConfig) error {
				c.Documents = map[string][]byte{"policy": []byte(text)}
				return nil
			})
			assert.NoError(x, err)
			get().want(403, "AccessDenied")
			x.raw("GET", "?policy", "").want(200, "")
			x.raw("DELETE", "?policy", "").want(204, "")
		}
	})
}

// A Deny that names the source of a copy applies to every spelling in the request.
func TestCopySourceIsComparedInEverySpelling(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("private/x y", "body")
		x.put("public/x", "body")
		copyOf := func(source string) *reply {
			return x.as(s3test.Bob, "PUT", "/"+x.bucket+"/copy", "", "X-Amz-Copy-Source", source)
		}
		for _, denial := range []string{
			`{"StringLike":{"s3:x-amz-copy-source":"` + x.bucket + `/private/*"}}`,
			`{"StringLike":{"s3:x-amz-copy-source":"/` + x.bucket + `/private/*"}}`,
			`{"StringEquals":{"s3:x-amz-copy-source":"` + x.bucket + `/private/x y"}}`,
			`{"StringNotLike":{"s3:x-amz-copy-source":"` + x.bucket + `/public/*"}}`,
			`{"StringNotLike":{"s3:x-amz-copy-source":"/` + x.bucket + `/public/*"}}`,
		} {
			x.setPolicy(policyOf(x.bucket, `"Action":"s3:PutObject","Condition":`+denial))
			for _, source := range []string{"private/x%20y", "private/x+y", "private%2Fx%20y", "%70rivate/x%20y", "private/x%20y?versionId=null"} {
				for _, slash := range []string{"", "/", "%2F"} {
					if r := copyOf(slash + x.bucket + "/" + source); r.resp.StatusCode != 403 {
						x.Errorf("%s: a copy of %s%s answers %d %s", denial, slash, source, r.resp.StatusCode, r.body)
					}
				}
			}
			copyOf("/"+x.bucket+"/public%2Fx").want(200, "")
		}
	})
}
