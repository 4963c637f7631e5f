package s3api_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// hugePart adds a part's row to an upload, without stored bytes.
func (x *apiTest) hugePart(key, upload string, number int, size int64) (etag string) {
	x.Helper()
	b, err := x.s.Store.Bucket(x.Context(), x.bucket)
	assert.NoError(x, err)
	u, err := x.s.Store.Upload(x.Context(), b, key, upload)
	assert.NoError(x, err)
	var blobs string
	for blobs = range x.s.Gateway.Blobs {
		break
	}
	etag = strings.Repeat(strconv.Itoa(number%10), 32)
	assert.NoError(x, x.s.Gateway.Meta.PutPart(x.Context(), *u, meta.Part{Number: number, Size: size, ETag: etag, Modified: time.Now().UnixMicro(), CRC64: make([]byte, 8),
		Segments: []meta.Segment{{Store: blobs, Blob: meta.NewID(), Bytes: size, Size: size, Part: number}}}))
	return `"` + etag + `"`
}

// The largest object is one of 10,000 parts of 5 GiB: AWS' 50 TB.
func TestObjectsOf50TB(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		if store.MaxObjectBytes != 53_687_091_200_000 {
			x.Fatalf("the largest object has %d bytes", int64(store.MaxObjectBytes))
		}
		size := strconv.FormatInt(store.MaxObjectBytes, 10)
		up := x.upload("k")
		one, two := x.hugePart("k", up, 1, store.MaxObjectBytes), x.hugePart("k", up, 2, 1)
		x.raw("POST", "/k?uploadId="+up, document(1, one, 2, two)).want(400, "EntityTooLarge").
			says("<ProposedSize>" + strconv.FormatInt(store.MaxObjectBytes+1, 10) + "</ProposedSize>").says("<MaxSizeAllowed>" + size + "</MaxSizeAllowed>")
		one = x.hugePart("k", up, 1, store.MaxObjectBytes-1)
		x.raw("POST", "/k?uploadId="+up, document(1, one, 2, two), "X-Amz-Mp-Object-Size", "1").want(400, "InvalidRequest")
		x.raw("POST", "/k?uploadId="+up, document(1, one, 2, two), "X-Amz-Mp-Object-Size", size).want(200, "")
		x.raw("HEAD", "/k", "").want(200, "").has("Content-Length", size)
		x.raw("HEAD", "/k?partNumber=2", "").want(206, "").has("Content-Length", "1", "Content-Range", fmt.Sprintf("bytes %d-%d/%s", int64(store.MaxObjectBytes)-1, int64(store.MaxObjectBytes)-1, size))
		x.raw("HEAD", "/k", "", "Range", "bytes=-1").want(206, "").has("Content-Length", "1")
		x.raw("HEAD", "/k", "", "Range", "bytes="+size+"-").want(416, "").has("Content-Range", "bytes */"+size)
		for _, listing := range []string{"", "?list-type=2", "?versions"} {
			x.raw("GET", listing, "").want(200, "").says("<Size>" + size + "</Size>")
		}
		x.raw("GET", "/k?attributes", "", "X-Amz-Object-Attributes", "ObjectSize").want(200, "").says("<ObjectSize>" + size + "</ObjectSize>")
		x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(400, "InvalidRequest")
		x.raw("PUT", "/k", "x", "X-Amz-Write-Offset-Bytes", size).want(400, "EntityTooLarge")
		other := x.upload("other")
		x.raw("PUT", "/other?partNumber=1&uploadId="+other, "", "X-Amz-Copy-Source", "/"+x.bucket+"/k").want(400, "InvalidRequest")
	})
}
