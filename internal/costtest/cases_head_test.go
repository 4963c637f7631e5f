package costtest

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pithos/pithos/internal/s3test"
)

// room is what the hostile part of a request line or header may take under the
// default of service.max-header, 64 KiB.
const room = 60 << 10

// headCases are requests whose cost lies in the request line and the headers.
var headCases = []testCase{
	{"GetObject", small, "an ordinary read", getObject},
	{"AuthorizationGarbage", refused, "an Authorization header is split once", authorizationGarbage},
	{"AuthorizationManyFields", refused, "the fields of an Authorization header are three", authorizationFields},
	{"SignedHeadersMany", refused, "the names in SignedHeaders are looked up in a set", signedHeadersMany},
	{"SignedHeadersLong", refused, "SignedHeaders names headers once each", signedHeadersLong},
	{"SignedQuerySorted", small, "the canonical query is sorted once", signedQuery},
	{"PresignedQueryGiant", refused, "a presigned query is parsed a fixed number of times", presignedQuery},
	{"SignatureV2Subresources", refused, "the sub-resources of a version 2 signature are a fixed set", signatureV2},
	{"HeadersMany", refused, "headers are walked a fixed number of times", headersMany},
	{"QueryMany", refused, "the query is parsed once and looked up in a map", queryMany},
	{"QueryOneNameRepeated", refused, "the query is parsed once and looked up in a map", queryRepeated},
	{"QueryEscapes", refused, "the query is decoded once", queryEscapes},
	{"KeyLong", refused, "a key longer than 1,024 bytes is refused before it is looked up", keyLong},
	{"KeyOfQuotes", refused, "an error answers with a bounded part of what was sent", keyOfQuotes},
	{"KeyEscaped", refused, "a path is decoded once", keyEscaped},
	{"KeySlashes", refused, "a path is not cleaned", keySlashes},
	{"BucketNameLong", refused, "what is no bucket name is not looked up", bucketNameLong},
	{"BucketsMadeUp", refused, "a bucket that does not exist costs one read", bucketsMadeUp},
	{"HostLong", refused, "a host name is compared once with each service URI", hostLong},
	{"MethodLong", refused, "an unknown method is refused by the operation table", methodLong},
	{"AccessKeysMadeUp", refused, "an access key that does not exist costs one read", accessKeysMadeUp},
	{"RangesMany", small, "more than one range is not evaluated", rangesMany},
	{"ETagsMany", small, "the list of If-None-Match is walked once", etagsMany},
	{"DatesGarbage", small, "a date header has few formats", datesGarbage},
	{"ExpectedOwnerLong", refused, "owners are compared once", expectedOwner},
	{"AttributesMany", small, "x-amz-object-attributes is walked once", attributesMany},
	{"MetadataLong", small, "metadata beyond 2 KB is refused", metadataLong},
	{"TaggingHeaderMany", small, "tags are counted before they are decoded", taggingHeader},
	{"EncryptionContext", small, "an encryption context is bounded", encryptionContext},
	{"CopySourceLong", small, "a copy source is decoded once", copySource},
	{"ACLGrantsHeader", small, "grants are counted before grantees are looked up", grantsHeader},
	{"CORSPreflight", refused, "names and patterns of a preflight are bounded and lowered once", corsPreflight},
	{"CORSActualRequest", refused, "CORS rules are parsed once for each change of the bucket", corsActual},
}

// object stores an object and returns its bucket.
func (x *fixture) object() string {
	bucket := x.s.Bucket(x.T)
	x.must(s3test.Alice, "PUT", "/"+bucket+"/key", []byte("body"))
	return bucket
}

func one(status int, request []byte) attack {
	return attack{requests: [][]byte{request}, status: []int{status}}
}

func oneOf(request []byte, status ...int) attack {
	return attack{requests: [][]byte{request}, status: status}
}

