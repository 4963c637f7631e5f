package s3api_test

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

const (
	sse         = "X-Amz-Server-Side-Encryption"
	sseC        = sse + "-Customer-"
	copySSEC    = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
	plainMarker = "THIS IS PLAINTEXT. "
)

// secure sends a request of Alice for the bucket over TLS.
func (x *apiTest) secure(method, target, body string, header ...string) *reply {
	x.Helper()
	r, err := http.NewRequestWithContext(x.Context(), method, x.s.TLSURL+"/"+x.bucket+target, strings.NewReader(body))
	assert.NoError(x, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret}.SignHeader(r, sigv4test.Hash([]byte(body)))
	resp, err := x.s.HTTP.Do(r)
	assert.NoError(x, err)
	return x.reply(resp, []byte(x.read(resp.Body)))
}

// customer returns the headers of a customer's key, which repeats a letter.
func customer(prefix, letter string) []string {
	key := []byte(strings.Repeat(letter, 32))
	sum := md5.Sum(key)
	return []string{prefix + "Algorithm", "AES256", prefix + "Key", base64.StdEncoding.EncodeToString(key),
		prefix + "Key-Md5", base64.StdEncoding.EncodeToString(sum[:])}
}

// stored returns the stored bytes of an object, from its row or from the blob store.
func (x *apiTest) stored(key string) []byte {
	x.Helper()
	b, err := x.s.Store.Bucket(x.Context(), x.bucket)
	assert.NoError(x, err)
	found, err := x.s.Store.Find(x.Context(), b, key, "")
	assert.NoError(x, err)
	v := found.Version
	if v.Inline {
		return v.Payload
	}
	var all []byte
	for _, seg := range v.Segments {
		r, err := x.s.Gateway.Blobs[seg.Store].Open(x.Context(), blob.Ref{ID: seg.Blob, Size: seg.Bytes, Chunk: seg.Chunk, Block: seg.Block}, 0, seg.Bytes)
		assert.NoError(x, err)
		data, err := io.ReadAll(r)
		assert.NoError(x, err)
		assert.NoError(x, r.Close())
		all = append(all, data...)
	}
	return all
}

func plainBodies() map[string]string {
	return map[string]string{"empty": "", "small": plainMarker, "frame": strings.Repeat(plainMarker, 65536/19+1)[:65536], "large": strings.Repeat(plainMarker, 70_000)}
}

func TestEncryptedObjectsAreStoredEncrypted(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for name, headers := range map[string][]string{"SSE-S3": {sse, "AES256"}, "SSE-KMS": {sse, "aws:kms"}, "SSE-C": customer(sseC, "k")} {
			reading := headers
			if name != "SSE-C" {
				reading = nil
			}
			shows := func(r *reply) {
				x.Helper()
				if name == "SSE-C" {
					r.has(sseC+"Algorithm", "AES256", sseC+"Key-Md5", headers[5], sse, "", sseC+"Key", "")
				} else {
					r.has(sse, headers[1], sseC+"Algorithm", "")
				}
				if (name == "SSE-KMS") != (r.header(sse+"-Aws-Kms-Key-Id") != "") {
					x.Errorf("%s: key id %q", name, r.header(sse+"-Aws-Kms-Key-Id"))
				}
			}
			for kind, body := range plainBodies() {
				shows(x.secure("PUT", "/k", body, headers...).want(200, ""))
				shows(x.secure("HEAD", "/k", "", reading...).want(200, "").has("Content-Length", fmt.Sprint(len(body))))
				got := x.secure("GET", "/k", "", reading...).want(200, "")
				shows(got)
				assert.Equal(x, name+" "+kind, got.body, body)
				if raw := x.stored("k"); bytes.Contains(raw, []byte(plainMarker[:12])) || len(raw) < len(body) {
					x.Errorf("%s: %d bytes are stored, in clear: %.40q", name, len(raw), raw)
				}
				if body != "" {
					shows(x.secure("PUT", "/copy", "", append([]string{"X-Amz-Copy-Source", "/" + x.bucket + "/k"}, append(headers, copies(reading)...)...)...).want(200, ""))
					assert.Equal(x, "copy", x.secure("GET", "/copy", "", reading...).body, body)
				}
			}
			created := x.secure("POST", "/parts?uploads", "", headers...).want(200, "")
			shows(created)
			up := between(created.body, "<UploadId>", "</UploadId>")
			one, two := strings.Repeat(plainMarker, 5<<20/19+1), plainMarker
			var etags []any
			for i, body := range []string{one, two} {
				r := x.secure("PUT", fmt.Sprintf("/parts?partNumber=%d&uploadId=%s", i+1, up), body, reading...).want(200, "")
				shows(r)
				etags = append(etags, i+1, r.header("Etag"))
			}
			x.secure("POST", "/parts?uploadId="+up, document(etags...), reading...).want(200, "")
			for _, r := range [][2]int{{0, 0}, {65535, 65536}, {65530, 200_000}, {len(one) - 3, len(one) + 3}, {len(one) + 1, len(one) + 18}} {
				got := x.secure("GET", "/parts", "", append([]string{"Range", fmt.Sprintf("bytes=%d-%d", r[0], r[1])}, reading...)...).want(206, "")
				assert.Equal(x, fmt.Sprint(name, r), got.body, (one + two)[r[0]:r[1]+1])
			}
			if bytes.Contains(x.stored("parts"), []byte(plainMarker[:12])) {
				x.Errorf("%s: parts are stored in clear", name)
			}
		}
	})
}

