package s3api_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

var checksums = map[string]func() hash.Hash{
	"CRC32":     func() hash.Hash { return crc32.NewIEEE() },
	"CRC32C":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"CRC64NVME": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"SHA1":      sha1.New,
	"SHA256":    sha256.New,
	"SHA512":    sha512.New,
	"MD5":       md5.New,
}

// sumOf returns the base64 of a body's checksum.
func sumOf(algorithm, body string) string {
	h := checksums[algorithm]()
	h.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// composite returns the checksum of the checksums of parts.
func composite(algorithm string, parts ...string) string {
	h := checksums[algorithm]()
	for _, p := range parts {
		sum, _ := base64.StdEncoding.DecodeString(sumOf(algorithm, p)) // of our own making
		h.Write(sum)
	}
	return fmt.Sprintf("%s-%d", base64.StdEncoding.EncodeToString(h.Sum(nil)), len(parts))
}

func sumHeader(algorithm string) string {
	return http.CanonicalHeaderKey("x-amz-checksum-" + algorithm)
}

// chunked sends a PUT in aws-chunked form, with fields in the trailer.
func (x *apiTest) chunked(target, payload, body string, trailer ...[2]string) *reply {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), http.MethodPut, x.s.URL+"/"+x.bucket+target, nil)
	assert.NoError(x, err)
	sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret}.SignChunked(r, payload, sigv4test.Body{Data: []byte(body), Trailer: trailer})
	resp, err := x.s.HTTP.Do(r)
	assert.NoError(x, err)
	return x.reply(resp, []byte(x.read(resp.Body)))
}

func TestChecksumsInHeadersAndTrailers(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		wrong := "other " + random(100_000)
		for algorithm := range checksums {
			for _, body := range []string{"", "123456789", random(300_000)} {
				header, sum := sumHeader(algorithm), sumOf(algorithm, body)
				x.raw("PUT", "/k", body, header, sum).want(200, "").has(header, sum, "X-Amz-Checksum-Type", "FULL_OBJECT")
				for _, method := range []string{"GET", "HEAD"} {
					x.raw(method, "/k", "", "X-Amz-Checksum-Mode", "ENABLED").want(200, "").has(header, sum, "X-Amz-Checksum-Type", "FULL_OBJECT")
					x.raw(method, "/k", "").want(200, "").has(header, "", "X-Amz-Checksum-Type", "")
				}
				for _, payload := range []string{sigv4test.ChunkedTrailer, sigv4test.UnsignedTrailer} {
					x.chunked("/trailer", payload, body, [2]string{strings.ToLower(header), sum}).want(200, "").has(header, sum)
					assert.Equal(x, "trailer", x.get("trailer"), body)
				}
				bad := sumOf(algorithm, wrong)
				x.raw("PUT", "/k", body+"!", header, bad).want(400, "BadDigest")
				x.raw("PUT", "/never", body, header, bad).want(400, "BadDigest")
				for _, payload := range []string{sigv4test.ChunkedTrailer, sigv4test.UnsignedTrailer} {
					x.chunked("/never", payload, body, [2]string{strings.ToLower(header), bad}).want(400, "BadDigest")
				}
				assert.Equal(x, "after bad digests", x.get("k"), body)
				x.raw("GET", "/never", "").want(404, "NoSuchKey")
			}
		}
		if got := sumOf("CRC64NVME", "123456789"); got != "rosUhgp5mIg=" { // the catalogue's check value
			x.Errorf("CRC64NVME is %s", got)
		}
	})
}

func TestChecksumHeadersThatContradictEachOtherAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		crc, sha := sumOf("CRC32", "body"), sumOf("SHA256", "body")
		for _, c := range [][]string{
			{"X-Amz-Checksum-Crc32", crc, "X-Amz-Checksum-Sha256", sha},
			{"X-Amz-Checksum-Crc32", crc, "X-Amz-Sdk-Checksum-Algorithm", "SHA256"},
			{"X-Amz-Sdk-Checksum-Algorithm", "CRC32"},
			{"X-Amz-Sdk-Checksum-Algorithm", "CRC33"},
		} {
			x.raw("PUT", "/k", "body", c...).want(400, "InvalidRequest")
		}
		up := x.upload("k")
		for _, target := range []string{"/k", "/k?partNumber=1&uploadId=" + up} {
			for _, bad := range []string{"x", crc + "AAAA", sha, "=", "!!!!!!=="} {
				x.raw("PUT", target, "body", "X-Amz-Checksum-Crc32", bad).want(400, "BadDigest")
			}
			x.raw("PUT", target, "body", "X-Amz-Checksum-Crc32", "").want(400, "InvalidRequest").says("Value for x-amz-checksum-crc32 header is invalid.")
			x.raw("PUT", target, "body", "X-Amz-Checksum-Crc32", crc, "X-Amz-Checksum-Sha1", "").want(400, "InvalidRequest")
			x.raw("PUT", target, "body", "X-Amz-Checksum-Crc32", crc, "X-Amz-Trailer", "x-amz-checksum-sha256").want(400, "InvalidRequest")
			x.chunked(target, sigv4test.ChunkedTrailer, "body", [2]string{"x-amz-checksum-crc32", "nonsense"}).want(400, "BadDigest")
		}
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
	})
}

// A checksum in a Complete that the server cannot verify is refused, not ignored.
func TestChecksumsThatAnUploadDoesNotHaveAreRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		r := x.raw("POST", "/k?uploads", "").want(200, "")
		_, up, _ := strings.Cut(r.body, "<UploadId>")
		up, _, _ = strings.Cut(up, "<")
		etag := x.raw("PUT", "/k?partNumber=1&uploadId="+up, "body").want(200, "").header("Etag")
		x.raw("POST", "/k?uploadId="+up, document(1, etag), "X-Amz-Checksum-Crc32", sumOf("CRC32", "body")).want(400, "InvalidRequest")
		p := withSum(types.CompletedPart{PartNumber: ptr(int32(1)), ETag: &etag}, "SHA1", sumOf("SHA1", "body"))
		_, err := x.complete("k", up, p)
		x.wantCode(err, "BadDigest")
		x.raw("POST", "/k?uploadId="+up, document(1, etag), "X-Amz-Checksum-Crc64nvme", sumOf("CRC64NVME", "other")).want(400, "BadDigest")
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
		x.raw("POST", "/k?uploadId="+up, document(1, etag), "X-Amz-Checksum-Crc64nvme", sumOf("CRC64NVME", "body")).want(200, "")
	})
}

// An upload without an algorithm makes an object with S3's default checksum, with
// any checksums of the parts.
func TestMultipartObjectsGetTheDefaultChecksum(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		one, two, three := random(5<<20+1), random(5<<20), random(77)
		x.put("source", one)
		up := x.upload("k")
		target := "/k?partNumber=%d&uploadId=" + up
		r := x.raw("PUT", fmt.Sprintf(target, 1), "", "X-Amz-Copy-Source", x.bucket+"/source").want(200, "")
		_, first, _ := strings.Cut(r.body, "<ETag>")
		first, _, _ = strings.Cut(strings.ReplaceAll(first, "&#34;", ""), "<")
		second := x.raw("PUT", fmt.Sprintf(target, 2), two, sumHeader("SHA256"), sumOf("SHA256", two)).want(200, "").has(sumHeader("SHA256"), sumOf("SHA256", two)).header("Etag")
		third := x.raw("PUT", fmt.Sprintf(target, 3), three).want(200, "").header("Etag")
		out := x.raw("POST", "/k?uploadId="+up, document(1, first, 2, second, 3, third)).want(200, "")
		want := sumOf("CRC64NVME", one+two+three)
		if !strings.Contains(out.body, "<ChecksumCRC64NVME>"+want+"</") || !strings.Contains(out.body, "<ChecksumType>FULL_OBJECT</") {
			x.Errorf("Complete answers %s, want the CRC64NVME %s", out.body, want)
		}
		x.raw("HEAD", "/k", "", "X-Amz-Checksum-Mode", "ENABLED").want(200, "").has(sumHeader("CRC64NVME"), want, "X-Amz-Checksum-Type", "FULL_OBJECT")
		assert.Equal(x, "object", x.get("k"), one+two+three)
	})
}