func getObject(x *fixture) attack {
	return one(200, x.request(s3test.Alice, "GET", "/"+x.object()+"/key", nil))
}

func authorizationGarbage(x *fixture) attack {
	a := attack{status: []int{400, 403}}
	for _, value := range []string{fill("A", room), fill(" ", room) + "x", fill("AWS ", room), "AWS " + fill(":", room), "AWS4-HMAC-SHA256 " + fill("=", room), "AWS4-HMAC-SHA256 " + fill(",", room)} {
		a.requests = append(a.requests, x.raw("GET", "/"+x.object()+"/key", "Authorization", value))
	}
	return a
}

func (x *fixture) v4(credential, signedHeaders string) string {
	return "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=" + signedHeaders + ", Signature=" + fill("0", 64)
}

func scope() string {
	return time.Now().UTC().Format("20060102") + "/" + s3test.Region + "/s3/aws4_request"
}

func amzDate() string { return time.Now().UTC().Format("20060102T150405Z") }

func authorizationFields(x *fixture) attack {
	return one(400, x.raw("GET", "/", "Authorization", x.v4(s3test.Alice.ID+"/"+scope(), "host")+fill(", Signature=a", room)))
}

// names are n short names of headers, each once.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%x", prefix, i)
	}
	return all
}

func signedHeadersMany(x *fixture) attack {
	header := []string{"Authorization", x.v4(s3test.Alice.ID+"/"+scope(), strings.Join(names("h", room/10), ";")), "X-Amz-Date", amzDate(), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"}
	for _, name := range names("x-amz-", 2000) {
		header = append(header, name, "")
	}
	return oneOf(x.raw("GET", "/", header...), 400, 403, 501)
}

func signedHeadersLong(x *fixture) attack {
	return oneOf(x.raw("GET", "/", "Authorization", x.v4(s3test.Alice.ID+"/"+scope(), "host;x-amz-content-sha256;x-amz-date;"+strings.Join(names("h", room/6), ";")),
		"X-Amz-Date", amzDate(), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), 403, 400)
}

func signedQuery(x *fixture) attack {
	var q strings.Builder
	for i := range room / 7 {
		fmt.Fprintf(&q, "&%x=", (i*7919)%9973)
	}
	return one(200, x.request(s3test.Alice, "GET", "/"+x.object()+"/key?"+q.String()[1:], nil))
}

func presignedQuery(x *fixture) attack {
	return oneOf(x.raw("GET", "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+url.QueryEscape(s3test.Alice.ID+"/"+scope())+"&X-Amz-Date="+amzDate()+
		"&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="+fill("0", 64)+fill("&x-amz-a=%3B", room)), 400, 403)
}

func signatureV2(x *fixture) attack {
	return oneOf(x.raw("GET", "/b/k?"+fill("acl&uploads&versions&tagging&", room), "Authorization", "AWS "+s3test.Alice.ID+":AAAA", "Date", time.Now().UTC().Format(time.RFC1123Z)), 400, 403, 405)
}

func headersMany(x *fixture) attack {
	a := attack{status: []int{403, 400, 431, 501}}
	for _, prefix := range []string{"h", "x-amz-meta-", "x-amz-"} {
		var header []string
		for _, name := range names(prefix, room/(len(prefix)+8)) {
			header = append(header, name, "")
		}
		a.requests = append(a.requests, x.raw("GET", "/"+x.object()+"/key", header...))
	}
	return a
}

func queryMany(x *fixture) attack {
	return one(403, x.raw("GET", "/"+x.object()+"/key?"+strings.Join(names("", room/6), "&")))
}

func queryRepeated(x *fixture) attack {
	bucket := x.object()
	a := attack{status: []int{403, 400, 405}}
	for _, name := range []string{"a", "prefix", "versionId", "acl", "delete"} {
		a.requests = append(a.requests, x.raw("GET", "/"+bucket+"?"+fill(name+"&", room)))
	}
	return a
}

func queryEscapes(x *fixture) attack {
	return oneOf(x.raw("GET", "/"+x.object()+"?prefix="+fill("%C3%A4", room/6*6)+"&marker=%zz"), 400)
}

func keyLong(x *fixture) attack {
	return oneOf(x.raw("GET", "/"+x.object()+"/"+fill("k", room)), 400, 403, 404)
}

func keyOfQuotes(x *fixture) attack {
	bucket := x.object()
	a := attack{status: []int{400, 403, 404, 405}}
	for _, text := range []string{"%22", "'", "&", "%01", "%3C"} {
		a.requests = append(a.requests, x.raw("GET", "/"+bucket+"/"+fill(text, room/len(text)*len(text))), x.raw("PATCH", "/"+bucket+"/"+fill(text, room/len(text)*len(text))),
			x.raw("GET", "/"+bucket+"/k?versionId="+fill(text, room/len(text)*len(text))))
	}
	return a
}

func keyEscaped(x *fixture) attack {
	return oneOf(x.raw("GET", "/"+x.object()+"/"+fill("%25", room/3*3)), 400, 403, 404)
}

func keySlashes(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{x.raw("GET", "/"+bucket+"/"+fill("/", room)), x.raw("GET", "/"+bucket+"/"+fill("../", room)), x.raw("GET", fill("/", room))}, status: []int{400, 403, 404}}
}

