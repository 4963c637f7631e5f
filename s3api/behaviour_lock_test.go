package s3api_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

const bypass = "X-Amz-Bypass-Governance-Retention"

// locked enables object lock for the bucket of the test. At the end of the test the
// store's clock is advanced, so that nothing stays locked.
func (x *apiTest) locked() {
	x.Helper()
	x.bucket = s3test.BucketName(x.T)
	_, err := x.c.CreateBucket(x.Context(), &s3.CreateBucketInput{Bucket: &x.bucket, ObjectLockEnabledForBucket: ptr(true)})
	assert.NoError(x, err)
	t, s, bucket := x.T, x.s, x.bucket
	t.Cleanup(func() {
		s.Shift(t, 200*365*24*time.Hour)
		s.Remove(t, bucket)
	})
}

func retention(mode string, until time.Time) string {
	return fmt.Sprintf("<Retention><Mode>%s</Mode><RetainUntilDate>%s</RetainUntilDate></Retention>", mode, until.UTC().Format(time.RFC3339))
}

func locks(mode string, until time.Time) []string {
	return []string{"X-Amz-Object-Lock-Mode", mode, "X-Amz-Object-Lock-Retain-Until-Date", until.UTC().Format(time.RFC3339)}
}

// md5Of returns the Content-MD5 of a body.
func md5Of(body string) string {
	sum := md5.Sum([]byte(body))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// putLocked writes an object with headers of object lock, and the digest of the body
// that they require.
func (x *apiTest) putLocked(key, body string, headers ...string) *reply {
	x.Helper()
	return x.raw("PUT", "/"+key, body, append([]string{"Content-Md5", md5Of(body)}, headers...)...).want(200, "")
}

// deletesNothing tries to delete a version with every operation that can.
func (x *apiTest) deletesNothing(key, version string, headers ...string) {
	x.Helper()
	x.raw("DELETE", "/"+key+"?versionId="+version, "", headers...).want(403, "AccessDenied")
	in := &s3.DeleteObjectsInput{Bucket: &x.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key, VersionId: &version}}}}
	if len(headers) > 0 {
		in.BypassGovernanceRetention = ptr(true)
	}
	out, err := x.c.DeleteObjects(x.Context(), in)
	assert.NoError(x, err)
	if len(out.Deleted) != 0 || len(out.Errors) != 1 || *out.Errors[0].Code != "AccessDenied" {
		x.Errorf("DeleteObjects: deleted %v, errors %v", out.Deleted, out.Errors)
	}
	assert.Equal(x, "the locked version", x.get(key, version), "body")
}

func TestLockedVersionsStayWhateverIsTried(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		until := time.Now().Add(time.Hour)
		for key, headers := range map[string][]string{"governance": locks("GOVERNANCE", until), "compliance": locks("COMPLIANCE", until), "hold": {"X-Amz-Object-Lock-Legal-Hold", "ON"}} {
			version := x.putLocked(key, "body", headers...).header("X-Amz-Version-Id")
			x.raw("HEAD", "/"+key, "").has(headers[0], headers[1])
			x.deletesNothing(key, version)
			if key != "governance" {
				x.deletesNothing(key, version, bypass, "true")
			}
			// After an overwrite and a deletion the version still exists.
			x.put(key, "newer")
			x.deleteKey(key)
			x.raw("PUT", "/"+key, "", "X-Amz-Copy-Source", "/"+x.bucket+"/"+key+"?versionId="+version, "X-Amz-Metadata-Directive", "REPLACE").want(200, "")
			x.deletesNothing(key, version)
			x.raw("PUT", "/"+key+"?renameObject", "", "X-Amz-Rename-Source", "/"+x.bucket+"/"+key).want(400, "InvalidRequest")
		}
		x.raw("PUT", "?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>").want(409, "InvalidBucketState")
		x.raw("DELETE", "", "").want(409, "BucketNotEmpty")
		for _, key := range []string{"governance", "compliance", "hold"} {
			for _, v := range x.list(map[string][]string{"versions": {""}, "prefix": {key}}).Version {
				if !v.IsLatest {
					x.raw("DELETE", "/"+key+"?versionId="+v.VersionId, "")
				}
			}
		}
		x.raw("DELETE", "", "").want(409, "BucketNotEmpty")
	})
}