// A COMPOSITE checksum is computed from the parts' checksums: a Complete that names
// one of them must name all.
func TestCompleteOfCompositeChecksumNamesThoseOfTheParts(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		up := x.upload("k", func(in *s3.CreateMultipartUploadInput) { in.ChecksumAlgorithm = "SHA1" })
		big := random(5 << 20)
		first := x.raw("PUT", "/k?partNumber=1&uploadId="+up, big, sumHeader("SHA1"), sumOf("SHA1", big)).want(200, "").header("Etag")
		etag := x.raw("PUT", "/k?partNumber=2&uploadId="+up, "body", sumHeader("SHA1"), sumOf("SHA1", "body")).want(200, "").header("Etag")
		doc := strings.Replace(document(1, first, 2, etag), "</Part>", "<ChecksumSHA1>"+sumOf("SHA1", big)+"</ChecksumSHA1></Part>", 1)
		x.raw("POST", "/k?uploadId="+up, doc).want(400, "InvalidRequest").says("It was missing for part 2 in the request.")
		_, err := x.complete("k", up, withSum(types.CompletedPart{PartNumber: ptr(int32(2)), ETag: &etag}, "SHA1", "nonsense"))
		x.wantCode(err, "InvalidArgument")
		_, err = x.complete("k", up, withSum(types.CompletedPart{PartNumber: ptr(int32(2)), ETag: &etag}, "SHA256", sumOf("SHA256", "body")))
		x.wantCode(err, "BadDigest")
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
		_, err = x.complete("k", up, withSum(types.CompletedPart{PartNumber: ptr(int32(2)), ETag: &etag}, "SHA1", sumOf("SHA1", "body")))
		assert.NoError(x, err)
	})
}

func TestContentMD5(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		sum := md5.Sum([]byte("body"))
		x.raw("PUT", "/k", "body", "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])).want(200, "").has("Etag", fmt.Sprintf(`"%x"`, sum))
		up := x.upload("parts")
		for _, target := range []string{"/k", "/parts?partNumber=1&uploadId=" + up} {
			for _, body := range []string{"other", random(200_000)} {
				x.raw("PUT", target, body, "Content-MD5", base64.StdEncoding.EncodeToString(sum[:])).want(400, "BadDigest")
				for _, bad := range []string{"", "x", "AAAA", base64.StdEncoding.EncodeToString(sum[:15]), fmt.Sprintf("%x", sum)} {
					x.raw("PUT", target, body, "Content-MD5", bad).want(400, "InvalidDigest")
				}
			}
		}
		assert.Equal(x, "object", x.get("k"), "body")
		if r := x.raw("GET", "/parts?uploadId="+up, "").want(200, ""); strings.Contains(r.body, "<Part>") {
			x.Errorf("a bad part is listed: %s", r.body)
		}
	})
}

// multipartSums are the checksums of parts by algorithm.
var multipartSums = []struct {
	algorithm types.ChecksumAlgorithm
	kind      types.ChecksumType
}{
	{"CRC32", "COMPOSITE"}, {"CRC32C", "COMPOSITE"}, {"SHA1", "COMPOSITE"}, {"SHA256", "COMPOSITE"},
	{"CRC32", "FULL_OBJECT"}, {"CRC32C", "FULL_OBJECT"}, {"CRC64NVME", "FULL_OBJECT"},
}

