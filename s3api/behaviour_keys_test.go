package s3api_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pithos/pithos/internal/assert"
	"github.com/pithos/pithos/internal/s3test"
)

// oddKeys are keys that S3 allows.
var oddKeys = []string{
	"a", " ", "  leading", "trailing ", "a//b", "//a", "/a", "a/", "a//", "/", "//", ".", "..", "./a", "a/./b", "a/../b", "../../etc/passwd", "a/..",
	"a+b", "a%b", "%2F", "%252F", "%", "+", "a?b", "a&b=c", "a#b", "a;b", "a=b", "a:b", "a@b", "a,b", "a$b", "a!b", "a*b", "a'b", `a"b`, "a(b)", "a<b>", `a\b`, "a|b", "a^b", "a`b", "a{b}", "a[b]", "a~b", "a_b-c.d",
	"\x01", "a\nb", "a\rb", "a\tb", "\x1f\x7f", "grüße", "世界/世界", "e\u0301", "\u00e9", "😀", "\u2028", "\ufeff", "\uffff", "\U0010ffff", "acl", "uploads", "?acl", "?versionId=x",
	strings.Repeat("k", 1024), strings.Repeat("ü", 512), strings.Repeat("a/", 512),
}

// escapeKey encodes every byte that is neither unreserved nor a slash.
func escapeKey(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
}

func TestEveryLegalKey(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		host := []string{"Host", x.bucket + "." + s3test.ServiceURI}
		for _, key := range oddKeys {
			path := "/" + escapeKey(key)
			x.as(s3test.Alice, "PUT", path, "body of "+key, host...).want(200, "")
			assert.Equal(x, "by path", x.raw("GET", path, "").want(200, "").body, "body of "+key)
			assert.Equal(x, "by host", x.as(s3test.Alice, "GET", path, "", host...).want(200, "").body, "body of "+key)
			assert.Equal(x, "with the slash escaped", x.raw("GET", "/"+strings.ReplaceAll(path[1:], "/", "%2F"), "").want(200, "").body, "body of "+key)
			_, err := x.c.CopyObject(x.Context(), &s3.CopyObjectInput{Bucket: &x.bucket, Key: ptr("copy"), CopySource: ptr(x.bucket + path)})
			assert.NoError(x, err)
			assert.Equal(x, "copied", x.get("copy"), "body of "+key)
		}
		x.deleteKey("copy")
		want := slices.Sorted(slices.Values(oddKeys))
		for _, kind := range []string{"v1", "v2"} {
			if got := x.pages(kind, 1000, url.Values{}); !slices.Equal(got, want) {
				x.Errorf("%s lists %d keys of %d", kind, len(got), len(want))
			}
		}
		x.order(want)
		// The SDK's XML can name all keys but those with control characters.
		controls := 0
		var objects []types.ObjectIdentifier
		for _, key := range oddKeys {
			if strings.ContainsFunc(key, func(r rune) bool { return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xffff }) {
				controls++
				written := []string{strings.NewReplacer("\x01", "&#x1;", "\x1f", "&#31;", "\x7f", "&#127;", "\uffff", "&#xFFFF;").Replace(key), key}[controls%2]
				doc := "<Delete><Quiet>true</Quiet><Object><Key>" + written + "</Key></Object></Delete>"
				if r := x.raw("POST", "?delete", doc, sumHeader("CRC32"), sumOf("CRC32", doc)).want(200, ""); strings.Contains(r.body, "<Error>") {
					x.Errorf("deleting %q: %s", key, r.body)
				}
				continue
			}
			objects = append(objects, types.ObjectIdentifier{Key: &key})
		}
		out, err := x.c.DeleteObjects(x.Context(), &s3.DeleteObjectsInput{Bucket: &x.bucket, Delete: &types.Delete{Objects: objects}})
		assert.NoError(x, err)
		if len(out.Errors) != 0 || len(out.Deleted) != len(objects) {
			x.Errorf("%d deleted, errors %v", len(out.Deleted), out.Errors)
		}
		if left := x.list(url.Values{}).items(); len(left) != 0 {
			x.Errorf("left: %q", left)
		}
	})
}

// order checks that keys are listed in the order of their bytes.
func (x *apiTest) order(want []string) {
	x.Helper()
	var got []string
	for _, k := range x.list(url.Values{}).Contents {
		got = append(got, k.Key)
	}
	if !slices.Equal(got, want) {
		x.Errorf("the order is %q", got)
	}
}

func TestIllegalKeysAndAddresses(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.raw("PUT", "/"+strings.Repeat("k", 1025), "body").want(400, "KeyTooLongError")
		x.raw("PUT", "/"+strings.Repeat("%C3%BC", 513), "body").want(400, "KeyTooLongError")
		x.raw("PUT", "/%FF", "body").want(400, "InvalidURI")
		x.raw("PUT", "/%C3", "body").want(400, "InvalidURI")
		x.raw("GET", "?prefix=%FF", "").want(400, "InvalidURI")
		long := strings.Repeat("k", 1025)
		out, err := x.c.DeleteObjects(x.Context(), &s3.DeleteObjectsInput{Bucket: &x.bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &long}, {Key: ptr("fine")}}}})
		assert.NoError(x, err)
		if len(out.Errors) != 1 || *out.Errors[0].Code != "KeyTooLongError" || len(out.Deleted) != 1 {
			x.Errorf("got %+v", out)
		}
		if left := x.list(url.Values{}).items(); len(left) != 0 {
			x.Errorf("left: %q", left)
		}
	})
}

func TestEncodingTypeURL(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		for _, key := range []string{"a b+c/é%", "a b+c/x\x01", "a b+c/sub dir/x"} {
			x.put(key, "body")
		}
		x.upload("a b+c/up ü")
		for _, listing := range []string{"?", "?list-type=2&", "?versions&", "?uploads&"} {
			r := x.raw("GET", listing+"encoding-type=url&prefix=a%20b%2Bc%2F&delimiter=%20&max-keys=1&max-uploads=1", "").want(200, "")
			if !strings.Contains(r.body, "<EncodingType>url</EncodingType>") || !strings.Contains(r.body, "<Delimiter>%20</Delimiter>") {
				x.Errorf("%s: %s", listing, r.body)
			}
			r = x.raw("GET", listing+"encoding-type=url", "").want(200, "")
			for _, want := range []string{"a%20b%2Bc/%C3%A9%25</", "a%20b%2Bc/x%01</"} {
				if listing == "?uploads&" {
					want = "a%20b%2Bc/up%20%C3%BC</"
				}
				if !strings.Contains(r.body, want) {
					x.Errorf("%s does not show %s: %s", listing, want, r.body)
				}
			}
			x.raw("GET", listing+"encoding-type=base64", "").want(400, "InvalidArgument")
		}
	})
}