func TestRetentionIsNeverShortened(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		until := time.Now().Add(2 * time.Hour).Truncate(time.Second)
		for _, mode := range []string{"GOVERNANCE", "COMPLIANCE"} {
			x.putLocked("k", "body", locks(mode, until)...)
			x.raw("PUT", "/k?retention", retention(mode, until.Add(time.Hour))).want(200, "")
			for _, worse := range []string{retention(mode, until), retention("GOVERNANCE", until), "<Retention/>"} {
				x.raw("PUT", "/k?retention", worse).want(403, "AccessDenied")
			}
			if mode == "COMPLIANCE" {
				for _, worse := range []string{retention("COMPLIANCE", until), retention("GOVERNANCE", until.Add(9*time.Hour)), "<Retention/>"} {
					x.raw("PUT", "/k?retention", worse, bypass, "true").want(403, "AccessDenied")
				}
				continue
			}
			x.raw("PUT", "/k?retention", retention(mode, until), bypass, "true").want(200, "")
			x.raw("PUT", "/k?retention", retention(mode, until.Add(-time.Hour)), bypass, "false").want(403, "AccessDenied")
			x.raw("PUT", "/k?retention", "<Retention/>", bypass, "true").want(200, "")
			x.raw("GET", "/k?retention", "").want(404, "NoSuchObjectLockConfiguration")
		}
		for _, bad := range []string{retention("GOVERNANCE", time.Now().Add(-time.Hour)), retention("OTHER", until), "<Retention><Mode>GOVERNANCE</Mode></Retention>", "<Other/>"} {
			if r := x.raw("PUT", "/k?retention", bad); r.resp.StatusCode != 400 {
				x.Errorf("%s: %d", bad, r.resp.StatusCode)
			}
		}
	})
}

func TestGovernanceIsBypassedOnlyByThoseWhoMay(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		until := time.Now().Add(time.Hour)
		put := func() string {
			return x.putLocked("k", "body", locks("GOVERNANCE", until)...).header("X-Amz-Version-Id")
		}
		version := put()
		target := "/" + x.bucket + "/k?versionId=" + version
		allow := `{"Effect":"Allow","Principal":"*","Action":["s3:DeleteObject","s3:DeleteObjectVersion","s3:PutObjectRetention"],"Resource":"arn:aws:s3:::` + x.bucket + `/*"}`
		x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":[`+allow+`]}`).want(204, "")
		x.as(s3test.Bob, "DELETE", target, "", bypass, "true").want(403, "AccessDenied")
		x.as(s3test.Bob, "PUT", "/"+x.bucket+"/k?retention&versionId="+version, retention("GOVERNANCE", until.Add(-time.Minute)), bypass, "true").want(403, "AccessDenied")
		bob := x.s.Client(x.T, s3test.Bob)
		in := &s3.DeleteObjectsInput{Bucket: &x.bucket, BypassGovernanceRetention: ptr(true),
			Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: ptr("k"), VersionId: &version}}}}
		out, err := bob.DeleteObjects(x.Context(), in)
		assert.NoError(x, err)
		if len(out.Errors) != 1 {
			x.Errorf("DeleteObjects by one who may not: %+v", out)
		}
		// If it is denied for the object, it is denied in DeleteObjects too.
		deny := `{"Effect":"Deny","Principal":"*","Action":"s3:BypassGovernanceRetention","Resource":"arn:aws:s3:::` + x.bucket + `/k"}`
		x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":[`+deny+`]}`).want(204, "")
		x.deletesNothing("k", version, bypass, "true")
		x.raw("DELETE", "?policy", "").want(204, "")
		x.raw("DELETE", "/k?versionId="+version, "", bypass, "true").want(204, "")
		version = put()
		in.Delete.Objects[0].VersionId = &version
		if out, err = x.c.DeleteObjects(x.Context(), in); err != nil || len(out.Deleted) != 1 {
			x.Errorf("DeleteObjects by one who may: %+v %v", out, err)
		}
	})
}

