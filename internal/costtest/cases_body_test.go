package costtest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

// bodyCases are uploads and forms.
var bodyCases = []testCase{
	{"PutObject", small, "an ordinary write", putObject},
	{"PutGiantRefused", refused, "authorization comes before the body", putGiant},
	{"PutBodyRefused", refused, "authorization comes before the body", putBody},
	{"ChunksOfOneByte", small, "chunks of less than 8 KiB are refused, but for the last one", chunksSmall},
	{"ChunkExtensionLong", small, "the head of a chunk is bounded", chunkExtension},
	{"ChunksOfHTTPSmall", small, "a body is read through a buffer", chunksHTTP},
	{"TrailerLong", small, "a trailer is bounded", trailerLong},
	{"TrailersDeclaredMany", small, "a trailer is bounded", trailersDeclared},
	{"ChecksumHeadersMany", small, "one checksum is calculated", checksumHeaders},
	{"FormManyFields", refused, "the fields of a form are bounded", formFields},
	{"FormLongField", refused, "the fields of a form are bounded", formLongField},
	{"FormBoundaries", refused, "a form is read in linear time", formBoundaries},
	{"FormPartHeaders", refused, "the headers of a part are bounded", formPartHeaders},
	{"FormPolicy", refused, "the policy of a form is bounded with its fields", formPolicy},
	{"FormOfNoBucket", refused, "the fields of a form are bounded", formOfNoBucket},
	{"NotImplementedBody", refused, "what is not implemented reads no body", notImplemented},
}

func putObject(x *fixture) attack {
	body := []byte(fill("body", 64<<10))
	return one(200, x.request(s3test.Alice, "PUT", "/"+x.s.Bucket(x.T)+"/key", body))
}

func putGiant(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{
		x.raw("PUT", "/"+bucket+"/key", "Content-Length", "5000000000"),
		x.raw("PUT", "/"+bucket+"/key", "Content-Length", "999999999999999999"),
		x.raw("POST", "/"+bucket+"?delete", "Content-Length", "5000000000"),
	}, status: []int{400, 403, 413}}
}

func putBody(x *fixture) attack {
	return one(403, x.request(s3test.Bob, "PUT", "/"+x.object()+"/key", []byte(fill("x", 8<<20))))
}

// chunked is a PUT with an aws-chunked body.
func (x *fixture) chunked(payload string, b sigv4test.Body) []byte {
	x.Helper()
	r := x.s.Request(x.T, unsigned, "PUT", "/"+x.s.Bucket(x.T)+"/key", nil)
	x.signer().SignChunked(r, payload, b)
	return x.bytes(r)
}

func (x *fixture) signer() sigv4test.Signer {
	return sigv4test.Signer{AccessKey: s3test.Alice.ID, Secret: s3test.Alice.Secret, Region: s3test.Region}
}

func chunksSmall(x *fixture) attack {
	data := []byte(fill("x", 32<<10))
	return attack{requests: [][]byte{
		x.chunked(sigv4test.Chunked, sigv4test.Body{Data: data, ChunkSize: 1}),
		x.chunked(sigv4test.UnsignedTrailer, sigv4test.Body{Data: data, ChunkSize: 1, Trailer: [][2]string{{"x-amz-checksum-crc32", "AAAAAA=="}}}),
	}, status: []int{200, 400, 403}}
}

func chunkExtension(x *fixture) attack {
	a := attack{status: []int{400, 403}}
	for _, head := range []string{"1;" + fill("x", 4<<20), fill("0", 4<<20), "1;chunk-signature=" + fill("a", 4<<20)} {
		r := x.s.Request(x.T, unsigned, "PUT", "/"+x.s.Bucket(x.T)+"/key", []byte(head))
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("X-Amz-Decoded-Content-Length", "1000")
		x.signer().SignHeader(r, sigv4test.Chunked)
		a.requests = append(a.requests, x.bytes(r))
	}
	return a
}

func chunksHTTP(x *fixture) attack {
	r := x.s.Request(x.T, unsigned, "PUT", "/"+x.s.Bucket(x.T)+"/key", nil)
	r.ContentLength = -1
	r.Body = http.NoBody
	x.signer().SignHeader(r, sigv4test.Unsigned)
	raw := strings.TrimSuffix(string(x.bytes(r)), "\r\n")
	raw = strings.Replace(raw, "Content-Length: 0\r\n", "", 1)
	return oneOf([]byte(raw+"Transfer-Encoding: chunked\r\n\r\n"+fill("1\r\nx\r\n", 6<<17)+"0\r\n\r\n"), 200, 400, 411)
}

func trailerLong(x *fixture) attack {
	return attack{requests: [][]byte{
		x.chunked(sigv4test.UnsignedTrailer, sigv4test.Body{Data: []byte("x"), Trailer: [][2]string{{"x-amz-checksum-crc32", fill("A", 4<<20)}}}),
	}, status: []int{400, 403, 431}}
}

func trailersDeclared(x *fixture) attack {
	r := x.s.Request(x.T, unsigned, "PUT", "/"+x.s.Bucket(x.T)+"/key", nil)
	r.Header.Set("X-Amz-Trailer", strings.Join(names("x-amz-checksum-", room/24), ","))
	x.signer().SignChunked(r, sigv4test.UnsignedTrailer, sigv4test.Body{Data: []byte("x")})
	return oneOf(x.bytes(r), 400, 403)
}

