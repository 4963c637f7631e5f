package s3api

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pithos/pithos/meta"
)

func fooConditions(more ...any) []any {
	return append([]any{list{"starts-with", "$key", "foo"}}, more...)
}

// foo returns a form for the key foo.txt without a signature.
func foo(more ...string) *testForm {
	return newTestForm(closedBucket).set("key", "foo.txt").set(more...)
}

// refusals are forms that are refused, with code and a part of the answer.
// Where only the document differs, signV2 signs it.
var refusals = []struct {
	name   string
	form   *testForm
	status int
	code   string
	part   string
}{
	{"anonymous where only the owner may write", foo(), 403, "AccessDenied", ""},
	{"no key", newTestForm(openBucket), 400, "InvalidArgument", "a field named 'key'"},
	{"empty key", newTestForm(openBucket).set("key", ""), 400, "InvalidArgument", "User key must have a length greater than 0."},
	{"key too long", newTestForm(openBucket).set("key", strings.Repeat("k", 1025)), 400, "KeyTooLongError", ""},
	{"key is not UTF-8", newTestForm(openBucket).set("key", "a\xff"), 400, "InvalidURI", ""},
	{"field twice", foo("acl", "private", "ACL", "public-read"), 400, "InvalidArgument", "more than once"},
	{"no file", &testForm{bucket: openBucket, fields: [][2]string{{"key", "k"}}, noFile: true}, 400, "IncorrectNumberOfFilesInPostRequest", ""},
	{"two files", &testForm{bucket: openBucket, fields: [][2]string{{"key", "k"}}, after: [][2]string{{"file", "x"}}}, 400, "IncorrectNumberOfFilesInPostRequest", ""},
	{"fields too large", foo("x-ignore-me", strings.Repeat("x", 20<<10)), 400, "MaxPostPreDataLengthExceededError", ""},
	{"file names make fields too large", named(foo("x-amz-meta-a", strings.Repeat("${filename}", 1800)), strings.Repeat("n", 1024)), 400, "MaxPostPreDataLengthExceededError", ""},
	{"another bucket in the field", newTestForm(openBucket).set("key", "k", "bucket", closedBucket), 400, "InvalidArgument", "another bucket"},
	{"unknown x-amz field", newTestForm(openBucket).set("key", "k", "x-amz-fold", "twice"), 501, "NotImplemented", "x-amz-fold"},
	{"control characters", newTestForm(openBucket).set("key", "k", "x-amz-meta-a", "a\r\nb"), 400, "InvalidArgument", "control characters"},
	{"a name that is no header's", newTestForm(openBucket).set("key", "k", "x-amz-meta-a b", "c"), 400, "InvalidArgument", "not that of a header"},
	{"acl by two names", newTestForm(openBucket).set("key", "k", "acl", "private", "x-amz-acl", "public-read"), 400, "InvalidArgument", "contradicts"},
	{"unknown acl", newTestForm(openBucket).set("key", "k", "acl", "everyone"), 400, "InvalidArgument", ""},
	{"unknown storage class", newTestForm(openBucket).set("key", "k", "x-amz-storage-class", "TAPE"), 400, "InvalidStorageClass", ""},
	{"malformed tagging", newTestForm(openBucket).set("key", "k", "tagging", "<Tagging>"), 400, "MalformedXML", ""},
	{"wrong tag", newTestForm(openBucket).set("key", "k", "tagging", "<Tagging><TagSet><Tag><Key>aws:x</Key><Value/></Tag></TagSet></Tagging>"), 400, "InvalidTag", ""},
	{"tagging by two names", newTestForm(openBucket).set("key", "k", "x-amz-tagging", "a=b", "tagging", "<Tagging><TagSet/></Tagging>"), 400, "InvalidArgument", "both"},
	{"checksum of another file", newTestForm(openBucket).set("key", "k", "x-amz-checksum-crc32", "AAAAAA=="), 400, "BadDigest", ""},
	{"checksum that is none", newTestForm(openBucket).set("key", "k", "x-amz-checksum-sha256", "sailorjerry"), 400, "BadDigest", "SHA256"},
	{"MD5 of another file", newTestForm(openBucket).set("key", "k", "Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="), 400, "BadDigest", ""},
	{"MD5 that is none", newTestForm(openBucket).set("key", "k", "Content-MD5", "x"), 400, "InvalidDigest", ""},
	{"customer key without TLS", newTestForm(openBucket).set("key", "k", "x-amz-server-side-encryption-customer-algorithm", "AES256"), 400, "InvalidRequest", "secure connection"},

	{"header and form", headed(newTestForm(openBucket).set("key", "k"), "Authorization", "AWS a:b"), 400, "InvalidArgument", "Only one auth mechanism"},
	{"acl in the header", headed(newTestForm(openBucket).set("key", "k"), "X-Amz-Acl", "public-read"), 400, "InvalidArgument", "by a field"},
	{"hash of another form", headed(newTestForm(openBucket).set("key", "k"), "X-Amz-Content-Sha256", strings.Repeat("0", 64)), 400, "XAmzContentSHA256Mismatch", ""},
	{"not a form", headed(newTestForm(openBucket), "Content-Type", "application/x-www-form-urlencoded"), 412, "PreconditionFailed", "multipart/form-data"},
	{"no boundary", headed(newTestForm(openBucket), "Content-Type", "multipart/form-data"), 400, "MalformedPOSTRequest", ""},
	{"another boundary", headed(newTestForm(openBucket), "Content-Type", "multipart/form-data; boundary=x"), 400, "MalformedPOSTRequest", ""},

	{"v2 unknown key", foo("AWSAccessKeyId", "unknown", "policy", "e30=", "signature", "x"), 403, "InvalidAccessKeyId", ""},
	{"v2 wrong signature", foo("AWSAccessKeyId", formAccessKey, "policy", "e30=", "signature", "x"), 403, "SignatureDoesNotMatch", ""},
	{"v2 no signature", foo().signV2("{}").drop("signature"), 400, "InvalidArgument", "a field named 'Signature'"},
	{"v2 no access key", foo().signV2("{}").drop("AWSAccessKeyId"), 400, "InvalidArgument", "a field named 'AWSAccessKeyId'"},
	{"v2 no policy", foo().signV2("{}").drop("policy"), 400, "InvalidArgument", "a field named 'policy'"},
	{"policy alone", foo("policy", "e30="), 400, "InvalidArgument", "a field named 'AWSAccessKeyId'"},
	{"v2 with session token", foo("x-amz-security-token", "t").signV2("{}"), 400, "InvalidToken", ""},
	{"both versions", foo().signV2("{}").signV4("{}").drop("policy"), 400, "InvalidArgument", "Only one auth mechanism"},

	{"v4 unknown key", foo().signV4("{}").replace("x-amz-credential", "unknown/20260314/us-east-1/s3/aws4_request"), 403, "InvalidAccessKeyId", ""},
	{"v4 wrong signature", foo().signV4("{}").replace("policy", "e30K"), 403, "SignatureDoesNotMatch", ""},
	{"v4 signed for another region", foo().signV4("{}").replace("x-amz-credential", formAccessKey+"/20260314/eu-west-1/s3/aws4_request"), 403, "SignatureDoesNotMatch", ""},
	{"v4 for another service", foo().signV4("{}").replace("x-amz-credential", formAccessKey+"/20260314/us-east-1/ec2/aws4_request"), 400, "AuthorizationQueryParametersError", ""},
	{"v4 malformed credential", foo().signV4("{}").replace("x-amz-credential", "us-east-1/s3/aws4_request"), 400, "InvalidArgument", "X-Amz-Credential"},
	{"v4 credential of another day", foo().signV4("{}").replace("x-amz-date", "20260313T150900Z"), 400, "InvalidArgument", "X-Amz-Date"},
	{"v4 date that is none", foo().signV4("{}").replace("x-amz-date", "today"), 400, "InvalidArgument", "X-Amz-Date"},
	{"v4 from the future", foo().signV4("{}").replace("x-amz-date", "20260314T235900Z"), 403, "AccessDenied", "not valid yet"},
	{"v4 unknown algorithm", foo().signV4("{}").replace("x-amz-algorithm", "AWS4-HMAC-MD5"), 400, "InvalidArgument", "X-Amz-Algorithm"},
	{"v4 no signature", foo().signV4("{}").drop("x-amz-signature"), 400, "InvalidArgument", "a field named 'X-Amz-Signature'"},
	{"v4 no date", foo().signV4("{}").drop("x-amz-date"), 400, "InvalidArgument", "a field named 'X-Amz-Date'"},
	{"v4 with session token", foo("x-amz-security-token", "t").signV4("{}"), 400, "InvalidToken", ""},
	{"v4 fields that no condition covers", foo().signV4(policyOf(closedBucket, fooConditions()...)), 403, "AccessDenied", "Extra input fields: x-amz-algorithm, x-amz-credential, x-amz-date"},

	{"policy for another bucket", newTestForm(openBucket).set("key", "foo", "bucket", closedBucket).signV2(policyOf(closedBucket, fooConditions()...)), 403, "AccessDenied", "Policy Condition failed"},
	{"field that no condition covers", foo("x-amz-meta-a", "b").signV2(policyOf(closedBucket, fooConditions()...)), 403, "AccessDenied", "Extra input fields: x-amz-meta-a"},
	{"condition on a field that is not there", foo().signV2(policyOf(closedBucket, fooConditions(list{"starts-with", "$x-amz-meta-a", "b"})...)), 403, "AccessDenied", "Policy Condition failed"},
	{"eq is not met", foo("acl", "public-read").signV2(policyOf(closedBucket, fooConditions(map[string]string{"acl": "private"})...)), 403, "AccessDenied", "Policy Condition failed"},
	{"values are case-sensitive", foo("acl", "Private").signV2(policyOf(closedBucket, fooConditions(map[string]string{"acl": "private"})...)), 403, "AccessDenied", "Policy Condition failed"},
	{"one of the content types does not fit", foo("Content-Type", "image/png,text/plain").signV2(policyOf(closedBucket, fooConditions(list{"starts-with", "$Content-Type", "image/"})...)), 403, "AccessDenied", "Policy Condition failed"},
	{"file too large", foo().signV2(policyOf(closedBucket, fooConditions(list{"content-length-range", 0, 15})...)), 400, "EntityTooLarge", ""},
	{"file too small", foo().signV2(policyOf(closedBucket, fooConditions(list{"content-length-range", 17, 100})...)), 400, "EntityTooSmall", ""},
	{"file fits one range of two", foo().signV2(policyOf(closedBucket, fooConditions(list{"content-length-range", 0, 100}, list{"content-length-range", 17, 1000})...)), 400, "EntityTooSmall", ""},
	{"expired", foo().signV2(`{"expiration":"2026-03-14T15:09:26Z","conditions":[{"bucket":"form-closed"},["eq","$key","foo.txt"]]}`), 403, "AccessDenied", "Invalid according to Policy: Policy expired."},
	{"invalid policy", foo().signV2(`{"expiration":"2026-03-14T16:00:00Z"}`), 400, "InvalidPolicyDocument", "Policy missing conditions"},
}