func bucketNameLong(x *fixture) attack {
	return attack{requests: [][]byte{x.raw("GET", "/"+fill("b", room)), x.raw("GET", "/"+fill("b", 64<<10+1000)), x.raw("GET", "/"+fill("%00", room/3*3))}, status: []int{400, 403, 404, 414}}
}

func bucketsMadeUp(x *fixture) attack {
	a := attack{status: []int{404}}
	for range 50 {
		a.requests = append(a.requests, x.raw("GET", "/"+s3test.BucketName(x.T)+"/key"))
	}
	return a
}

func hostLong(x *fixture) attack {
	raw := x.raw("GET", "/key")
	host := strings.TrimPrefix(x.s.URL, "http://")
	return attack{requests: [][]byte{[]byte(strings.Replace(string(raw), host, fill("a.", room)+s3test.ServiceURI, 1)), []byte(strings.Replace(string(raw), host, fill("b", room)+"."+s3test.ServiceURI, 1))}, status: []int{400, 403, 404}}
}

func methodLong(x *fixture) attack {
	return oneOf(x.raw(fill("M", room), "/"+x.object()+"/key"), 405)
}

func accessKeysMadeUp(x *fixture) attack {
	a := attack{status: []int{403, 400}}
	for i := range 50 {
		a.requests = append(a.requests, x.raw("GET", "/", "Authorization", x.v4(fill(fmt.Sprintf("%dMADEUP", i), 100+i*1000)+"/"+scope(), "host;x-amz-content-sha256;x-amz-date"),
			"X-Amz-Date", amzDate(), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"))
	}
	return a
}

func rangesMany(x *fixture) attack {
	return oneOf(x.request(s3test.Alice, "GET", "/"+x.object()+"/key", nil, "Range", "bytes="+fill("0-0,1-2,-1,", room)), 200, 206, 416)
}

func etagsMany(x *fixture) attack {
	return oneOf(x.request(s3test.Alice, "GET", "/"+x.object()+"/key", nil, "If-None-Match", fill(`"841a2d689ad86bd1611447453c22c6fc", `, room/2), "If-Match", fill(`"841a2d689ad86bd1611447453c22c6f0",W/"",`, room/2)), 200, 304, 412, 400)
}

func datesGarbage(x *fixture) attack {
	return oneOf(x.request(s3test.Alice, "GET", "/"+x.object()+"/key", nil, "If-Modified-Since", fill("Mon, 02 Jan 2006 15:04:05 GMT", room/2), "If-Unmodified-Since", fill("1", room/2)), 200, 304, 412, 400)
}

func expectedOwner(x *fixture) attack {
	return oneOf(x.raw("GET", "/"+x.object()+"/key", "X-Amz-Expected-Bucket-Owner", fill("o", room)), 400, 403)
}

func attributesMany(x *fixture) attack {
	return oneOf(x.request(s3test.Alice, "GET", "/"+x.object()+"/key?attributes", nil, "X-Amz-Object-Attributes", fill("ETag,ObjectSize,", room)), 200, 400)
}

func metadataLong(x *fixture) attack {
	bucket := x.object()
	header := []string{"X-Amz-Meta-Long", fill("m", room/3)}
	for _, name := range names("x-amz-meta-", room/3/24) {
		header = append(header, name, "v")
	}
	return oneOf(x.request(s3test.Alice, "PUT", "/"+bucket+"/meta", []byte("x"), header...), 400)
}

func taggingHeader(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/k", []byte("x"), "X-Amz-Tagging", strings.Join(names("", room/7), "=&")),
		x.request(s3test.Alice, "PUT", "/"+bucket+"/k", []byte("x"), "X-Amz-Tagging", "k="+fill("%41", room/3*3)),
	}, status: []int{400}}
}

