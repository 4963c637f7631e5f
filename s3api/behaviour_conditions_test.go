package s3api_test

import (
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
)

const wrongETag = `"00000000000000000000000000000000"`

func httpDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") }

func TestConditionsOfReads(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("k", "body").ETag
		modified := x.raw("HEAD", "/k", "").header("Last-Modified")
		past, future := httpDate(time.Now().Add(-time.Hour)), httpDate(time.Now().Add(time.Hour))
		for _, c := range []struct {
			headers []string
			status  int
		}{
			{[]string{"If-Match", etag}, 200},
			{[]string{"If-Match", strings.Trim(etag, `"`)}, 200},
			{[]string{"If-Match", "*"}, 200},
			{[]string{"If-Match", wrongETag + ", " + etag}, 200},
			{[]string{"If-Match", wrongETag}, 412},
			{[]string{"If-None-Match", wrongETag}, 200},
			{[]string{"If-None-Match", etag}, 304},
			{[]string{"If-None-Match", "*"}, 304},
			{[]string{"If-None-Match", "W/" + etag}, 304},
			{[]string{"If-None-Match", wrongETag + "," + etag}, 304},
			{[]string{"If-Modified-Since", past}, 200},
			{[]string{"If-Modified-Since", modified}, 304},
			{[]string{"If-Modified-Since", "yesterday"}, 200},
			{[]string{"If-Unmodified-Since", modified}, 200},
			{[]string{"If-Unmodified-Since", future}, 200},
			{[]string{"If-Unmodified-Since", past}, 412},
			// The ETag wins over the date. (RFC 9110, section 13.2.2.)
			{[]string{"If-Match", etag, "If-Unmodified-Since", past}, 200},
			{[]string{"If-None-Match", etag, "If-Modified-Since", past}, 304},
			{[]string{"If-None-Match", wrongETag, "If-Modified-Since", modified}, 200},
			{[]string{"If-Match", wrongETag, "If-None-Match", etag}, 412},
			{[]string{"If-Match", etag, "Range", "bytes=1-2"}, 206},
			{[]string{"If-None-Match", etag, "Range", "bytes=9-"}, 304},
		} {
			for _, method := range []string{"GET", "HEAD"} {
				r := x.raw(method, "/k", "", c.headers...)
				if r.resp.StatusCode != c.status {
					x.Errorf("%s %v: %d, want %d", method, c.headers, r.resp.StatusCode, c.status)
				}
				switch {
				case c.status == 304:
					r.want(304, "").has("Etag", etag, "Last-Modified", modified, "Content-Type", "")
					if r.body != "" {
						x.Errorf("a 304 has a body: %s", r.body)
					}
				case c.status == 412 && method == "GET":
					r.want(412, "PreconditionFailed")
				}
			}
		}
		x.raw("GET", "/none", "", "If-Match", "*").want(404, "NoSuchKey")
		x.raw("GET", "/none", "", "If-None-Match", "*").want(404, "NoSuchKey")
	})
}

func TestConditionsOfPuts(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, versioned := range []bool{false, true} {
			if versioned {
				x.versioning(types.BucketVersioningStatusEnabled)
			}
			key := fmt.Sprint("/k", versioned)
			put := func(status int, code string, headers ...string) *reply {
				x.Helper()
				return x.raw("PUT", key, "body", headers...).want(status, code)
			}
			put(404, "NoSuchKey", "If-Match", wrongETag)
			put(404, "NoSuchKey", "If-Match", "*")
			etag := put(200, "", "If-None-Match", "*").header("Etag")
			put(412, "PreconditionFailed", "If-None-Match", "*")
			put(412, "PreconditionFailed", "If-Match", wrongETag)
			put(200, "", "If-Match", etag)
			put(200, "", "If-Match", "*")
			put(501, "NotImplemented", "If-Modified-Since", httpDate(time.Now()))
			x.deleteKey(key[1:])
			put(404, "NoSuchKey", "If-Match", etag) // a delete marker is no object
			put(200, "", "If-None-Match", "*")
		}
	})
}

func TestConditionsOfCompletes(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		complete := func(up string, p types.CompletedPart, status int, code string, headers ...string) {
			x.Helper()
			x.raw("POST", "/k?uploadId="+up, `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>`+*p.ETag+`</ETag></Part></CompleteMultipartUpload>`, headers...).want(status, code)
		}
		up := x.upload("k")
		p := x.part("k", up, 1, "one")
		complete(up, p, 404, "NoSuchKey", "If-Match", wrongETag)
		complete(up, p, 200, "", "If-None-Match", "*")
		etag := x.raw("HEAD", "/k", "").header("Etag")
		up = x.upload("k")
		p = x.part("k", up, 1, "two")
		complete(up, p, 412, "PreconditionFailed", "If-None-Match", "*")
		complete(up, p, 412, "PreconditionFailed", "If-Match", wrongETag)
		assert.Equal(x, "after refusals", x.get("k"), "one")
		complete(up, p, 200, "", "If-Match", etag) // the upload is still there
		assert.Equal(x, "object", x.get("k"), "two")
	})
}

