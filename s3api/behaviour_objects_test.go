package s3api_test

import (
	"encoding/xml"
	"fmt"
	"mime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

func tagging(tags ...string) string {
	var b strings.Builder
	for i := 0; i < len(tags); i += 2 {
		fmt.Fprintf(&b, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", tags[i], tags[i+1])
	}
	return "<Tagging><TagSet>" + b.String() + "</TagSet></Tagging>"
}

// tags reads an object's tags, as key=value in order.
func (x *apiTest) tags(target string) string {
	x.Helper()
	var doc struct {
		TagSet struct{ Tag []struct{ Key, Value string } }
	}
	assert.NoError(x, xml.Unmarshal([]byte(x.raw("GET", target, "").want(200, "").body), &doc))
	var all []string
	for _, t := range doc.TagSet.Tag {
		all = append(all, t.Key+"="+t.Value)
	}
	return strings.Join(all, " ")
}

func manyTags(n int) []string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprint("k", i), "v")
	}
	return tags
}

func TestTagLimits(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		for _, target := range []string{"/k?tagging", "?tagging"} {
			most, done := 10, 200
			if target == "?tagging" {
				most, done = 50, 200
			}
			x.raw("PUT", target, tagging(manyTags(most)...)).want(done, "")
			x.raw("PUT", target, tagging(strings.Repeat("ü", 128), strings.Repeat("ü", 256))).want(done, "")
			x.raw("PUT", target, tagging("a b+c-d=e.f_g:h/i@j", "")).want(done, "")
			for _, bad := range [][]string{manyTags(most + 1), {strings.Repeat("k", 129), "v"}, {"k", strings.Repeat("v", 257)}, {"", "v"}, {"k", "a", "k", "b"}, {"aws:k", "v"}, {"k!", "v"}, {"k", "v&lt;"}} {
				r := x.raw("PUT", target, tagging(bad...))
				if r.resp.StatusCode != 400 || r.Code != "InvalidTag" && r.Code != "BadRequest" {
					x.Errorf("%.60v: %d %s", bad, r.resp.StatusCode, r.Code)
				}
			}
			if got := x.tags(target); got != "a b+c-d=e.f_g:h/i@j=" {
				x.Errorf("after refusals: %s", got)
			}
			x.raw("DELETE", target, "").want(204, "")
		}
		x.raw("GET", "?tagging", "").want(404, "NoSuchTagSet")
		if got := x.tags("/k?tagging"); got != "" {
			x.Errorf("left: %s", got)
		}
		x.raw("PUT", "/none?tagging", tagging("a", "b")).want(404, "NoSuchKey")
		x.raw("PUT", "/k?tagging", "<Tagging/>").want(400, "MalformedXML")
	})
}

func TestTagsByHeaderVersionAndCopy(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.versioning(types.BucketVersioningStatusEnabled)
		one := x.raw("PUT", "/k", "body", "X-Amz-Tagging", "b=2&a=1%2B1&c").want(200, "").header("X-Amz-Version-Id")
		x.raw("HEAD", "/k", "").has("X-Amz-Tagging-Count", "3")
		two := *x.put("k", "body").VersionId
		x.raw("PUT", "/k?tagging&versionId="+two, tagging("two", "2")).want(200, "").has("X-Amz-Version-Id", two)
		source := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/k?versionId=" + one}
		x.raw("PUT", "/copied", "", source...).want(200, "")
		x.raw("PUT", "/replaced", "", append(source, "X-Amz-Tagging-Directive", "REPLACE", "X-Amz-Tagging", "new=tag")...).want(200, "")
		x.raw("PUT", "/none", "", append(source, "X-Amz-Tagging-Directive", "REPLACE")...).want(200, "")
		x.raw("PUT", "/bad", "", append(source, "X-Amz-Tagging-Directive", "MERGE")...).want(400, "InvalidArgument")
		up := x.upload("parts", func(in *s3.CreateMultipartUploadInput) { in.Tagging = ptr("p=q") })
		_, err := x.complete("parts", up, x.part("parts", up, 1, "body"))
		assert.NoError(x, err)
		for target, want := range map[string]string{"/k?tagging&versionId=" + one: "a=1+1 b=2 c=", "/k?tagging": "two=2",
			"/copied?tagging": "a=1+1 b=2 c=", "/replaced?tagging": "new=tag", "/none?tagging": "", "/parts?tagging": "p=q"} {
			if got := x.tags(target); got != want {
				x.Errorf("%s: %q, want %q", target, got, want)
			}
		}
		for _, bad := range []string{"%zz", "a=1&a=2", strings.Join(strings.Fields(strings.Repeat("k= ", 11)), "&"), "aws:x=1"} {
			if r := x.raw("PUT", "/k", "body", "X-Amz-Tagging", bad); r.resp.StatusCode != 400 {
				x.Errorf("%s: %d", bad, r.resp.StatusCode)
			}
		}
	})
}