func TestChecksumsOfMultipartObjects(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		one, two := random(5<<20+3), random(1000)
		for _, c := range multipartSums {
			algorithm := string(c.algorithm)
			up := x.upload("k", func(in *s3.CreateMultipartUploadInput) { in.ChecksumAlgorithm, in.ChecksumType = c.algorithm, c.kind })
			var parts []types.CompletedPart
			for i, body := range []string{one, two} {
				target := fmt.Sprintf("/k?partNumber=%d&uploadId=%s", i+1, up)
				if i == 0 && c.kind == "FULL_OBJECT" { // a part without a checksum gets its upload's
					x.raw("PUT", target, body).want(200, "").has(sumHeader(algorithm), sumOf(algorithm, body))
				} else if i == 0 {
					x.raw("PUT", target, body).want(400, "InvalidRequest").says("actual checksum Type: null")
				}
				x.raw("PUT", target, body, sumHeader(algorithm), sumOf(algorithm, body+"x")).want(400, "BadDigest")
				etag := x.raw("PUT", target, body, sumHeader(algorithm), sumOf(algorithm, body)).want(200, "").header("Etag")
				n := int32(i + 1)
				parts = append(parts, withSum(types.CompletedPart{PartNumber: &n, ETag: &etag}, algorithm, sumOf(algorithm, body)))
			}
			want := sumOf(algorithm, one+two)
			if c.kind == "COMPOSITE" {
				want = composite(algorithm, one, two)
			}
			bad := append([]types.CompletedPart(nil), parts...)
			bad[1] = withSum(bad[1], algorithm, sumOf(algorithm, "other"))
			_, err := x.complete("k", up, bad...)
			x.wantCode(err, "InvalidPart")
			_, err = x.c.CompleteMultipartUpload(x.Context(), withWhole(&s3.CompleteMultipartUploadInput{Bucket: &x.bucket, Key: ptr("k"), UploadId: &up, ChecksumType: c.kind,
				MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}}, algorithm, sumOf(algorithm, "other")))
			x.wantCode(err, "BadDigest")
			out, err := x.complete("k", up, parts...)
			assert.NoError(x, err)
			if string(out.ChecksumType) != string(c.kind) {
				x.Errorf("%v: type %s", c, out.ChecksumType)
			}
			r := x.raw("HEAD", "/k", "", "X-Amz-Checksum-Mode", "ENABLED").want(200, "").has(sumHeader(algorithm), want, "X-Amz-Checksum-Type", string(c.kind))
			if r.header(sumHeader(algorithm)) != want {
				x.Errorf("%v", c)
			}
			x.raw("HEAD", "/k?partNumber=2", "", "X-Amz-Checksum-Mode", "ENABLED").want(206, "").has(sumHeader(algorithm), sumOf(algorithm, two))
			x.raw("GET", "/k", "", "X-Amz-Checksum-Mode", "ENABLED", "Range", "bytes=0-9").want(206, "").has(sumHeader(algorithm), "")
			for _, listing := range []string{"", "?list-type=2", "?versions"} {
				l := x.raw("GET", listing, "").want(200, "").body
				if !strings.Contains(l, "<ChecksumAlgorithm>"+algorithm+"</") || !strings.Contains(l, "<ChecksumType>"+string(c.kind)+"</") {
					x.Errorf("%v: %s shows %s", c, listing, l)
				}
			}
			x.attributes(algorithm, want, one, two)
		}
	})
}

// attributes checks GetObjectAttributes of a multipart object.
func (x *apiTest) attributes(algorithm, whole string, parts ...string) {
	x.Helper()
	whole, _, _ = strings.Cut(whole, "-") // unlike HeadObject, without the number of parts
	var doc struct {
		ETag, StorageClass string
		ObjectSize         int64
		Checksum           struct {
			Inner string `xml:",innerxml"`
		}
		ObjectParts struct {
			PartsCount, NextPartNumberMarker int
			IsTruncated                      bool
			Part                             []struct {
				PartNumber int
				Size       int
				Inner      string `xml:",innerxml"`
			}
		}
	}
	r := x.raw("GET", "/k?attributes", "", "X-Amz-Object-Attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize").want(200, "")
	assert.NoError(x, xml.Unmarshal([]byte(r.body), &doc))
	if !strings.Contains(doc.Checksum.Inner, ">"+whole+"</Checksum"+algorithm+">") || doc.ObjectSize != int64(len(strings.Join(parts, ""))) ||
		doc.StorageClass != "STANDARD" || doc.ObjectParts.PartsCount != len(parts) || len(doc.ObjectParts.Part) != len(parts) || strings.Contains(doc.ETag, `"`) {
		x.Errorf("attributes: %s", r.body)
		return
	}
	for i, p := range doc.ObjectParts.Part {
		if p.PartNumber != i+1 || p.Size != len(parts[i]) || !strings.Contains(p.Inner, ">"+sumOf(algorithm, parts[i])+"<") {
			x.Errorf("part %d: %+v", i+1, p)
		}
	}
	r = x.raw("GET", "/k?attributes", "", "X-Amz-Object-Attributes", "ObjectParts", "X-Amz-Max-Parts", "1").want(200, "")
	if !strings.Contains(r.body, "<IsTruncated>true</") || !strings.Contains(r.body, "<NextPartNumberMarker>1</") || strings.Contains(r.body, "<ETag>") {
		x.Errorf("a page of parts: %s", r.body)
	}
}