func TestConditionsOfCopies(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("src", "body").ETag
		past, future := httpDate(time.Now().Add(-time.Hour)), httpDate(time.Now().Add(time.Hour))
		up := x.upload("parts")
		for _, c := range []struct {
			name, value string
			ok          bool
		}{
			{"If-Match", etag, true}, {"If-Match", wrongETag, false},
			{"If-None-Match", wrongETag, true}, {"If-None-Match", etag, false},
			{"If-Modified-Since", past, true}, {"If-Modified-Since", future, false},
			{"If-Unmodified-Since", future, true}, {"If-Unmodified-Since", past, false},
		} {
			for _, target := range []string{"/dst", "/parts?partNumber=1&uploadId=" + up} {
				r := x.raw("PUT", target, "", "X-Amz-Copy-Source", "/"+x.bucket+"/src", "X-Amz-Copy-Source-"+c.name, c.value)
				if c.ok {
					r.want(200, "")
				} else {
					r.want(412, "PreconditionFailed")
				}
			}
		}
		source := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/src"}
		x.raw("PUT", "/dst", "", append(source, "If-None-Match", "*")...).want(412, "PreconditionFailed")
		x.raw("PUT", "/dst", "", append(source, "If-Match", wrongETag)...).want(412, "PreconditionFailed")
		x.raw("PUT", "/dst", "", append(source, "If-Match", etag)...).want(200, "")
		x.raw("PUT", "/new", "", append(source, "If-Match", "*")...).want(404, "NoSuchKey")
		x.raw("PUT", "/new", "", append(source, "If-None-Match", "*")...).want(200, "")
	})
}

func TestConditionsOfDeletes(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("k", "body").ETag
		modified := x.raw("HEAD", "/k", "").header("Last-Modified")
		for _, bad := range [][]string{{"If-Match", wrongETag}, {"X-Amz-If-Match-Size", "5"}, {"X-Amz-If-Match-Last-Modified-Time", httpDate(time.Now().Add(-time.Hour))},
			{"If-Match", etag, "X-Amz-If-Match-Size", "5"}} {
			x.raw("DELETE", "/k", "", bad...).want(412, "PreconditionFailed")
		}
		for _, bad := range [][]string{{"X-Amz-If-Match-Size", "-1"}, {"X-Amz-If-Match-Size", "x"}, {"X-Amz-If-Match-Last-Modified-Time", "today"}} {
			x.raw("DELETE", "/k", "", bad...).want(400, "InvalidArgument")
		}
		assert.Equal(x, "object", x.get("k"), "body")
		x.raw("DELETE", "/k", "", "If-Match", etag, "X-Amz-If-Match-Size", "4", "X-Amz-If-Match-Last-Modified-Time", modified).want(204, "")
		x.raw("GET", "/k", "").want(404, "NoSuchKey")

		x.versioning(types.BucketVersioningStatusEnabled)
		version := *x.put("k", "body").VersionId
		x.raw("DELETE", "/k", "", "If-Match", wrongETag).want(412, "PreconditionFailed")
		x.raw("DELETE", "/k?versionId="+version, "", "If-Match", wrongETag).want(412, "PreconditionFailed")
		x.raw("DELETE", "/k?versionId="+version, "", "If-Match", etag).want(204, "")
		x.raw("GET", "/k?versionId="+version, "").want(404, "NoSuchVersion")
	})
}

// A key without a current object matches no ETag; a delete marker is not an object.
// The deletion fails, and adds no delete marker.
func TestConditionalDeletesOfAbsentObjectsFail(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		batch := func(object, code string) {
			doc := "<Delete><Object><Key>" + object + "</Object></Delete>"
			r := x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(200, "")
			if code != "" && (!strings.Contains(r.body, "<Code>"+code+"</Code>") || strings.Contains(r.body, "<Deleted>")) ||
				code == "" && !strings.Contains(r.body, "<Deleted>") {
				x.Errorf("%s: %s, want %q", object, r.body, code)
			}
		}
		long := time.Now().Add(-time.Hour)
		absent := func(key string, status int, code string, etags ...string) {
			x.Helper()
			for _, etag := range append(etags, "*", wrongETag, "", `W/"x", *`) {
				if etag == "" {
					continue
				}
				x.raw("DELETE", "/"+key, "", "If-Match", etag).want(status, code)
				x.raw("DELETE", "/"+key, "", "If-Match", etag, "X-Amz-If-Match-Size", "4").want(status, code)
				batch(key+"</Key><ETag>"+html.EscapeString(etag)+"</ETag>", code)
			}
		}
		for i, status := range []types.BucketVersioningStatus{"", types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended} {
			if status != "" {
				x.versioning(status)
			}
			never := fmt.Sprint("never", i)
			absent(never, 404, "NoSuchKey")
			x.raw("DELETE", "/"+never, "", "X-Amz-If-Match-Size", "4").want(204, "")
			x.raw("DELETE", "/"+never, "", "X-Amz-If-Match-Last-Modified-Time", httpDate(long)).want(204, "")
			batch(never+"</Key><Size>4</Size>", "")
			batch(never+"</Key><LastModifiedTime>"+httpDate(long)+"</LastModifiedTime>", "")
			if got := x.list(url.Values{"versions": {""}, "prefix": {never}}).items(); len(got) != 0 {
				x.Errorf("versioning %q: %q were made", status, got)
			}
			gone := fmt.Sprint("gone", i)
			etag := *x.put(gone, "body").ETag
			x.raw("DELETE", "/"+gone, "", "If-Match", etag).want(204, "")
			before := x.list(url.Values{"versions": {""}, "prefix": {gone}}).items()
			absent(gone, 404, "NoSuchKey", etag)
			if status != "" {
				x.raw("DELETE", "/"+gone, "", "X-Amz-If-Match-Size", "4").want(412, "PreconditionFailed")
			}
			if got := x.list(url.Values{"versions": {""}, "prefix": {gone}}).items(); !slices.Equal(got, before) {
				x.Errorf("versioning %q: %q after %q", status, got, before)
			}
		}
	})
}