func headed(f *testForm, name, value string) *testForm {
	f.header = http.Header{name: {value}}
	return f
}

func named(f *testForm, filename string) *testForm {
	f.filename = filename
	return f
}

func TestPostRefuses(t *testing.T) {
	a := formServer(t, nil)
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			wantAnswer(t, c.form.send(a), c.status, c.code, c.part)
			wantAnswer(t, post(a, c.form, iotest.OneByteReader(bytes.NewReader(c.form.encode()))), c.status, c.code, c.part)
		})
	}
	wantNothing(t, a, openBucket)
	wantNothing(t, a, closedBucket)
}

// accepted are forms that are stored as foo.txt.
var accepted = []struct {
	name string
	form *testForm
}{
	{"anonymous where anybody may write", newTestForm(openBucket).set("key", "foo.txt", "acl", "public-read", "Content-Type", "text/plain")},
	{"fields that say nothing to S3", newTestForm(openBucket).set("key", "foo.txt", "submit", "Upload", "x-ignore-a", "1", "x-ignore-a", "2")},
	{"the right hash of the body", sealed(newTestForm(openBucket).set("key", "foo.txt"))},
	{"v2", foo().signV2(policyOf(closedBucket, fooConditions()...))},
	{"v4", foo().signV4(policyOf(closedBucket, append(v4Conditions, fooConditions()...)...))},
	{"expiration without fraction", foo().signV2(`{"expiration":"2026-03-14T15:09:27Z","conditions":[{"bucket":"form-closed"},["eq","$key","foo.txt"]]}`)},
	{"names in any case", newTestForm(closedBucket).set("kEy", "foo.txt", "aCl", "private").
		signV2(policyOf(closedBucket, list{"StArTs-WiTh", "$KeY", "foo"}, map[string]string{"AcL": "private"}))},
	{"ignored fields need no condition", foo("x-ignore-me", "1").signV2(policyOf(closedBucket, fooConditions()...))},
	{"checksums need no condition", foo("x-amz-checksum-crc32", crc32Of("the file's bytes")).signV2(policyOf(closedBucket, fooConditions()...))},
	{"the bucket in a field", foo("bucket", closedBucket).signV2(policyOf(closedBucket, fooConditions()...))},
	{"list of content types", foo("Content-Type", "image/png, image/gif").signV2(policyOf(closedBucket, fooConditions(list{"starts-with", "$Content-Type", "image/"})...))},
	{"condition that takes a field's absence", foo().signV2(policyOf(closedBucket, fooConditions(list{"starts-with", "$x-amz-server-side-encryption", ""})...))},
	{"file of just the right size", foo().signV2(policyOf(closedBucket, fooConditions(list{"content-length-range", 16, 16})...))},
	{"key from the file's name", named(newTestForm(closedBucket).set("key", "${filename}"), "foo.txt").signV2(policyOf(closedBucket, fooConditions()...))},
	{"key from a file's path on Windows", named(newTestForm(openBucket).set("key", "${filename}"), `C:\Users\me/foo.txt`)},
	{"fields behind the file are ignored", behind(newTestForm(openBucket).set("key", "foo.txt"), "x-amz-meta-late", "1")},
}