// copies returns the headers of a customer's key for the source of a copy.
func copies(headers []string) []string {
	var out []string
	for i, h := range headers {
		if i%2 == 0 {
			h = strings.Replace(h, sseC, copySSEC, 1)
		}
		out = append(out, h)
	}
	return out
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestCustomerKeysAreNeededToReadAnything(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		right, wrong := customer(sseC, "r"), customer(sseC, "w")
		for _, body := range []string{plainMarker, strings.Repeat(plainMarker, 30_000)} {
			x.secure("PUT", "/k", body, right...).want(200, "")
			refused := func(r *reply) {
				x.Helper()
				if r.resp.StatusCode != 400 && r.resp.StatusCode != 403 || strings.Contains(r.body, plainMarker[:12]) {
					x.Errorf("%s %s: %d %.100q", r.resp.Request.Method, r.resp.Request.URL, r.resp.StatusCode, r.body)
				}
			}
			attributes := []string{"X-Amz-Object-Attributes", "ETag,ObjectSize"}
			source := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/k"}
			up := between(x.secure("POST", "/target?uploads", "").body, "<UploadId>", "</UploadId>")
			for _, key := range [][]string{nil, wrong} {
				refused(x.secure("GET", "/k", "", key...))
				refused(x.secure("GET", "/k", "", append([]string{"Range", "bytes=0-3"}, key...)...))
				refused(x.secure("HEAD", "/k", "", key...))
				refused(x.secure("GET", "/k?attributes", "", append(attributes, key...)...))
				refused(x.secure("PUT", "/target", "", append(source, copies(key)...)...))
				refused(x.secure("PUT", "/k", "", append(source, append(copies(key), "X-Amz-Metadata-Directive", "REPLACE")...)...))
				refused(x.secure("PUT", "/target?partNumber=1&uploadId="+up, "", append(source, copies(key)...)...))
			}
			refused(x.raw("GET", "/k", ""))
			refused(x.as(s3test.Root, "GET", "/"+x.bucket+"/k", ""))
			x.secure("GET", "/k?attributes", "", append(attributes, right...)...).want(200, "")
			x.secure("PUT", "/rekeyed", "", append(source, append(copies(right), customer(sseC, "n")...)...)...).want(200, "")
			assert.Equal(x, "with the new key", x.secure("GET", "/rekeyed", "", customer(sseC, "n")...).body, body)
			refused(x.secure("GET", "/rekeyed", "", right...))
			x.secure("PUT", "/opened", "", append(source, copies(right)...)...).want(200, "").has(sseC+"Algorithm", "")
			assert.Equal(x, "decrypted", x.get("opened"), body)
			x.put("plain", body)
			refused(x.secure("GET", "/plain", "", right...)) // a key that nothing is encrypted with
		}
		// All parts of an upload have the upload's key.
		up := between(x.secure("POST", "/parts?uploads", "", right...).body, "<UploadId>", "</UploadId>")
		for _, key := range [][]string{nil, wrong} {
			if r := x.secure("PUT", "/parts?partNumber=1&uploadId="+up, plainMarker, key...); r.resp.StatusCode != 400 && r.resp.StatusCode != 403 {
				x.Errorf("part: %d", r.resp.StatusCode)
			}
		}
	})
}

