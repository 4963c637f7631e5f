package s3api_test

// Each test in this file covers a bug of the Pithos of 2015.

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

// cut sends the head of a signed request and the first bytes of its body, and
// closes the connection.
func (x *apiTest) cut(target, body string, sent int) {
	x.Helper()
	r := x.s.Request(x.T, s3test.Alice, http.MethodPut, "/"+x.bucket+target, []byte(body))
	conn, err := net.Dial("tcp", r.URL.Host)
	assert.NoError(x, err)
	fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.URL.RequestURI(), r.URL.Host, len(body))
	assert.NoError(x, r.Header.Write(conn))
	_, err = fmt.Fprint(conn, "\r\n"+body[:sent])
	assert.NoError(x, err)
	// The connection is half-closed, so the client can read the answer if the
	// server treats the received bytes as the whole body.
	assert.NoError(x, conn.(*net.TCPConn).CloseWrite())
	assert.NoError(x, conn.SetReadDeadline(time.Now().Add(5*time.Minute)))
	status := make([]byte, 12)
	if n, _ := conn.Read(status); n == 12 && strings.HasSuffix(string(status), "200") {
		x.Errorf("a body of %d bytes, cut after %d, was taken", len(body), sent)
	}
	assert.NoError(x, conn.Close())
}

func TestConnectionCutInMidOverwriteLeavesTheOldObject(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "the old object")
		before := x.blobs()
		for _, size := range []int{1000, 300_000, 3 << 20} {
			for _, sent := range []int{0, 1, size / 2, size - 1} {
				x.cut("/k", random(size), sent)
				if got := x.get("k"); got != "the old object" {
					x.Fatalf("%d of %d bytes: got %d bytes", sent, size, len(got))
				}
			}
		}
		x.cut("/new", random(2<<20), 1<<20)
		x.raw("GET", "/new", "").want(404, "NoSuchKey")
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs are left of cut uploads", len(after)-len(before))
		}
	})
}

func TestChunkedBodyCutInMidOverwriteLeavesTheOldObject(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "old")
		r := x.s.Request(x.T, s3test.Key{}, http.MethodPut, "/"+x.bucket+"/k", nil)
		encoded := sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret}.
			SignChunked(r, sigv4test.Chunked, sigv4test.Body{Data: []byte(random(1 << 20))})
		// All bytes of the object were sent; only the last, empty chunk is missing.
		short := encoded[:len(encoded)-90]
		r.Body, r.ContentLength = http.NoBody, int64(len(short))
		r.Body = readCloser{strings.NewReader(string(short))}
		resp, err := x.s.HTTP.Do(r)
		assert.NoError(x, err)
		x.reply(resp, []byte(x.read(resp.Body))).want(400, "IncompleteBody")
		assert.Equal(x, "after the cut", x.get("k"), "old")
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestCopyOfASmallObjectOverALargeOne(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		large := random(5<<20 + 1)
		x.put("large", large)
		x.put("small", "small")
		copyTo := func(from, to string) {
			_, err := x.c.CopyObject(x.Context(), &s3.CopyObjectInput{Bucket: &x.bucket, Key: &to, CopySource: aws.String(x.bucket + "/" + from)})
			assert.NoError(x, err)
		}
		copyTo("large", "target")
		assert.Equal(x, "large copy", x.get("target"), large)
		copyTo("small", "target")
		assert.Equal(x, "small copy", x.get("target"), "small")
		x.raw("HEAD", "/target", "").want(200, "").has("Content-Length", "5", "Etag", `"eb5c1399a871211c7e7ed732d15e3a8b"`)
		assert.Equal(x, "the source", x.get("large"), large)
		copyTo("large", "small")
		assert.Equal(x, "large over small", x.get("small"), large)
	})
}