// sealed declares the hash of the form's body.
func sealed(f *testForm) *testForm {
	return headed(f, "X-Amz-Content-Sha256", hexSHA256(f.encode()))
}

func behind(f *testForm, name, value string) *testForm {
	f.after = append(f.after, [2]string{name, value})
	return f
}

func TestPostStores(t *testing.T) {
	a := formServer(t, nil)
	for _, c := range accepted {
		for pace, body := range map[string]func([]byte) io.Reader{
			"whole":         func(b []byte) io.Reader { return bytes.NewReader(b) },
			"single bytes":  func(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) },
			"data with EOF": func(b []byte) io.Reader { return iotest.DataErrReader(bytes.NewReader(b)) },
		} {
			t.Run(c.name+"/"+pace, func(t *testing.T) {
				wantAnswer(t, post(a, c.form, body(c.form.encode())), 204, "", "")
				o, data := stored(t, a, c.form.bucket, "foo.txt")
				if data != c.form.file {
					t.Errorf("stored %q, want %q", data, c.form.file)
				}
				if len(o.Version.Metadata) > 0 {
					t.Errorf("metadata %v, want none", o.Version.Metadata)
				}
				removeObject(t, a, c.form.bucket, "foo.txt")
			})
		}
	}
}

func TestPostKeepsWhatTheFieldsSay(t *testing.T) {
	a := formServer(t, nil)
	f := named(newTestForm(openBucket), "pic.png").set(
		"key", "up/${filename}", "Content-Type", "image/png", "Cache-Control", "no-cache", "Content-Disposition", `attachment; filename="${filename}"`,
		"Content-Encoding", "identity", "Content-Language", "de", "Expires", "Thu, 01 Dec 2033 16:00:00 GMT",
		"x-amz-meta-Name", "${filename}", "x-amz-storage-class", "COLD", "x-amz-website-redirect-location", "/elsewhere",
		"x-amz-server-side-encryption", "AES256", "x-amz-checksum-crc32", "9PVAqg==",
		"tagging", "<Tagging><TagSet><Tag><Key>a b</Key><Value>1=2&#43;</Value></Tag></TagSet></Tagging>")
	f.file = "The quick brown fox"
	sum := md5.Sum([]byte(f.file))
	f.set("Content-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	f.replace("x-amz-checksum-crc32", crc32Of(f.file))
	res := f.send(a)
	wantAnswer(t, res, 204, "", "")
	o, data := stored(t, a, openBucket, "up/pic.png")
	v := o.Version
	for name, want := range map[string]string{"Content-Type": "image/png", "Cache-Control": "no-cache", "Content-Disposition": `attachment; filename="pic.png"`,
		"Content-Encoding": "identity", "Content-Language": "de", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT", "X-Amz-Website-Redirect-Location": "/elsewhere"} {
		if v.Headers[name] != want {
			t.Errorf("%s is %q, want %q", name, v.Headers[name], want)
		}
	}
	switch {
	case data != f.file:
		t.Errorf("stored %q", data)
	case v.Metadata["name"] != "pic.png":
		t.Errorf("metadata %v", v.Metadata)
	case v.Class != "COLD" || v.Encryption == nil || v.Owner != AnonymousID:
		t.Errorf("class %q, encryption %v, owner %q", v.Class, v.Encryption, v.Owner)
	case len(v.Tags) != 1 || v.Tags[0] != meta.Tag{Key: "a b", Value: "1=2+"}:
		t.Errorf("tags %v", v.Tags)
	case res.Header.Get("ETag") != quote(v.ETag) || res.Header.Get("X-Amz-Server-Side-Encryption") != "AES256":
		t.Errorf("answered %v", res.Header)
	}
}

func TestPostEncryptsWithTheCustomersKey(t *testing.T) {
	a := formServer(t, func(o *Options) { o.AllowInsecureSSEC = true })
	wantAnswer(t, newTestForm(openBucket).set("key", "k",
		"x-amz-server-side-encryption-customer-algorithm", "AES256",
		"x-amz-server-side-encryption-customer-key", "pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=",
		"x-amz-server-side-encryption-customer-key-md5", "DWygnHRtgiJ77HCm+1rvHw==").send(a), 204, "", "")
	b, err := a.store.Bucket(t.Context(), openBucket)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := a.version(t.Context(), b, "k", "")
	if err != nil || v.Encryption == nil || v.Encryption.KeyMD5 != "DWygnHRtgiJ77HCm+1rvHw==" {
		t.Fatalf("encryption %+v, %v: want the customer's key", v, err)
	}
}

func TestPostAnswersAsAsked(t *testing.T) {
	a := formServer(t, nil)
	const location = "http://s3.example.org/form-open/a/b%20c"
	for _, c := range []struct {
		name           string
		fields         []string
		status         int
		location, body string
	}{
		{"by default", nil, 204, location, ""},
		{"200", []string{"success_action_status", "200"}, 200, location, ""},
		{"204", []string{"success_action_status", "204"}, 204, location, ""},
		{"a status that is not offered", []string{"success_action_status", "404"}, 204, location, ""},
		{"201", []string{"success_action_status", "201"}, 201, location,
			"<PostResponse><Location>" + location + "</Location><Bucket>form-open</Bucket><Key>a/b c</Key><ETag>&#34;"},
		{"redirect", []string{"success_action_redirect", "https://e.org/p?x=1#f", "success_action_status", "201"}, 303,
			"https://e.org/p?x=1&bucket=form-open&key=a%2Fb%20c&etag=%22", ""},
		{"redirect by its old name", []string{"redirect", "https://e.org/"}, 303, "https://e.org/?bucket=form-open&key=a%2Fb%20c&etag=%22", ""},
		{"redirect to what is no URL", []string{"success_action_redirect", "e.org", "success_action_status", "200"}, 200, location, ""},
		{"redirect to a script", []string{"success_action_redirect", "javascript:alert(1)"}, 204, location, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := newTestForm(openBucket).set("key", "a/b c").set(c.fields...).send(a)
			if got := res.Header.Get("Location"); !strings.HasPrefix(got, c.location) {
				t.Errorf("Location is %q, want %q", got, c.location)
			}
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.status || !strings.Contains(strings.ReplaceAll(string(body), "&quot;", "&#34;"), c.body) || c.body == "" && len(body) > 0 {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, body, c.status, c.body)
			}
		})
	}
}