func TestMalformedEncryptionIsRefused(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		good := customer(sseC, "k")
		change := func(i int, value string) []string {
			c := append([]string(nil), good...)
			c[i] = value
			return c
		}
		for _, c := range []struct {
			headers []string
			code    string
		}{
			{[]string{sse, "AES512"}, "InvalidArgument"},
			{[]string{sse, ""}, "InvalidArgument"},
			{[]string{sse, "AES256", sse + "-Aws-Kms-Key-Id", "key"}, "InvalidArgument"},
			{[]string{sse + "-Aws-Kms-Key-Id", "key"}, "InvalidArgument"},
			{[]string{sse, "aws:kms", sse + "-Aws-Kms-Key-Id", "no such key"}, "KMS.NotFoundException"},
			{[]string{sse, "aws:kms", sse + "-Context", "no base64"}, "InvalidArgument"},
			{[]string{sse, "AES256", sse + "-Context", "e30="}, "InvalidArgument"},
			{append([]string{sse, "AES256"}, good...), "InvalidArgument"},
			{change(1, "AES128"), "InvalidEncryptionAlgorithmError"},
			{change(3, "c2hvcnQ="), "InvalidArgument"},
			{change(3, "!"), "InvalidArgument"},
			{change(5, "!"), "InvalidArgument"},
			{change(5, customer(sseC, "other")[5]), "InvalidArgument"},
			{good[:4], "InvalidArgument"},
			{good[2:], "InvalidArgument"},
			{good[:2], "InvalidArgument"},
		} {
			x.secure("PUT", "/k", "body", c.headers...).want(400, c.code)
			x.secure("POST", "/k?uploads", "", c.headers...).want(400, c.code)
		}
		x.raw("GET", "/k", "").want(404, "NoSuchKey")
		x.put("k", "body")
		x.raw("GET", "/k", "", sse, "AES256").want(400, "InvalidArgument")
		// Without TLS the network could read the key.
		x.raw("PUT", "/c", "body", good...).want(400, "InvalidRequest")
		x.raw("GET", "/c", "", good...).want(400, "InvalidRequest")
	})
}

func TestDefaultEncryptionOfABucket(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		configuration := `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>%s</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`
		x.raw("GET", "?encryption", "").want(404, "ServerSideEncryptionConfigurationNotFoundError")
		x.put("old", plainMarker)
		for _, algorithm := range []string{"AES256", "aws:kms"} {
			x.raw("PUT", "?encryption", fmt.Sprintf(configuration, algorithm)).want(200, "")
			x.raw("PUT", "/k", plainMarker).want(200, "").has(sse, algorithm)
			x.raw("GET", "/k", "").want(200, "").has(sse, algorithm)
			x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/old").want(200, "").has(sse, algorithm)
			up := x.upload("parts")
			_, err := x.complete("parts", up, x.part("parts", up, 1, plainMarker))
			assert.NoError(x, err)
			for _, key := range []string{"k", "copy", "parts"} {
				if bytes.Contains(x.stored(key), []byte(plainMarker)) {
					x.Errorf("%s is stored in clear", key)
				}
				assert.Equal(x, key, x.get(key), plainMarker)
			}
			x.secure("PUT", "/c", plainMarker, customer(sseC, "k")...).want(200, "").has(sse, "")
			x.raw("PUT", "/s3", plainMarker, sse, string(types.ServerSideEncryptionAes256)).want(200, "").has(sse, "AES256")
		}
		x.raw("PUT", "?encryption", fmt.Sprintf(configuration, "ROT13")).want(400, "MalformedXML")
		x.raw("DELETE", "?encryption", "").want(204, "")
		x.raw("PUT", "/k", plainMarker).want(200, "").has(sse, "")
	})
}