func TestUserMetadata(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		odd := []string{"X-Amz-Meta-Mixed-CASE", "Value with  spaces", "X-Amz-Meta-U", "grüße, 世界", "X-Amz-Meta-Symbols", `"a=b;c",'d'<&>\%41+`, "X-Amz-Meta-Empty", "",
			"X-Amz-Meta-Under_score.dot", "1"}
		x.raw("PUT", "/k", "body", append(odd, "Cache-Control", "no-store", "Content-Disposition", `attachment; filename="ü"`, "Content-Encoding", "gzip",
			"Content-Language", "de", "Content-Type", "text/x", "Expires", "Thu, 01 Dec 2030 16:00:00 GMT")...).want(200, "")
		for _, method := range []string{"GET", "HEAD"} {
			r := x.raw(method, "/k", "").want(200, "").has("Cache-Control", "no-store", "Content-Disposition", `attachment; filename="ü"`, "Content-Encoding", "gzip",
				"Content-Language", "de", "Content-Type", "text/x", "Expires", "Thu, 01 Dec 2030 16:00:00 GMT")
			for i := 0; i < len(odd); i += 2 {
				// Metadata that is not ASCII is returned in the encoding of RFC 2047, as on AWS.
				got, err := new(mime.WordDecoder).DecodeHeader(r.header(odd[i]))
				assert.NoError(x, err)
				if got != odd[i+1] {
					x.Errorf("%s: %q, want %q", odd[i], got, odd[i+1])
				}
			}
		}
		full := strings.Repeat("v", 2048-len("key"))
		x.raw("PUT", "/full", "body", "X-Amz-Meta-Key", full).want(200, "")
		x.raw("HEAD", "/full", "").has("X-Amz-Meta-Key", full)
		x.raw("PUT", "/over", "body", "X-Amz-Meta-Key", full+"v").want(400, "MetadataTooLarge")
		x.raw("POST", "/over?uploads", "", "X-Amz-Meta-Key", full+"v").want(400, "MetadataTooLarge")
		x.raw("GET", "/over", "").want(404, "NoSuchKey")
	})
}

func TestCopyDirectives(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/k", "body", "X-Amz-Meta-A", "1", "Content-Type", "text/x", "Cache-Control", "no-store").want(200, "")
		from := []string{"X-Amz-Copy-Source", "/" + x.bucket + "/k"}
		x.raw("PUT", "/copied", "", append(from, "X-Amz-Meta-B", "2", "Content-Type", "text/y")...).want(200, "")
		x.raw("HEAD", "/copied", "").has("X-Amz-Meta-A", "1", "X-Amz-Meta-B", "", "Content-Type", "text/x", "Cache-Control", "no-store")
		x.raw("PUT", "/replaced", "", append(from, "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-B", "2", "Content-Type", "text/y")...).want(200, "")
		x.raw("HEAD", "/replaced", "").has("X-Amz-Meta-A", "", "X-Amz-Meta-B", "2", "Content-Type", "text/y", "Cache-Control", "")
		x.raw("PUT", "/k", "", from...).want(400, "InvalidRequest") // onto itself, with nothing changed
		x.raw("PUT", "/k", "", append(from, "X-Amz-Storage-Class", "STANDARD")...).want(200, "")
		x.raw("PUT", "/k", "", append(from, "X-Amz-Tagging-Directive", "SOME")...).want(400, "InvalidArgument").says("Unknown tagging directive")
		x.raw("PUT", "/k", "", append(from, "X-Amz-Metadata-Directive", "REPLACE", "X-Amz-Meta-C", "3")...).want(200, "")
		x.raw("HEAD", "/k", "").has("X-Amz-Meta-A", "", "X-Amz-Meta-C", "3", "Content-Length", "4")
		x.raw("PUT", "/k", "", append(from, "X-Amz-Metadata-Directive", "KEEP")...).want(400, "InvalidArgument")
		x.raw("PUT", "/k", "", append(from, sse, "AES256")...).want(200, "").has(sse, "AES256")
		assert.Equal(x, "encrypted in place", x.get("k"), "body")
		for source, want := range map[string]string{"/" + x.bucket + "/none": "NoSuchKey", "/no-such-bucket-at-all/k": "NoSuchBucket", "nonsense": "InvalidArgument", "/" + x.bucket + "/": "InvalidArgument",
			"/" + x.bucket + "/k?versionId=": "InvalidArgument", "/" + x.bucket + "/%zz": "InvalidArgument"} {
			if r := x.raw("PUT", "/x", "", "X-Amz-Copy-Source", source); r.Code != want {
				x.Errorf("%s: %d %s, want %s", source, r.resp.StatusCode, r.Code, want)
			}
		}
	})
}