func encryptionContext(x *fixture) attack {
	return oneOf(x.request(s3test.Alice, "PUT", "/"+x.object()+"/k", []byte("x"), "X-Amz-Server-Side-Encryption", "aws:kms", "X-Amz-Server-Side-Encryption-Context", fill("eyJhIjp7ImEiOnsiYSI6", room/20*20)), 400, 501)
}

func copySource(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/k", nil, "X-Amz-Copy-Source", "/"+bucket+"/"+fill("%25", room/3*3)),
		x.request(s3test.Alice, "PUT", "/"+bucket+"/k", nil, "X-Amz-Copy-Source", fill("/", room)),
		x.request(s3test.Alice, "PUT", "/"+bucket+"/k", nil, "X-Amz-Copy-Source", "/"+bucket+"/key?versionId="+fill("v", room)),
	}, status: []int{400, 404}}
}

func grantsHeader(x *fixture) attack {
	bucket := x.object()
	return attack{requests: [][]byte{
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?acl", nil, "X-Amz-Grant-Read", strings.TrimSuffix(fill("id=alice,id=bobby,", room/18*18), ",")),
		x.request(s3test.Alice, "PUT", "/"+bucket+"/key?acl", nil, "X-Amz-Grant-Read", "id="+strings.Join(names("absent", room/20), ",id=")),
	}, status: []int{400}}
}

// worstCORS stores n AllowedHeaders, or as many as a PUT accepts, of which the
// last one alone matches.
func (x *fixture) worstCORS(bucket string, n int, origin, header string) {
	x.largest(n, "/"+bucket+"?cors", func(n int) string {
		return "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod>" +
			strings.Repeat("<AllowedOrigin>"+origin+"</AllowedOrigin>", n) + "<AllowedOrigin>*</AllowedOrigin>" +
			strings.Repeat("<AllowedHeader>"+header+"</AllowedHeader>", n) + "<AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>"
	})
}

func corsPreflight(x *fixture) attack {
	bucket := x.object()
	x.worstCORS(bucket, 900, "*X", "*X")
	a := attack{status: []int{200, 400, 403}}
	for _, asked := range []string{fill("a,", room), strings.Join(names("AA", room/7), ","), fill("A", room), fill(" ", room)} {
		a.requests = append(a.requests, x.raw("OPTIONS", "/"+bucket+"/key", "Origin", "http://example.com", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", asked))
	}
	return a
}

func corsActual(x *fixture) attack {
	bucket := x.object()
	x.worstCORS(bucket, 900, "h*X", "*X")
	return oneOf(x.raw("GET", "/"+bucket+"/key", "Origin", "http://"+fill("a", room)), 400, 403)
}