func checksumHeaders(x *fixture) attack {
	header := []string{}
	for _, name := range []string{"crc32", "crc32c", "crc64nvme", "sha1", "sha256"} {
		header = append(header, "X-Amz-Checksum-"+name, "AAAAAA==")
	}
	return oneOf(x.request(s3test.Alice, "PUT", "/"+x.s.Bucket(x.T)+"/key", []byte(fill("x", 1<<20)), header...), 400)
}

const boundary = "boundary"

// form is an anonymous POST of a form.
func (x *fixture) form(bucket, boundary, body string) []byte {
	return x.request(unsigned, "POST", "/"+bucket, []byte(body), "Content-Type", "multipart/form-data; boundary="+boundary)
}

func field(name, value string) string {
	return "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
}

const formEnd = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\nx\r\n--" + boundary + "--\r\n"

var formStatus = []int{400, 403, 404, 412}

func formFields(x *fixture) attack {
	bucket := x.object()
	var b strings.Builder
	for i := range 5000 {
		b.WriteString(field(fmt.Sprint("x-amz-meta-", i), ""))
	}
	return attack{requests: [][]byte{
		x.form(bucket, boundary, b.String()+formEnd),
		x.form(bucket, boundary, strings.Repeat(field("x-ignore-a", ""), 5000)+formEnd),
		x.form(bucket, boundary, strings.Repeat(field("", ""), 5000)+formEnd),
	}, status: formStatus}
}

func formLongField(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{
		x.form(bucket, boundary, field("key", fill("k", 4<<20))+formEnd),
		x.form(bucket, boundary, field(fill("n", 4<<20), "v")+formEnd),
		x.form(bucket, boundary, field("key", "k")+strings.Replace(formEnd, `"f"`, `"`+fill("f", 4<<20)+`"`, 1)),
		x.form(bucket, boundary, fill("preamble\r\n", 4<<20)+formEnd),
	}, status: formStatus}
}

func formBoundaries(x *fixture) attack {
	bucket := x.object()
	long := fill("-", 70)
	return attack{requests: [][]byte{
		x.form(bucket, long, fill("-", 4<<20)),
		x.form(bucket, long, "--"+long+"\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n"+fill("\r\n"+fill("-", 71), 4<<20)),
		x.form(bucket, boundary, fill("\r\n--boundar", 4<<20)),
		x.form(bucket, boundary, strings.Repeat("--"+boundary+"\r\n\r\n", 4<<20/14)),
		x.request(unsigned, "POST", "/"+bucket, []byte("x"), "Content-Type", "multipart/form-data; "+fill(`a="\";`, room)+"boundary=b"),
		x.request(unsigned, "POST", "/"+bucket, []byte("x"), "Content-Type", "multipart/form-data; "+strings.Join(names("p", room/8), `="";`)),
		x.request(unsigned, "POST", "/"+bucket, []byte("x"), "Content-Type", "multipart/form-data; "+strings.Join(names("p", room/11), `*=a;`)),
	}, status: formStatus}
}

func formPartHeaders(x *fixture) attack {
	bucket := x.object()
	part := "--" + boundary + "\r\nContent-Disposition: form-data; name=\"key\"\r\n"
	return attack{requests: [][]byte{
		x.form(bucket, boundary, part+fill("A: b\r\n", 60<<10/6*6)+"\r\n\r\nk\r\n"+formEnd),
		x.form(bucket, boundary, part+strings.Join(names("a", 5000), ": b\r\n")+": b\r\n\r\nk\r\n"+formEnd),
		x.form(bucket, boundary, part+"A: "+fill("b", 4<<20)+"\r\n\r\nk\r\n"+formEnd),
		x.form(bucket, boundary, part+fill("Content-Disposition: form-data; name=\"key\"\r\n", 44*1000)+"\r\nk\r\n"+formEnd),
	}, status: formStatus}
}

func formPolicy(x *fixture) attack {
	bucket := x.object()
	a := attack{status: formStatus}
	for _, policy := range []string{
		`{"expiration":"2100-01-01T00:00:00Z","conditions":[` + fill(`{"a":"b"},`, 14_000) + `{"a":"b"}]}`,
		`{"expiration":"2100-01-01T00:00:00Z","conditions":` + fill(`[`, 14_000),
		`{"expiration":"2100-01-01T00:00:00Z","conditions":[` + fill(`["starts-with","$key",""],`, 13_988) + `{"a":"b"}]}`,
		fill(`{"expiration":`, 14_000),
		fill(`\u0022`, 14_000),
	} {
		signed := field("key", "k") + field("policy", base64.StdEncoding.EncodeToString([]byte(policy))) + field("x-amz-algorithm", "AWS4-HMAC-SHA256") +
			field("x-amz-credential", s3test.Alice.ID+"/"+scope()) + field("x-amz-date", amzDate()) + field("x-amz-signature", fill("0", 64))
		a.requests = append(a.requests, x.form(bucket, boundary, signed+formEnd))
	}
	return a
}

func formOfNoBucket(x *fixture) attack {
	return attack{requests: [][]byte{x.form(s3test.BucketName(x.T), boundary, field("key", fill("k", 1<<20))+formEnd)}, status: formStatus}
}

func notImplemented(x *fixture) attack {
	bucket := x.object()
	a := attack{status: []int{403, 501}}
	for _, q := range []string{"lifecycle", "replication", "website", "notification"} {
		a.requests = append(a.requests, x.request(s3test.Bob, "PUT", "/"+bucket+"?"+q, []byte(fill("<a>", 60<<10))))
	}
	return a
}
