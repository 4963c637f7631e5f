package s3api_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
)

func (x *apiTest) deleteKey(key string, version ...string) *s3.DeleteObjectOutput {
	x.Helper()
	in := &s3.DeleteObjectInput{Bucket: &x.bucket, Key: &key}
	if len(version) > 0 {
		in.VersionId = &version[0]
	}
	out, err := x.c.DeleteObject(x.Context(), in)
	assert.NoError(x, err)
	return out
}

// versionsOf returns the versions of a key as listed, newest first.
func (x *apiTest) versionsOf(key string) []listedKey {
	x.Helper()
	l := x.list(url.Values{"versions": {""}, "prefix": {key}})
	if len(l.DeleteMarker) > 0 && len(l.Version) > 0 {
		x.Fatal("versions and delete markers are listed apart: ask for one kind")
	}
	return slices.Concat(l.Version, l.DeleteMarker)
}

func TestVersionsAreKept(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		if x.put("k", "null").VersionId != nil {
			x.Error("a bucket that never was versioned gives version ids")
		}
		x.versioning(types.BucketVersioningStatusEnabled)
		one, two := *x.put("k", "one").VersionId, *x.put("k", "two").VersionId
		if one == two || one == "null" {
			x.Errorf("ids %s, %s", one, two)
		}
		for version, body := range map[string]string{"null": "null", one: "one", two: "two"} {
			assert.Equal(x, version, x.get("k", version), body)
			x.raw("HEAD", "/k?versionId="+version, "").want(200, "").has("X-Amz-Version-Id", version, "Content-Length", fmt.Sprint(len(body)))
		}
		x.raw("GET", "/k", "").want(200, "").has("X-Amz-Version-Id", two)
		listed := x.versionsOf("k")
		if len(listed) != 3 || listed[0].VersionId != two || !listed[0].IsLatest || listed[1].VersionId != one || listed[1].IsLatest || listed[2].VersionId != "null" {
			x.Errorf("listed %+v", listed)
		}
		x.deleteKey("k", one)
		x.raw("GET", "/k?versionId="+one, "").want(404, "NoSuchVersion")
		assert.Equal(x, "current", x.get("k"), "two")
		x.deleteKey("k", two)
		assert.Equal(x, "what comes to light", x.get("k"), "null")
		x.deleteKey("k", "null")
		x.raw("GET", "/k", "").want(404, "NoSuchKey").has("X-Amz-Delete-Marker", "false")
	})
}

func TestSuspendedVersioningReplacesTheNullVersionAlone(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		kept := *x.put("k", "kept").VersionId
		before := x.blobs()
		x.versioning(types.BucketVersioningStatusSuspended)
		for i := range 3 {
			x.put("k", random(1<<20+i))
		}
		if got := x.list(url.Values{"versions": {""}}).items(); !slices.Equal(got, []string{"k@null", "k@" + kept}) {
			x.Errorf("got %q", got)
		}
		if after := x.blobs(); len(after) != len(before)+1 {
			x.Errorf("%d blobs for one null version", len(after)-len(before))
		}
		gone := x.deleteKey("k")
		if !aws.ToBool(gone.DeleteMarker) || aws.ToString(gone.VersionId) != "null" {
			x.Errorf("got %+v", gone)
		}
		l := x.list(url.Values{"versions": {""}})
		if len(l.DeleteMarker) != 1 || l.DeleteMarker[0].VersionId != "null" || !l.DeleteMarker[0].IsLatest || len(l.Version) != 1 {
			x.Errorf("got %+v", l)
		}
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs for no null version", len(after)-len(before))
		}
		x.versioning(types.BucketVersioningStatusEnabled)
		x.put("k", "new")
		assert.Equal(x, "kept", x.get("k", kept), "kept")
		if got := x.list(url.Values{"versions": {""}}).items(); len(got) != 3 {
			x.Errorf("got %q", got)
		}
	})
}