// The upload determines the encryption of its parts; other headers are refused.
func TestPartsTakeNoEncryptionOfTheirOwn(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const sse = "X-Amz-Server-Side-Encryption"
		x.put("source", "body")
		plain, sealed := x.upload("k"), x.upload("k", func(in *s3.CreateMultipartUploadInput) { in.ServerSideEncryption = "AES256" })
		for _, c := range []struct {
			upload, value string
			status        int
			code          string
		}{
			{plain, "AES256", 400, "InvalidArgument"},
			{sealed, "aws:kms", 400, "InvalidArgument"},
			{sealed, "AES256", 200, ""}, // what the upload is
		} {
			target := "/k?partNumber=1&uploadId=" + c.upload
			x.raw("PUT", target, "body", sse, c.value).want(c.status, c.code)
			x.raw("PUT", target, "", sse, c.value, "X-Amz-Copy-Source", x.bucket+"/source").want(c.status, c.code)
		}
		if r := x.raw("GET", "/k?uploadId="+plain, ""); strings.Contains(r.body, "<Part>") {
			x.Errorf("a refused part is listed: %s", r.body)
		}
	})
}

const sseCBlocked = `<ServerSideEncryptionConfiguration><Rule><BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes></Rule></ServerSideEncryptionConfiguration>`

// BlockedEncryptionTypes refuses customer keys for new objects; existing objects stay
// readable.
func TestBlockedCustomerKeysMakeNothingNew(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		keys := customer(sseC, "a")
		x.secure("PUT", "/old", "body", keys...).want(200, "")
		x.put("plain", "body")
		upload := func(headers ...string) string {
			r := x.secure("POST", "/parts?uploads", "", headers...).want(200, "")
			_, up, _ := strings.Cut(r.body, "<UploadId>")
			up, _, _ = strings.Cut(up, "<")
			return up
		}
		up := upload(keys...)
		etag := x.secure("PUT", "/parts?partNumber=1&uploadId="+up, "body", keys...).want(200, "").header("Etag")

		x.raw("PUT", "?encryption", sseCBlocked).want(200, "")
		x.raw("GET", "?encryption", "").want(200, "").says("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>")
		source := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/plain"}
		for what, r := range map[string]*reply{
			"PutObject":             x.secure("PUT", "/new", "body", keys...),
			"append":                x.secure("PUT", "/old", "more", append(keys, "X-Amz-Write-Offset-Bytes", "4")...),
			"CopyObject":            x.secure("PUT", "/new", "", append(source, keys...)...),
			"CopyObject onto old":   x.secure("PUT", "/old", "", append(append([]string{"X-Amz-Copy-Source", "/" + x.bucket + "/old"}, keys...), customer(copySSEC, "a")...)...),
			"CreateMultipartUpload": x.secure("POST", "/new?uploads", "", keys...),
			"UploadPart":            x.secure("PUT", "/parts?partNumber=2&uploadId="+up, "body", keys...),
			"UploadPartCopy":        x.secure("PUT", "/parts?partNumber=2&uploadId="+up, "", append(source, keys...)...),
			"Complete":              x.secure("POST", "/parts?uploadId="+up, document(1, etag), keys...),
			"Complete without key":  x.secure("POST", "/parts?uploadId="+up, document(1, etag)),
		} {
			if r.resp.StatusCode != 403 || r.Code != "AccessDenied" || !strings.Contains(r.body, "SSE-C") {
				x.Errorf("%s: %d %s", what, r.resp.StatusCode, r.body)
			}
		}
		for _, key := range []string{"new", "parts"} {
			x.raw("HEAD", "/"+key, "").want(404, "")
		}
		assert.Equal(x, "old", x.secure("GET", "/old", "", keys...).want(200, "").body, "body")
		x.secure("PUT", "/copy", "", append([]string{"X-Amz-Copy-Source", "/" + x.bucket + "/old"}, customer(copySSEC, "a")...)...).want(200, "")
		x.raw("PUT", "/new", "body", sse, "AES256").want(200, "")
		x.raw("PUT", "/new?renameObject", "", "X-Amz-Rename-Source", "/"+x.bucket+"/old").want(200, "")

		none := strings.Replace(sseCBlocked, ">SSE-C<", ">NONE<", 1)
		x.raw("PUT", "?encryption", none).want(200, "")
		x.raw("GET", "?encryption", "").want(200, "").says("<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>")
		x.secure("POST", "/parts?uploadId="+up, document(1, etag), keys...).want(200, "")
		x.raw("PUT", "?encryption", sseCBlocked).want(200, "")
		x.raw("DELETE", "?encryption", "").want(204, "")
		x.secure("PUT", "/new", "body", keys...).want(200, "")
	})
}

