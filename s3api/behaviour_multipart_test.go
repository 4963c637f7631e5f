package s3api_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

func ptr[T any](v T) *T { return &v }

// withSum sets the checksum of a part.
func withSum(p types.CompletedPart, algorithm, sum string) types.CompletedPart {
	*map[string]**string{"CRC32": &p.ChecksumCRC32, "CRC32C": &p.ChecksumCRC32C, "CRC64NVME": &p.ChecksumCRC64NVME,
		"SHA1": &p.ChecksumSHA1, "SHA256": &p.ChecksumSHA256}[algorithm] = &sum
	return p
}

// withWhole sets the checksum of a whole object.
func withWhole(in *s3.CompleteMultipartUploadInput, algorithm, sum string) *s3.CompleteMultipartUploadInput {
	*map[string]**string{"CRC32": &in.ChecksumCRC32, "CRC32C": &in.ChecksumCRC32C, "CRC64NVME": &in.ChecksumCRC64NVME,
		"SHA1": &in.ChecksumSHA1, "SHA256": &in.ChecksumSHA256}[algorithm] = &sum
	return in
}

// document is a CompleteMultipartUpload of number, ETag, number, ETag...
func document(parts ...any) string {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		fmt.Fprintf(&b, "<Part><PartNumber>%v</PartNumber><ETag>%v</ETag></Part>", parts[i], parts[i+1])
	}
	return "<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>"
}

func TestCompleteIsExact(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "old")
		up := x.upload("k")
		big, small := random(5<<20), "the end"
		one, two, last := *x.part("k", up, 2, big).ETag, *x.part("k", up, 5, "too small").ETag, *x.part("k", up, 10000, small).ETag
		complete := func(doc string, status int, code string, headers ...string) *reply {
			x.Helper()
			return x.raw("POST", "/k?uploadId="+up, doc, headers...).want(status, code)
		}
		complete(document(10000, last, 2, one), 400, "InvalidPartOrder")
		complete(document(2, one, 5, two, 10000, last), 400, "EntityTooSmall")
		complete(document(2, one, 3, one), 400, "InvalidPart")
		complete(document(2, last, 10000, last), 400, "InvalidPart")
		complete(document(0, one), 400, "InvalidArgument")
		complete(document(10001, one), 400, "InvalidArgument")
		complete(document(), 400, "MalformedXML")
		complete("", 400, "MalformedXML")
		complete("<CompleteMultipartUpload><Part>", 400, "MalformedXML")
		complete(document("x", one), 400, "MalformedXML")
		complete(document(2, one, 10000, last), 400, "InvalidRequest", "X-Amz-Mp-Object-Size", "17")
		complete(document(2, one, 10000, last), 400, "InvalidRequest", "X-Amz-Mp-Object-Size", "-1")
		complete("<CompleteMultipartUpload><Part><ETag>"+one+"</ETag></Part></CompleteMultipartUpload>", 400, "MalformedXML")
		assert.Equal(x, "while refused", x.get("k"), "old")

		first := complete(document(2, one, 10000, strings.Trim(last, `"`)), 200, "", "X-Amz-Mp-Object-Size", fmt.Sprint(len(big)+len(small)))
		assert.Equal(x, "object", x.get("k"), big+small)
		a, b := md5.Sum([]byte(big)), md5.Sum([]byte(small))
		sum := md5.Sum(append(a[:], b[:]...))
		x.raw("HEAD", "/k", "").has("Etag", `"`+hex.EncodeToString(sum[:])+`-2"`)

		again := complete(document(2, one, 10000, last), 200, "")
		if first.body != again.body {
			x.Errorf("repeated: %s, first %s", again.body, first.body)
		}
		assert.NoError(x, x.s.Store.Flush(x.Context()))
		complete(document(2, one, 10000, last), 200, "")
		x.raw("PUT", "/k?partNumber=1&uploadId="+up, "late").want(404, "NoSuchUpload")
		x.raw("GET", "/k?uploadId="+up, "").want(404, "NoSuchUpload")
		x.raw("DELETE", "/k?uploadId="+up, "").want(404, "NoSuchUpload")
		x.put("k", "newer")
		x.raw("POST", "/k?uploadId="+up, document(2, one, 10000, last)).want(404, "NoSuchUpload")
		assert.Equal(x, "after a late repetition", x.get("k"), "newer")
	})
}