func TestDeleteMarkers(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		version := *x.put("k", "body").VersionId
		out := x.deleteKey("k")
		marker := aws.ToString(out.VersionId)
		if !aws.ToBool(out.DeleteMarker) || marker == "" || marker == version {
			x.Fatalf("got %+v", out)
		}
		for _, method := range []string{"GET", "HEAD"} {
			r := x.raw(method, "/k", "").has("X-Amz-Delete-Marker", "true", "X-Amz-Version-Id", marker)
			if r.resp.StatusCode != 404 {
				x.Errorf("%s: %d", method, r.resp.StatusCode)
			}
			r = x.raw(method, "/k?versionId="+marker, "").has("X-Amz-Delete-Marker", "true", "Allow", "DELETE", "X-Amz-Version-Id", marker)
			if r.resp.StatusCode != 405 || r.header("Last-Modified") == "" {
				x.Errorf("%s: %d %v", method, r.resp.StatusCode, r.resp.Header)
			}
		}
		x.raw("GET", "/k?tagging&versionId="+marker, "").want(405, "MethodNotAllowed")
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(404, "NoSuchKey")
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k?versionId="+marker).want(400, "InvalidRequest")
		if got := x.list(url.Values{}).items(); len(got) != 0 {
			x.Errorf("a deleted key is listed: %q", got)
		}
		assert.Equal(x, "the version", x.get("k", version), "body")
		second := *x.deleteKey("k").VersionId // a marker on top of a marker
		gone := x.deleteKey("k", marker)
		if !aws.ToBool(gone.DeleteMarker) || *gone.VersionId != marker {
			x.Errorf("got %+v", gone)
		}
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
		x.deleteKey("k", second)
		assert.Equal(x, "undeleted", x.get("k"), "body")
		if aws.ToBool(x.deleteKey("k", version).DeleteMarker) {
			x.Error("a version is called a delete marker")
		}
		if got := x.list(url.Values{"versions": {""}}).items(); len(got) != 0 {
			x.Errorf("left: %q", got)
		}
		x.deleteKey("k", version) // again: no error
		x.raw("DELETE", "/k?versionId=nonsense", "").want(400, "InvalidArgument")
		x.raw("GET", "/k?versionId=", "").want(400, "InvalidArgument")
	})
}

func TestCopiesOfVersions(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		bodies := map[string]string{"small": "one", "large": random(2 << 20)}
		for key, body := range bodies {
			old := *x.put(key, body).VersionId
			x.put(key, "two")
			before := x.blobs()
			for _, target := range []string{key, key + "-copy"} { // restoring a version, too
				out, err := x.c.CopyObject(x.Context(), &s3.CopyObjectInput{Bucket: &x.bucket, Key: &target, CopySource: aws.String(x.bucket + "/" + key + "?versionId=" + old)})
				assert.NoError(x, err)
				if aws.ToString(out.CopySourceVersionId) != old || aws.ToString(out.VersionId) == "" || *out.VersionId == old {
					x.Errorf("got %+v", out)
				}
				assert.Equal(x, target, x.get(target), body)
			}
			up := x.upload("part")
			part, err := x.c.UploadPartCopy(x.Context(), &s3.UploadPartCopyInput{Bucket: &x.bucket, Key: aws.String("part"), UploadId: &up, PartNumber: aws.Int32(1),
				CopySource: aws.String(x.bucket + "/" + key + "?versionId=" + old), CopySourceRange: aws.String("bytes=1-2")})
			assert.NoError(x, err)
			if aws.ToString(part.CopySourceVersionId) != old {
				x.Errorf("part copied from %v", part.CopySourceVersionId)
			}
			out, err := x.complete("part", up, types.CompletedPart{PartNumber: aws.Int32(1), ETag: part.CopyPartResult.ETag})
			assert.NoError(x, err)
			assert.Equal(x, "part", x.get("part"), body[1:3])
			x.deleteKey("part", *out.VersionId)
			// Either of two versions that share their bytes can be deleted first.
			x.deleteKey(key, old)
			x.blobs()
			assert.Equal(x, "after the source went", x.get(key), body)
			for _, v := range x.versionsOf(key) {
				x.deleteKey(v.Key, v.VersionId)
			}
			if after := x.blobs(); len(after) > len(before) {
				x.Errorf("%s: %d blobs are left", key, len(after)-len(before))
			}
		}
	})
}