func TestPostHonoursTheServersSettings(t *testing.T) {
	v2 := foo().signV2(policyOf(closedBucket, fooConditions()...))
	a := formServer(t, func(o *Options) { o.DisableV2 = true })
	wantAnswer(t, v2.send(a), 400, "InvalidRequest", "AWS4-HMAC-SHA256")
	wantNothing(t, a, closedBucket)

	v4 := foo().signV4(policyOf(closedBucket, append(v4Conditions, fooConditions()...)...))
	wantAnswer(t, v4.send(a), 204, "", "")
	a = formServer(t, func(o *Options) { o.EnforceRegion, o.Region = true, "eu-west-1" })
	wantAnswer(t, v4.send(a), 400, "AuthorizationQueryParametersError", "eu-west-1")
	wantNothing(t, a, closedBucket)
}

func TestPostOverwritesOnlyWholly(t *testing.T) {
	a := formServer(t, nil)
	f := newTestForm(openBucket).set("key", "k")
	f.file = "old"
	wantAnswer(t, f.send(a), 204, "", "")
	f.file = strings.Repeat("new", 1<<20)
	whole := f.encode()
	for _, cut := range []int{len(whole) - 1, len(whole) - 3, len(whole) - len(formBoundary), len(whole) / 2} {
		wantAnswer(t, post(a, f, bytes.NewReader(whole[:cut])), 400, "MalformedPOSTRequest", "closing boundary")
		wantAnswer(t, post(a, f, io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(io.ErrUnexpectedEOF))), 400, "IncompleteBody", "")
	}
	if _, data := stored(t, a, openBucket, "k"); data != "old" {
		t.Fatalf("%d bytes are stored, want the old ones", len(data))
	}
	wantAnswer(t, f.send(a), 204, "", "")
	if _, data := stored(t, a, openBucket, "k"); data != f.file {
		t.Fatalf("%d bytes are stored, want %d", len(data), len(f.file))
	}
}

func TestPostOverTheWire(t *testing.T) {
	a := formServer(t, nil)
	srv := httptest.NewServer(a)
	defer srv.Close()
	f := newTestForm(openBucket).set("key", "wire")
	f.file = strings.Repeat("0123456789abcdef", 1<<16)
	res, err := http.Post(srv.URL+"/"+openBucket, "multipart/form-data; boundary="+formBoundary, bytes.NewReader(f.encode()))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 204 {
		t.Fatalf("got %d", res.StatusCode)
	}
	if _, data := stored(t, a, openBucket, "wire"); data != f.file {
		t.Fatalf("%d bytes are stored, want %d", len(data), len(f.file))
	}
	// A connection that breaks within the file leaves the object unchanged.
	conn, err := net.DialTimeout("tcp", srv.Listener.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	body := f.replace("key", "cut").encode()
	head := "POST /" + openBucket + " HTTP/1.1\r\nHost: s3\r\nContent-Type: multipart/form-data; boundary=" + formBoundary +
		"\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n"
	if _, err := io.WriteString(conn, head+string(body[:len(body)/2])); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	if !bytes.Contains(answer, []byte("IncompleteBody")) {
		t.Fatalf("got %s", answer)
	}
}