func TestUploadPartCopyTakesRangesAcrossChunksAndBlocks(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const mib = 1 << 20
		source := random(18 * mib) // more than a chunk, and more than a block of chunks
		up := x.upload("source")
		one, two := x.part("source", up, 1, source[:7*mib+13]), x.part("source", up, 2, source[7*mib+13:])
		_, err := x.complete("source", up, one, two)
		assert.NoError(x, err)
		for _, r := range [][2]int{{0, 5*mib - 1}, {mib/2 - 1, 6 * mib}, {7*mib - 1, 13*mib + 5}, {12*mib - 1, 18*mib - 1}, {mib, mib}} {
			up := x.upload("target")
			out, err := x.c.UploadPartCopy(x.Context(), &s3.UploadPartCopyInput{Bucket: &x.bucket, Key: aws.String("target"), UploadId: &up,
				PartNumber: aws.Int32(1), CopySource: aws.String(x.bucket + "/source"), CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", r[0], r[1]))})
			assert.NoError(x, err)
			_, err = x.complete("target", up, types.CompletedPart{PartNumber: aws.Int32(1), ETag: out.CopyPartResult.ETag})
			assert.NoError(x, err)
			assert.Equal(x, fmt.Sprint(r), x.get("target"), source[r[0]:r[1]+1])
		}
		up = x.upload("target")
		for _, bad := range []string{fmt.Sprintf("bytes=0-%d", len(source)), "bytes=5-2", "bytes=5-", "bytes=-5", "0-5", "bytes=0-1,3-4"} {
			r := x.raw("PUT", "/target?partNumber=1&uploadId="+up, "", "X-Amz-Copy-Source", "/"+x.bucket+"/source", "X-Amz-Copy-Source-Range", bad)
			if r.resp.StatusCode != 400 && r.resp.StatusCode != 416 {
				x.Errorf("%s: %d %s", bad, r.resp.StatusCode, r.body)
			}
		}
	})
}

func TestReuploadedPartLeavesNoOrphanOnceGCHasRun(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		before := x.blobs()
		up := x.upload("k")
		for i := range 3 {
			x.part("k", up, 1, random(5<<20+i))
			x.part("k", up, 7, random(100_000+i)) // never named
		}
		one, two := x.part("k", up, 1, random(5<<20)), x.part("k", up, 2, random(1000))
		x.blobs() // a collector that comes in between must not touch what is in use
		_, err := x.complete("k", up, one, two)
		assert.NoError(x, err)
		if after := x.blobs(); len(after) != len(before)+2 {
			x.Errorf("%d blobs are there for an object of 2 parts", len(after)-len(before))
		}
		assert.Equal(x, "object", x.get("k"), random(5<<20)+random(1000))

		_, err = x.c.DeleteObject(x.Context(), &s3.DeleteObjectInput{Bucket: &x.bucket, Key: aws.String("k")})
		assert.NoError(x, err)
		up = x.upload("k")
		x.part("k", up, 1, random(1<<20))
		x.part("k", up, 1, random(1<<20))
		_, err = x.c.AbortMultipartUpload(x.Context(), &s3.AbortMultipartUploadInput{Bucket: &x.bucket, Key: aws.String("k"), UploadId: &up})
		assert.NoError(x, err)
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs are left of a deleted object and an aborted upload", len(after)-len(before))
		}
	})
}

func TestCompleteWithAWrongETagAnswersAParseableError(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		up := x.upload("k")
		p := x.part("k", up, 1, "body")
		doc := `<CompleteMultipartUpload><Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>`
		for _, c := range []struct {
			number int
			etag   string
		}{{1, `"00000000000000000000000000000000"`}, {1, "nonsense &lt;&amp;&gt;"}, {1, ""}, {2, *p.ETag}} {
			r := x.raw("POST", "/k?uploadId="+up, fmt.Sprintf(doc, c.number, c.etag)).want(400, "InvalidPart").has("Content-Type", "application/xml")
			if strings.Count(r.body, "<?xml") != 1 {
				x.Errorf("the answer is no document: %s", r.body)
			}
		}
		// The upload is as it was.
		x.raw("POST", "/k?uploadId="+up, fmt.Sprintf(doc, 1, *p.ETag)).want(200, "")
		assert.Equal(x, "object", x.get("k"), "body")
	})
}