func TestPartNumbersAndUnknownUploads(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		up := x.upload("k")
		for _, number := range []string{"0", "10001", "-1", "x", "", "99999999999999999999"} {
			x.raw("PUT", "/k?partNumber="+number+"&uploadId="+up, "body").want(400, "InvalidArgument")
		}
		x.raw("PUT", "/k?partNumber=10000&uploadId="+up, "body").want(200, "")
		for _, unknown := range []string{"x", strings.Repeat("0", 32), strings.Repeat("A", 26), "%00", "../" + up} {
			id := "uploadId=" + url.QueryEscape(unknown)
			x.raw("PUT", "/k?partNumber=1&"+id, "body").want(404, "NoSuchUpload")
			x.raw("POST", "/k?"+id, document(1, "x")).want(404, "NoSuchUpload")
			x.raw("DELETE", "/k?"+id, "").want(404, "NoSuchUpload")
			x.raw("GET", "/k?"+id, "").want(404, "NoSuchUpload")
		}
		// An upload belongs to its key and bucket.
		x.raw("PUT", "/other?partNumber=1&uploadId="+up, "body").want(404, "NoSuchUpload")
		x.raw("GET", "/other?uploadId="+up, "").want(404, "NoSuchUpload")
		elsewhere := x.s.Bucket(x.T)
		x.as(s3test.Alice, http.MethodPut, "/"+elsewhere+"/k?partNumber=1&uploadId="+up, "body").want(404, "NoSuchUpload")
	})
}

func TestReuploadedPartsReplaceTheirPredecessors(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		up := x.upload("k")
		old := x.part("k", up, 1, "old")
		one := x.part("k", up, 1, "new")
		_, err := x.complete("k", up, old)
		x.wantCode(err, "InvalidPart")
		_, err = x.complete("k", up, one)
		assert.NoError(x, err)
		assert.Equal(x, "object", x.get("k"), "new")
	})
}

func TestReadsByPartNumber(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		one, two := random(5<<20), random(777)
		up := x.upload("k")
		_, err := x.complete("k", up, x.part("k", up, 1, one), x.part("k", up, 2, two))
		assert.NoError(x, err)
		for i, body := range []string{one, two} {
			first := i * len(one)
			for _, method := range []string{"GET", "HEAD"} {
				r := x.raw(method, fmt.Sprintf("/k?partNumber=%d", i+1), "").want(206, "").has("X-Amz-Mp-Parts-Count", "2",
					"Content-Length", fmt.Sprint(len(body)), "Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+len(body)-1, len(one)+len(two)))
				if method == "GET" {
					assert.Equal(x, "part", r.body, body)
				}
			}
		}
		x.raw("GET", "/k", "").has("X-Amz-Mp-Parts-Count", "")
		for _, number := range []string{"0", "10001", "x"} {
			x.raw("GET", "/k?partNumber="+number, "").want(400, "InvalidArgument")
		}
		if r := x.raw("GET", "/k?partNumber=3", ""); r.resp.StatusCode < 400 {
			x.Errorf("part 3 of 2: %d", r.resp.StatusCode)
		}
		x.raw("GET", "/k?partNumber=1", "", "Range", "bytes=0-1").want(400, "InvalidRequest")
		x.put("plain", "body")
		assert.Equal(x, "part 1 of one", x.raw("GET", "/plain?partNumber=1", "").want(206, "").body, "body")
	})
}

func TestListPartsByPages(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		up := x.upload("k")
		var want []int
		for _, n := range []int{10000, 3, 1, 7, 2} {
			x.part("k", up, n, strings.Repeat("x", n))
			want = append(want, n)
		}
		slices.Sort(want)
		for _, size := range []int{1, 2, 5, 1000} {
			var got []int
			marker := "0"
			for range 10 {
				out, err := x.c.ListParts(x.Context(), &s3.ListPartsInput{Bucket: &x.bucket, Key: ptr("k"), UploadId: &up, MaxParts: ptr(int32(size)), PartNumberMarker: &marker})
				assert.NoError(x, err)
				for _, p := range out.Parts {
					got = append(got, int(*p.PartNumber))
					if *p.Size != int64(*p.PartNumber) || p.LastModified == nil || len(*p.ETag) != 34 {
						x.Errorf("part %+v", p)
					}
				}
				if !*out.IsTruncated {
					break
				}
				marker = *out.NextPartNumberMarker
			}
			if !slices.Equal(got, want) {
				x.Errorf("by %d: %v", size, got)
			}
		}
	})
}