func TestLegalHoldsAndExpiry(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		hold := func(status string) {
			x.Helper()
			x.raw("PUT", "/k?legal-hold", "<LegalHold><Status>"+status+"</Status></LegalHold>").want(200, "")
		}
		version := *x.put("k", "body").VersionId
		x.raw("GET", "/k?legal-hold", "").want(404, "NoSuchObjectLockConfiguration") // never set
		x.raw("HEAD", "/k", "").has("X-Amz-Object-Lock-Legal-Hold", "")
		hold("ON")
		x.raw("GET", "/k?legal-hold", "").want(200, "").says("<Status>ON</Status>")
		x.deletesNothing("k", version, bypass, "true")
		hold("OFF")
		x.raw("GET", "/k?legal-hold", "").want(200, "").says("<Status>OFF</Status>")
		x.raw("HEAD", "/k", "").has("X-Amz-Object-Lock-Legal-Hold", "OFF")
		x.raw("PUT", "/k?legal-hold", "<LegalHold><Status>MAYBE</Status></LegalHold>").want(400, "MalformedXML")
		x.raw("PUT", "/k?retention", retention("COMPLIANCE", time.Now().Add(time.Hour))).want(200, "")
		x.deletesNothing("k", version)
		x.s.Shift(x.T, 2*time.Hour) // it ends by itself
		x.raw("DELETE", "/k?versionId="+version, "").want(204, "")
	})
}

func TestDefaultRetention(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		configuration := "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>%s</DefaultRetention></Rule></ObjectLockConfiguration>"
		before := *x.put("k", "body").VersionId
		early := x.upload("parts")
		x.raw("PUT", "?object-lock", fmt.Sprintf(configuration, "<Mode>COMPLIANCE</Mode><Days>1</Days>")).want(200, "")
		version := x.putLocked("k", "body").header("X-Amz-Version-Id")
		x.deletesNothing("k", version, bypass, "true")
		x.raw("DELETE", "/k?versionId="+before, "").want(204, "")
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(200, "")
		up := x.upload("parts")
		for _, id := range []string{early, up} {
			etag := x.putLocked("parts?partNumber=1&uploadId="+id, "body").header("Etag")
			x.raw("POST", "/parts?uploadId="+id, document(1, etag)).want(200, "")
			x.raw("HEAD", "/parts", "").want(200, "").has("X-Amz-Object-Lock-Mode", "COMPLIANCE")
		}
		x.raw("HEAD", "/copy", "").want(200, "").has("X-Amz-Object-Lock-Mode", "COMPLIANCE")
		x.putLocked("own", "body", locks("GOVERNANCE", time.Now().Add(time.Minute))...)
		x.raw("HEAD", "/own", "").want(200, "").has("X-Amz-Object-Lock-Mode", "GOVERNANCE")
		for _, bad := range []string{"<Mode>COMPLIANCE</Mode>", "<Mode>COMPLIANCE</Mode><Days>1</Days><Years>1</Years>", "<Mode>OTHER</Mode><Days>1</Days>", "<Days>1</Days>",
			"<Mode>COMPLIANCE</Mode><Days>x</Days>"} {
			x.raw("PUT", "?object-lock", fmt.Sprintf(configuration, bad)).want(400, "MalformedXML")
		}
		for _, bad := range []string{"<Mode>COMPLIANCE</Mode><Days>0</Days>", "<Mode>COMPLIANCE</Mode><Days>-1</Days>", "<Mode>COMPLIANCE</Mode><Years>101</Years>"} {
			x.raw("PUT", "?object-lock", fmt.Sprintf(configuration, bad)).want(400, "InvalidRetentionPeriod")
		}
	})
}