func TestMultipartIntoVersionedBuckets(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		early := x.upload("k") // begun before the bucket is versioned
		p := x.part("k", early, 1, "early")
		x.put("k", "null")
		x.versioning(types.BucketVersioningStatusEnabled)
		out, err := x.complete("k", early, p)
		assert.NoError(x, err)
		if id := aws.ToString(out.VersionId); id == "" || id == "null" {
			x.Errorf("version %q", id)
		}
		up := x.upload("k")
		out2, err := x.complete("k", up, x.part("k", up, 1, "late"))
		assert.NoError(x, err)
		assert.Equal(x, "current", x.get("k"), "late")
		assert.Equal(x, "early", x.get("k", *out.VersionId), "early")
		assert.Equal(x, "null", x.get("k", "null"), "null")
		x.versioning(types.BucketVersioningStatusSuspended)
		up = x.upload("k")
		_, err = x.complete("k", up, x.part("k", up, 1, "suspended"))
		assert.NoError(x, err)
		assert.Equal(x, "null", x.get("k", "null"), "suspended")
		assert.Equal(x, "late", x.get("k", *out2.VersionId), "late")
		if got := x.versionsOf("k"); len(got) != 3 {
			x.Errorf("got %+v", got)
		}
	})
}

func TestConcurrentWritersOfOneKeyMakeAVersionEach(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		const writers, each = 8, 3
		ids := make([][]string, writers)
		codes := x.race(writers, func(i int) error {
			for n := range each {
				key, body := "k", fmt.Sprint(i, n)
				out, err := x.c.PutObject(x.Context(), &s3.PutObjectInput{Bucket: &x.bucket, Key: &key, Body: strings.NewReader(body)})
				if err != nil {
					return err
				}
				ids[i] = append(ids[i], *out.VersionId)
			}
			return nil
		})
		if codes[""] != writers {
			x.Errorf("got %v", codes)
		}
		var listed []string
		for _, v := range x.versionsOf("k") {
			listed = append(listed, v.VersionId)
		}
		if n := len(listed); n != writers*each || len(slices.Compact(slices.Sorted(slices.Values(listed)))) != n {
			x.Errorf("%d versions are listed of %d acknowledged", n, writers*each)
		}
		for i := range ids {
			for n, id := range ids[i] {
				assert.Equal(x, id, x.get("k", id), fmt.Sprint(i, n))
			}
		}
	})
}

func TestListingsAmongManyVersionsAndDeletedKeys(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		const many = 60
		for range many {
			x.put("b", "body")
		}
		x.put("a", "body")
		x.put("c", "body")
		codes := x.race(10, func(i int) error {
			for n := range 5 {
				key := fmt.Sprintf("bb/%d%d", i, n)
				if _, err := x.c.DeleteObject(x.Context(), &s3.DeleteObjectInput{Bucket: &x.bucket, Key: &key}); err != nil {
					return err
				}
			}
			return nil
		})
		if codes[""] != 10 {
			x.Fatalf("got %v", codes)
		}
		for _, size := range []int{1, 2, 1000} {
			for _, kind := range []string{"v1", "v2"} {
				if got := x.pages(kind, size, url.Values{"delimiter": {"/"}}); !slices.Equal(got, []string{"a", "b", "c"}) {
					x.Errorf("%s by %d: %q", kind, size, got)
				}
			}
		}
		for _, size := range []int{7, 59, 60, 61, 1000} {
			if got := x.pages("versions", size, url.Values{"delimiter": {"/"}}); len(got) != many+3 {
				x.Errorf("by %d: %d items", size, len(got))
			}
			if got := x.pages("versions", size, url.Values{}); len(got) != many+52 {
				x.Errorf("by %d: %d items without a delimiter", size, len(got))
			}
		}
	})
}