func TestEncryptionRulesWithAndWithoutADefault(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		const head, tail = `<ServerSideEncryptionConfiguration><Rule>`, `</Rule></ServerSideEncryptionConfiguration>`
		const byDefault, blocked = `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>`,
			`<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>`
		for rule, want := range map[string]string{
			``: `<Rule><BucketKeyEnabled>false</BucketKeyEnabled></Rule>`,
			`<BucketKeyEnabled>true</BucketKeyEnabled>`: `<Rule><BucketKeyEnabled>true</BucketKeyEnabled></Rule>`,
			blocked:             `<Rule><BucketKeyEnabled>false</BucketKeyEnabled>` + blocked + `</Rule>`,
			byDefault:           `<Rule>` + byDefault + `<BucketKeyEnabled>false</BucketKeyEnabled></Rule>`,
			blocked + byDefault: `<Rule>` + byDefault + `<BucketKeyEnabled>false</BucketKeyEnabled>` + blocked + `</Rule>`,
		} {
			x.raw("PUT", "?encryption", head+rule+tail).want(200, "")
			x.raw("GET", "?encryption", "").want(200, "").says(want)
			encrypted := ""
			if strings.Contains(rule, "AES256") {
				encrypted = "AES256"
			}
			x.raw("PUT", "/k", "body").want(200, "").has(sse, encrypted)
			assert.Equal(x, "object", x.get("k"), "body")
		}
		for _, bad := range []string{
			`<ApplyServerSideEncryptionByDefault/>`, `<BlockedEncryptionTypes/>`,
			`<BlockedEncryptionTypes><EncryptionType>SSE-KMS</EncryptionType></BlockedEncryptionTypes>`,
			`<BlockedEncryptionTypes><EncryptionType></EncryptionType></BlockedEncryptionTypes>`,
			`<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>`,
			`</Rule><Rule>`,
		} {
			x.raw("PUT", "?encryption", head+bad+tail).want(400, "MalformedXML")
		}
	})
}

func TestLockRuleWithoutADefaultRetention(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.locked()
		const head, tail = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>", "</ObjectLockConfiguration>"
		x.raw("PUT", "?object-lock", head+"<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>"+tail).want(200, "")
		x.raw("PUT", "?object-lock", head+"<Rule/>"+tail).want(200, "")
		if r := x.raw("GET", "?object-lock", "").want(200, ""); strings.Contains(r.body, "Rule") {
			x.Errorf("a rule is shown: %s", r.body)
		}
		x.raw("PUT", "/k", "body").want(200, "")
		x.raw("HEAD", "/k", "").want(200, "").has("X-Amz-Object-Lock-Mode", "")
		x.raw("PUT", "?object-lock", head+"<Rule><DefaultRetention/></Rule>"+tail).want(400, "MalformedXML")
	})
}

// Only the writes that set the encryption context return it.
func TestEncryptionContextIsAnsweredByWrites(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		context := base64.StdEncoding.EncodeToString([]byte(`{"purpose":"test"}`))
		headers := []string{sse, "aws:kms", sse + "-Context", context}
		x.raw("PUT", "/k", "body", headers...).want(200, "").has(sse, "aws:kms", sse+"-Context", context)
		x.raw("PUT", "/copy", "", append(headers, "X-Amz-Copy-Source", "/"+x.bucket+"/k")...).want(200, "").has(sse+"-Context", context)
		r := x.raw("POST", "/parts?uploads", "", headers...).want(200, "").has(sse+"-Context", context)
		_, up, _ := strings.Cut(r.body, "<UploadId>")
		up, _, _ = strings.Cut(up, "<")
		etag := x.raw("PUT", "/parts?partNumber=1&uploadId="+up, "body").want(200, "").has(sse, "aws:kms", sse+"-Context", "").header("Etag")
		x.raw("POST", "/parts?uploadId="+up, document(1, etag)).want(200, "").has(sse, "aws:kms", sse+"-Context", "")
		for _, key := range []string{"k", "copy", "parts"} {
			for _, method := range []string{"HEAD", "GET"} {
				x.raw(method, "/"+key, "").want(200, "").has(sse, "aws:kms", sse+"-Context", "")
			}
		}
		x.raw("PUT", "/k", "body", sse, "aws:kms").want(200, "").has(sse+"-Context", "")
		x.raw("PUT", "/k", "body", sse, "AES256").want(200, "").has(sse+"-Context", "")
	})
}