func TestConditionsOfEachKeyInDeleteObjects(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		etag := *x.put("a", "body").ETag
		var objects []types.ObjectIdentifier
		for i, o := range []types.ObjectIdentifier{{ETag: &etag}, {ETag: aws.String(wrongETag)}, {Size: aws.Int64(4)}, {Size: aws.Int64(3)},
			{LastModifiedTime: aws.Time(time.Now().Add(-time.Hour))}} {
			o.Key = aws.String(fmt.Sprint("k", i))
			x.put(*o.Key, "body")
			objects = append(objects, o)
		}
		out, err := x.c.DeleteObjects(x.Context(), &s3.DeleteObjectsInput{Bucket: &x.bucket, Delete: &types.Delete{Objects: objects}})
		assert.NoError(x, err)
		if len(out.Deleted) != 2 || len(out.Errors) != 3 {
			x.Errorf("deleted %v, errors %v", out.Deleted, out.Errors)
		}
		for _, e := range out.Errors {
			if *e.Code != "PreconditionFailed" {
				x.Errorf("%s: %s", *e.Key, *e.Code)
			}
		}
		for i, left := range []bool{false, true, false, true, true} {
			if status := x.raw("HEAD", fmt.Sprint("/k", i), "").resp.StatusCode; (status == 200) != left {
				x.Errorf("k%d: %d", i, status)
			}
		}
	})
}

func TestRacingConditionalWritersHaveOneWinner(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const n = 8
		var bodies atomic.Int64 // no two alike: their ETags differ
		put := func(in *s3.PutObjectInput) error {
			body := strings.Repeat(fmt.Sprintf("%8d", bodies.Add(1)), 1+int(bodies.Load()%3)*5_000)
			in.Bucket, in.Key, in.Body = &x.bucket, aws.String("k"), strings.NewReader(body)
			_, err := x.c.PutObject(x.Context(), in)
			return err
		}
		for range 3 {
			codes := x.race(n, func(int) error { return put(&s3.PutObjectInput{IfNoneMatch: aws.String("*")}) })
			if codes[""] != 1 || codes["PreconditionFailed"]+codes["ConditionalRequestConflict"] != n-1 {
				x.Errorf("If-None-Match: %v", codes)
			}
			etag := x.raw("HEAD", "/k", "").header("Etag")
			codes = x.race(n, func(int) error { return put(&s3.PutObjectInput{IfMatch: &etag}) })
			if codes[""] != 1 || codes["PreconditionFailed"]+codes["ConditionalRequestConflict"] != n-1 {
				x.Errorf("If-Match: %v", codes)
			}
			etag = x.raw("HEAD", "/k", "").header("Etag")
			var puts, deletes atomic.Int64
			x.race(n, func(i int) error {
				if i%2 == 0 {
					err := put(&s3.PutObjectInput{IfMatch: &etag})
					if err == nil {
						puts.Add(1)
					}
					return err
				}
				_, err := x.c.DeleteObject(x.Context(), &s3.DeleteObjectInput{Bucket: &x.bucket, Key: aws.String("k"), IfMatch: &etag})
				if err == nil {
					deletes.Add(1)
				}
				return err
			})
			if puts.Load()+deletes.Load() != 1 {
				x.Errorf("%d PUTs and %d DELETEs of one ETag have won", puts.Load(), deletes.Load())
			}
			x.deleteKey("k")
		}
	})
}

// Conditions that S3 does not have on a DELETE are refused, not ignored.
func TestDeleteRefusesConditionsItDoesNotHave(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		for _, header := range []string{"If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			x.raw("DELETE", "/k", "", header, "Sat, 01 Jan 2000 00:00:00 GMT").want(501, "NotImplemented").says(header)
		}
		assert.Equal(x, "object", x.get("k"), "body")
	})
}
