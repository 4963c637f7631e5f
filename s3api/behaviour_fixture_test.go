package s3api_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

// apiTest is a test on one engine, in a bucket of its own.
type apiTest struct {
	*testing.T
	s      *s3test.Server
	c      *s3.Client
	bucket string
}

// behaviour runs a test on both engines.
func behaviour(t *testing.T, test func(x *apiTest)) {
	t.Helper()
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		test(&apiTest{T: t, s: s, c: s.Client(t, s3test.Alice), bucket: s.Bucket(t)})
	})
}

// wantCode checks the error code of an SDK's error.
func (x *apiTest) wantCode(err error, want string) {
	x.Helper()
	if got := code(x.T, err); got != want {
		x.Errorf("got %q, want %q: %v", got, want, err)
	}
}

func (x *apiTest) put(key, body string, edit ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	x.Helper()
	in := &s3.PutObjectInput{Bucket: &x.bucket, Key: &key, Body: strings.NewReader(body)}
	for _, e := range edit {
		e(in)
	}
	out, err := x.c.PutObject(x.Context(), in)
	assert.NoError(x, err)
	return out
}

// get reads an object, or a version of it.
func (x *apiTest) get(key string, version ...string) string {
	x.Helper()
	in := &s3.GetObjectInput{Bucket: &x.bucket, Key: &key}
	if len(version) > 0 {
		in.VersionId = &version[0]
	}
	out, err := x.c.GetObject(x.Context(), in)
	assert.NoError(x, err)
	return x.read(out.Body)
}

func (x *apiTest) read(body io.ReadCloser) string {
	x.Helper()
	defer body.Close()
	data, err := io.ReadAll(body)
	assert.NoError(x, err)
	return string(data)
}

// reply is the answer to a raw request.
type reply struct {
	t    testing.TB
	resp *http.Response
	body string
	Code string
}

// raw sends a request of Alice for the bucket; target follows its name.
func (x *apiTest) raw(method, target, body string, header ...string) *reply {
	x.Helper()
	return x.as(s3test.Alice, method, "/"+x.bucket+target, body, header...)
}

// as sends a request signed with key, or unsigned if key is zero.
func (x *apiTest) as(key s3test.Key, method, target, body string, header ...string) *reply {
	x.Helper()
	resp, data := x.s.Do(x.T, key, method, target, []byte(body), header...)
	return x.reply(resp, data)
}

func (x *apiTest) reply(resp *http.Response, data []byte) *reply {
	x.Helper()
	r := &reply{t: x.T, resp: resp, body: string(data)}
	if resp.StatusCode >= 400 && len(data) > 0 {
		var doc struct {
			XMLName xml.Name `xml:"Error"`
			Code    string
		}
		if err := xml.Unmarshal(data, &doc); err != nil || doc.Code == "" {
			x.Errorf("the error cannot be parsed: %v: %s", err, data)
		}
		r.Code = doc.Code
	}
	return r
}

// want checks status and error code, and the headers of every answer.
func (r *reply) want(status int, code string) *reply {
	r.t.Helper()
	if r.resp.StatusCode != status || r.Code != code {
		r.t.Errorf("%s %s: %d %s, want %d %s: %.300s", r.resp.Request.Method, r.resp.Request.URL, r.resp.StatusCode, r.Code, status, code, r.body)
	}
	if r.header("X-Amz-Request-Id") == "" || r.header("X-Amz-Id-2") == "" {
		r.t.Errorf("the answer has no ids: %v", r.resp.Header)
	}
	return r
}

func (r *reply) header(name string) string { return r.resp.Header.Get(name) }

// has checks headers, given in pairs; "" means that the header must be absent.
func (r *reply) has(pairs ...string) *reply {
	r.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := r.header(pairs[i]); got != pairs[i+1] {
			r.t.Errorf("%s %s: %s is %q, want %q", r.resp.Request.Method, r.resp.Request.URL, pairs[i], got, pairs[i+1])
		}
	}
	return r
}

func (x *apiTest) versioning(status types.BucketVersioningStatus) {
	x.Helper()
	_, err := x.c.PutBucketVersioning(x.Context(), &s3.PutBucketVersioningInput{Bucket: &x.bucket,
		VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	assert.NoError(x, err)
}

// upload begins a multipart upload and returns its id.
func (x *apiTest) upload(key string, edit ...func(*s3.CreateMultipartUploadInput)) string {
	x.Helper()
	in := &s3.CreateMultipartUploadInput{Bucket: &x.bucket, Key: &key}
	for _, e := range edit {
		e(in)
	}
	out, err := x.c.CreateMultipartUpload(x.Context(), in)
	assert.NoError(x, err)
	return *out.UploadId
}

func (x *apiTest) part(key, upload string, number int, body string) types.CompletedPart {
	x.Helper()
	out, err := x.c.UploadPart(x.Context(), &s3.UploadPartInput{Bucket: &x.bucket, Key: &key, UploadId: &upload,
		PartNumber: aws.Int32(int32(number)), Body: strings.NewReader(body)})
	assert.NoError(x, err)
	return types.CompletedPart{PartNumber: aws.Int32(int32(number)), ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32,
		ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME, ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256}
}

func (x *apiTest) complete(key, upload string, parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
	x.Helper()
	return x.c.CompleteMultipartUpload(x.Context(), &s3.CompleteMultipartUploadInput{Bucket: &x.bucket, Key: &key, UploadId: &upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
}

// race runs n writers concurrently and counts their error codes; "" is success.
func (x *apiTest) race(n int, write func(i int) error) map[string]int {
	x.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = write(i)
		})
	}
	close(start)
	wg.Wait()
	codes := map[string]int{}
	for _, err := range errs {
		codes[code(x.T, err)]++
	}
	return codes
}

// blobs runs the garbage collector and returns the ids of all stored blobs.
func (x *apiTest) blobs() map[blob.ID]bool {
	x.Helper()
	x.s.Shift(x.T, 4*s3test.Grace) // over what an earlier call has postponed
	x.s.Collect(x.T)
	ids := map[blob.ID]bool{}
	for _, store := range x.s.Gateway.Blobs {
		assert.NoError(x, store.Walk(x.Context(), func(i blob.Info) error {
			ids[i.ID] = true
			return nil
		}))
	}
	return ids
}

// random returns n pseudorandom bytes; n is the seed.
func random(n int) string {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(n >> (i % 4 * 8))
	}
	var b bytes.Buffer
	_, _ = io.CopyN(&b, rand.NewChaCha8(seed), int64(n)) // neither fails
	return b.String()
}

// says checks that the answer's body holds text.
func (r *reply) says(text string) *reply {
	r.t.Helper()
	if !strings.Contains(r.body, text) {
		r.t.Errorf("%s %s answers %.500s, want %q in it", r.resp.Request.Method, r.resp.Request.URL, r.body, text)
	}
	return r
}