func TestAbortDuringTheUploadOfAPart(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		before := x.blobs()
		for range 3 {
			up := x.upload("k")
			x.part("k", up, 1, random(100_000))
			codes := x.race(6, func(i int) error {
				if i == 0 {
					_, err := x.c.AbortMultipartUpload(x.Context(), &s3.AbortMultipartUploadInput{Bucket: &x.bucket, Key: ptr("k"), UploadId: &up})
					return err
				}
				_, err := x.c.UploadPart(x.Context(), &s3.UploadPartInput{Bucket: &x.bucket, Key: ptr("k"), UploadId: &up, PartNumber: ptr(int32(i)), Body: strings.NewReader(random(500_000))})
				return err
			})
			if codes[""]+codes["NoSuchUpload"] != 6 || codes[""] < 1 {
				x.Errorf("got %v", codes)
			}
			x.raw("GET", "/k?uploadId="+up, "").want(404, "NoSuchUpload")
			x.raw("GET", "/k", "").want(404, "NoSuchKey")
		}
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs are left", len(after)-len(before))
		}
	})
}

func TestRacingCompletesAndAborts(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		before := x.blobs()
		for range 5 {
			up := x.upload("k")
			p := x.part("k", up, 1, random(50_000))
			codes := x.race(5, func(i int) error {
				if i < 2 {
					_, err := x.c.AbortMultipartUpload(x.Context(), &s3.AbortMultipartUploadInput{Bucket: &x.bucket, Key: ptr("k"), UploadId: &up})
					if err == nil {
						return nil
					}
					return err
				}
				_, err := x.complete("k", up, p)
				return err
			})
			if codes[""] < 1 || codes[""]+codes["NoSuchUpload"] != 5 {
				x.Errorf("got %v", codes)
			}
			x.blobs()
			r := x.raw("GET", "/k", "") // the object, whole, or none
			if r.resp.StatusCode == 200 {
				assert.Equal(x, "object", r.body, random(50_000))
			} else {
				r.want(404, "NoSuchKey")
			}
			x.raw("GET", "/k?uploadId="+up, "").want(404, "NoSuchUpload")
			x.deleteKey("k")
		}
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs are left", len(after)-len(before))
		}
	})
}

// The upload that is completed last is the current version, whichever was created
// last. Its date is the time of completion, so that the next GET shows what the
// client was told.
func TestTheUploadThatCompletesLastIsCurrent(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		first, second := x.upload("k"), x.upload("k")
		one, two := x.part("k", first, 1, "first"), x.part("k", second, 1, "second")
		_, err := x.complete("k", second, two)
		assert.NoError(x, err)
		assert.Equal(x, "after the second", x.get("k"), "second")
		between := *x.put("k", "between").VersionId
		x.s.Shift(x.T, time.Hour)
		out, err := x.complete("k", first, one)
		assert.NoError(x, err)
		assert.Equal(x, "after the first", x.get("k"), "first")
		head, err := x.c.HeadObject(x.Context(), &s3.HeadObjectInput{Bucket: &x.bucket, Key: ptr("k")})
		assert.NoError(x, err)
		if *head.VersionId != *out.VersionId || head.LastModified.Before(time.Now().Add(30*time.Minute)) {
			x.Errorf("version %s of %v, want %s", *head.VersionId, head.LastModified, *out.VersionId)
		}
		var order []string
		for _, v := range x.versionsOf("k") {
			order = append(order, v.VersionId)
		}
		if len(order) != 3 || order[0] != *out.VersionId || order[1] != between {
			x.Errorf("versions %v, want %s before %s", order, *out.VersionId, between)
		}
	})
}