func TestLocksNeedABucketWithObjectLock(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		until := time.Now().Add(time.Hour)
		x.put("k", "body")
		x.raw("PUT", "/k", "new", locks("COMPLIANCE", until)...).want(400, "InvalidRequest")
		x.raw("PUT", "/k", "new", "X-Amz-Object-Lock-Legal-Hold", "ON").want(400, "InvalidRequest")
		x.raw("PUT", "/k", "new", locks("COMPLIANCE", until)[:2]...).want(400, "InvalidArgument")
		x.raw("PUT", "/k", "new", locks("OTHER", until)...).want(400, "InvalidArgument")
		x.raw("PUT", "/k", "new", locks("COMPLIANCE", time.Now().Add(-time.Hour))...).want(400, "InvalidArgument")
		x.raw("PUT", "/k?retention", retention("COMPLIANCE", until)).want(400, "InvalidRequest")
		x.raw("GET", "/k?retention", "").want(400, "InvalidRequest")
		x.raw("GET", "?object-lock", "").want(404, "ObjectLockConfigurationNotFoundError")
		x.raw("PUT", "?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>").want(409, "InvalidBucketState")
		assert.Equal(x, "object", x.get("k"), "body")
	})
}

// AWS: "any request to upload an object with a retention period" needs a digest
// of the body, parts included.
func TestBodiesUnderObjectLockNeedADigest(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const message = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put %s requests with Object Lock parameters"
		x.locked()
		until := time.Now().Add(time.Hour)
		sum := []string{sumHeader("SHA256"), sumOf("SHA256", "body")}
		refused := func(what, target, body string, headers ...string) {
			x.Helper()
			x.raw("PUT", target, body, headers...).want(400, "InvalidRequest").says(fmt.Sprintf(message, what))
			x.raw("PUT", target, body, append(headers, "Content-Md5", md5Of("other"))...).want(400, "BadDigest")
		}
		x.raw("PUT", "/free", "body").want(200, "")
		for _, headers := range [][]string{locks("GOVERNANCE", until), locks("COMPLIANCE", until), {"X-Amz-Object-Lock-Legal-Hold", "ON"}, {"X-Amz-Object-Lock-Legal-Hold", "OFF"}} {
			refused("Object", "/k", "body", headers...)
			refused("Object", "/k", "", headers...)
			x.raw("GET", "/k", "").want(404, "NoSuchKey")
			x.raw("PUT", "/k", "body", append(headers, sum...)...).want(200, "")
			x.putLocked("k", "body", headers...)
			x.raw("PUT", "/copy", "", append(headers, "X-Amz-Copy-Source", "/"+x.bucket+"/k")...).want(200, "")
			x.raw("DELETE", "/k", "").want(204, "")

			r := x.raw("POST", "/parts?uploads", "", headers...).want(200, "")
			_, up, _ := strings.Cut(r.body, "<UploadId>")
			up, _, _ = strings.Cut(up, "<")
			refused("Part", "/parts?partNumber=1&uploadId="+up, "body")
			x.raw("PUT", "/parts?partNumber=1&uploadId="+up, "", "X-Amz-Copy-Source", "/"+x.bucket+"/free").want(200, "")
			etag := x.raw("PUT", "/parts?partNumber=1&uploadId="+up, "body", sum...).want(200, "").header("Etag")
			x.raw("POST", "/parts?uploadId="+up, document(1, etag)).want(200, "")
		}
		early := x.upload("parts")
		x.raw("PUT", "?object-lock", "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>").want(200, "")
		refused("Object", "/k", "body")
		refused("Part", "/parts?partNumber=1&uploadId="+early, "body")
		x.putLocked("k", "body")
		for _, payload := range []string{sigv4test.ChunkedTrailer, sigv4test.UnsignedTrailer} {
			x.chunked("/k", payload, "body", [2]string{"x-amz-checksum-sha256", sum[1]}).want(200, "")
		}
		x.chunked("/k", sigv4test.Chunked, "body").want(400, "InvalidRequest")
		x.presigned("PUT", "/k?"+sdkQuery, "body").want(400, "InvalidRequest") // it is not verified
		x.presigned("PUT", "/k?"+sdkQuery, "body", sum...).want(200, "")
	})
}