func TestStorageClasses(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/k", "body", "X-Amz-Storage-Class", "STANDARD").want(200, "")
		x.raw("HEAD", "/k", "").has("X-Amz-Storage-Class", "")
		for _, r := range []*reply{x.raw("PUT", "/k", "new", "X-Amz-Storage-Class", "NO_SUCH"), x.raw("POST", "/k?uploads", "", "X-Amz-Storage-Class", "NO_SUCH"),
			x.raw("PUT", "/copy", "", "X-Amz-Copy-Source", "/"+x.bucket+"/k", "X-Amz-Storage-Class", "standard")} {
			r.want(400, "InvalidStorageClass")
		}
		for _, listing := range []string{"", "?list-type=2", "?versions"} {
			if r := x.raw("GET", listing, ""); !strings.Contains(r.body, "<StorageClass>STANDARD</StorageClass>") {
				x.Errorf("%s: %s", listing, r.body)
			}
		}
		assert.Equal(x, "object", x.get("k"), "body")
	})
}

func TestAppends(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		offset := func(n int) []string { return []string{"X-Amz-Write-Offset-Bytes", fmt.Sprint(n)} }
		want := ""
		before := x.blobs()
		for i, piece := range []string{"first ", "second ", random(300_000), random(70_000), "", "end"} {
			headers := offset(len(want))
			if i == 3 {
				headers = append(headers, "X-Amz-Checksum-Sha256", sumOf("SHA256", piece))
			}
			want += piece
			x.raw("PUT", "/log", piece, headers...).want(200, "").has("X-Amz-Object-Size", fmt.Sprint(len(want)))
			assert.Equal(x, "log", x.get("log"), want)
		}
		for _, bad := range []int{0, len(want) - 1, len(want) + 1} {
			x.raw("PUT", "/log", "x", offset(bad)...).want(400, "InvalidWriteOffset")
		}
		x.raw("PUT", "/log", "x", "X-Amz-Write-Offset-Bytes", "-1").want(400, "InvalidArgument")
		x.raw("PUT", "/log", "x", append(offset(len(want)), "X-Amz-Checksum-Crc32", sumOf("CRC32", "y"))...).want(400, "BadDigest")
		x.raw("PUT", "/log", "x", append(offset(len(want)), "If-Match", wrongETag)...).want(412, "PreconditionFailed")
		x.raw("PUT", "/none", "x", offset(1)...).want(400, "InvalidWriteOffset")
		assert.Equal(x, "after refusals", x.get("log"), want)
		x.raw("GET", "/log", "", "Range", fmt.Sprintf("bytes=%d-%d", 300_000, 320_000)).want(206, "")
		codes := x.race(6, func(int) error {
			_, err := x.c.PutObject(x.Context(), &s3.PutObjectInput{Bucket: &x.bucket, Key: ptr("log"), WriteOffsetBytes: ptr(int64(len(want))), Body: strings.NewReader("racer")})
			return err
		})
		if codes[""] != 1 || codes["InvalidWriteOffset"] != 5 {
			x.Errorf("got %v", codes)
		}
		assert.Equal(x, "one racer", x.get("log"), want+"racer")
		x.deleteKey("log")
		if after := x.blobs(); len(after) != len(before) {
			x.Errorf("%d blobs are left", len(after)-len(before))
		}
	})
}

func TestRenames(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, body := range []string{"small", random(1<<20 + 1)} {
			etag := x.raw("PUT", "/from here+%25", body, "X-Amz-Meta-A", "1", "X-Amz-Tagging", "a=b", sse, "AES256").want(200, "").header("Etag")
			rename := func(to, from string, status int, code string, headers ...string) {
				x.Helper()
				x.raw("PUT", to+"?renameObject", "", append([]string{"X-Amz-Rename-Source", from}, headers...)...).want(status, code)
			}
			const source = "from%20here%2B%25"
			x.put("taken", "taken")
			rename("/taken", source, 412, "PreconditionFailed", "If-None-Match", "*")
			rename("/to", source, 412, "PreconditionFailed", "X-Amz-Rename-Source-If-Match", wrongETag)
			rename("/to", "none", 404, "NoSuchKey")
			rename("/from here+%25", source, 400, "InvalidRequest")
			rename("/to", "%zz", 400, "InvalidArgument")
			rename("/to", "/"+x.bucket+"/"+source, 200, "", "X-Amz-Rename-Source-If-Match", etag, "If-None-Match", "*")
			x.raw("HEAD", "/to", "").want(200, "").has("X-Amz-Meta-A", "1", sse, "AES256", "X-Amz-Tagging-Count", "1", "Etag", etag)
			assert.Equal(x, "renamed", x.get("to"), body)
			x.raw("GET", "/"+source, "").want(404, "NoSuchKey")
			x.deleteKey("to")
		}
		if got := x.list(map[string][]string{}).items(); !slices.Equal(got, []string{"taken"}) {
			x.Errorf("got %q", got)
		}
	})
}

func TestBodiesOfEverySizeAndSignatureComeBack(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, n := range []int{0, 1, 4095, 4096, 4097, 65535, 65536, 524288, 524289, 1 << 20, 3<<20 + 7} {
			x.chunked("/k", sigv4test.Chunked, random(n)).want(200, "")
			assert.Equal(x, fmt.Sprint(n), x.get("k"), random(n))
			x.raw("HEAD", "/k", "").has("Content-Length", fmt.Sprint(n), "Content-Encoding", "")
		}
	})
}