func TestTwoTenantsRaceToCreateABucket(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		clients := []*s3.Client{x.s.Client(x.T, s3test.Alice), x.s.Client(x.T, s3test.Bob)}
		for range 5 {
			name := s3test.BucketName(x.T)
			x.T.Cleanup(func() { x.s.Remove(x.T, name) })
			codes := x.race(2, func(i int) error {
				_, err := clients[i].CreateBucket(x.Context(), &s3.CreateBucketInput{Bucket: &name})
				return err
			})
			if codes[""] != 1 || codes["BucketAlreadyExists"] != 1 {
				x.Errorf("got %v", codes)
			}
			owners := 0
			for _, c := range clients {
				if _, err := c.HeadBucket(x.Context(), &s3.HeadBucketInput{Bucket: &name}); err == nil {
					owners++
				}
			}
			if owners != 1 {
				x.Errorf("%d tenants hold the bucket", owners)
			}
		}
	})
}

func TestRecreatedBucketShowsNothingOld(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		name := s3test.BucketName(x.T)
		x.bucket = name
		_, err := x.c.CreateBucket(x.Context(), &s3.CreateBucketInput{Bucket: &name, ACL: types.BucketCannedACLPublicRead})
		assert.NoError(x, err)
		x.versioning(types.BucketVersioningStatusEnabled)
		x.raw("PUT", "?tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>").want(200, "")
		x.raw("PUT", "?policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+name+`/*"}]}`).want(204, "")
		x.raw("PUT", "?encryption", `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`).want(200, "")
		x.raw("PUT", "?cors", `<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>`).want(200, "")
		version := *x.put("k", "secret").VersionId
		up := x.upload("pending")
		x.part("pending", up, 1, "x")
		x.s.Remove(x.T, name)

		bob := x.s.Client(x.T, s3test.Bob)
		_, err = bob.CreateBucket(x.Context(), &s3.CreateBucketInput{Bucket: &name})
		assert.NoError(x, err)
		x.T.Cleanup(func() { x.s.Remove(x.T, name) })
		x.raw("GET", "/k", "").want(403, "AccessDenied")
		x.as(s3test.Key{}, "GET", "/"+name+"/k", "").want(403, "AccessDenied")
		x.as(s3test.Key{}, "GET", "/"+name, "").want(403, "AccessDenied")
		for target, want := range map[string]string{
			"/k": "404 NoSuchKey", "/k?versionId=" + version: "404 NoSuchVersion", "/pending?uploadId=" + up: "404 NoSuchUpload",
			"?policy": "404 NoSuchBucketPolicy", "?tagging": "404 NoSuchTagSet", "?cors": "404 NoSuchCORSConfiguration",
			"?encryption": "404 ServerSideEncryptionConfigurationNotFoundError",
		} {
			r := x.as(s3test.Bob, "GET", "/"+name+target, "")
			if got := fmt.Sprint(r.resp.StatusCode, " ", r.Code); got != want {
				x.Errorf("%s: %s, want %s", target, got, want)
			}
		}
		for _, target := range []string{"", "?versions", "?uploads", "?versioning", "?acl"} {
			r := x.as(s3test.Bob, "GET", "/"+name+target, "").want(200, "")
			for _, old := range []string{"<Key>", "Enabled", "AllUsers", "alice", "<Contents>"} {
				if strings.Contains(r.body, old) {
					x.Errorf("%s shows %s: %s", target, old, r.body)
				}
			}
		}
		x.as(s3test.Bob, "PUT", "/"+name+"/pending?partNumber=1&uploadId="+up, "x").want(404, "NoSuchUpload")
	})
}
