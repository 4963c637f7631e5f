package sigv2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv2/sigv2test"
)

const (
	exampleKey    = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2015, 6, 1, 12, 0, 0, 0, time.UTC)

func exampleSigner() sigv2test.Signer {
	return sigv2test.Signer{AccessKey: exampleKey, Secret: exampleSecret, Time: exampleTime}
}

func newRequest(t testing.TB, method, target string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = r.URL.Host
	return r
}

// overTheWire returns the request as a server receives it.
func overTheWire(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func verify(r *http.Request, bucket string, now time.Time) (*Auth, error) {
	a, err := Parse(r)
	if err != nil {
		return nil, err
	}
	return a, Verify(a, exampleSecret, bucket, Options{Now: now})
}

func signedPut(t testing.TB) *http.Request {
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/a%20key?partNumber=1&uploadId=abc")
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("X-Amz-Meta-A", "b")
	exampleSigner().SignHeader(r)
	return overTheWire(t, r)
}

func presignedGet(t testing.TB) *http.Request {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/a%20key?versionId=1")
	exampleSigner().Presign(r, time.Hour)
	return overTheWire(t, r)
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
}

func addQuery(text string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += text }
}

func inQuery(old, new string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, new, 1) }
}

func code(err error) s3err.Code {
	var e *s3err.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err == nil {
		return "ok"
	}
	return s3err.Code("not an *s3err.Error: " + err.Error())
}

func checkError(t *testing.T, err error, want s3err.Code) {
	t.Helper()
	if code(err) != want && (err == nil || err.Error() != string(want)) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestHeaderFormErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		now    time.Duration
		want   s3err.Code
	}{
		"good":                       {func(*http.Request) {}, 0, "ok"},
		"14 minutes late":            {func(*http.Request) {}, 14 * time.Minute, "ok"},
		"16 minutes late":            {func(*http.Request) {}, 16 * time.Minute, s3err.RequestTimeTooSkewed},
		"16 minutes early":           {func(*http.Request) {}, -16 * time.Minute, s3err.RequestTimeTooSkewed},
		"no key and signature":       {setHeader("Authorization", "AWS"), 0, s3err.InvalidArgument},
		"no colon":                   {setHeader("Authorization", "AWS HAHAHA"), 0, "InvalidArgument: AWS authorization header is invalid.  Expected AwsAccessKeyId:signature"},
		"no key":                     {setHeader("Authorization", "AWS :x"), 0, s3err.InvalidArgument},
		"no signature":               {setHeader("Authorization", "AWS x:"), 0, s3err.InvalidArgument},
		"another signature":          {setHeader("Authorization", "AWS x:FWeDfwojDSdS2Ztmpfeubhd9isU="), 0, s3err.SignatureDoesNotMatch},
		"two headers":                {func(r *http.Request) { r.Header.Add("Authorization", "AWS x:y") }, 0, s3err.InvalidArgument},
		"no date":                    {setHeader("Date", ""), 0, s3err.AccessDenied},
		"bad date":                   {setHeader("Date", "Bad Date"), 0, s3err.AccessDenied},
		"bad x-amz-date":             {setHeader("X-Amz-Date", "Bad Date"), 0, s3err.AccessDenied},
		"date before the epoch":      {setHeader("X-Amz-Date", "Sat, 07 Jul 1950 21:53:04 GMT"), 0, s3err.AccessDenied},
		"date of another age":        {setHeader("X-Amz-Date", "Wed, 07 Jul 2010 21:53:04 GMT"), 0, s3err.RequestTimeTooSkewed},
		"weekday wrong, date far":    {setHeader("X-Amz-Date", "Tue, 07 Jul 9999 21:53:04 GMT"), 0, s3err.RequestTimeTooSkewed},
		"another date":               {setHeader("Date", exampleTime.Add(time.Second).Format(http.TimeFormat)), 0, s3err.SignatureDoesNotMatch},
		"x-amz-date added":           {setHeader("X-Amz-Date", exampleTime.Add(time.Second).Format(http.TimeFormat)), 0, s3err.SignatureDoesNotMatch},
		"content type changed":       {setHeader("Content-Type", "text/html"), 0, s3err.SignatureDoesNotMatch},
		"md5 added":                  {setHeader("Content-Md5", "x"), 0, s3err.SignatureDoesNotMatch},
		"x-amz header added":         {setHeader("X-Amz-Acl", "public-read"), 0, s3err.SignatureDoesNotMatch},
		"x-amz header changed":       {setHeader("X-Amz-Meta-A", "c"), 0, s3err.SignatureDoesNotMatch},
		"another header added":       {setHeader("Cache-Control", "no-cache"), 0, "ok"},
		"method changed":             {func(r *http.Request) { r.Method = "DELETE" }, 0, s3err.SignatureDoesNotMatch},
		"path changed":               {func(r *http.Request) { r.URL.Path = "/bucket/b" }, 0, s3err.SignatureDoesNotMatch},
		"sub-resource changed":       {inQuery("partNumber=1", "partNumber=2"), 0, s3err.SignatureDoesNotMatch},
		"sub-resource added":         {addQuery("&acl"), 0, s3err.SignatureDoesNotMatch},
		"sub-resources in any order": {func(r *http.Request) { r.URL.RawQuery = "uploadId=abc&partNumber=1" }, 0, "ok"},
		"other parameter added":      {addQuery("&prefix=x"), 0, "ok"},
		"two mechanisms":             {addQuery("&Signature=x"), 0, s3err.InvalidArgument},
		"two versions":               {addQuery("&X-Amz-Algorithm=x"), 0, s3err.InvalidArgument},
		"query with bad escape":      {addQuery("&a=%zz"), 0, s3err.InvalidURI},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedPut(t)
			c.change(r)
			_, err := verify(r, "", exampleTime.Add(c.now))
			checkError(t, err, c.want)
		})
	}
}

func TestPresignedFormErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		now    time.Duration
		want   s3err.Code
	}{
		"good":                     {func(*http.Request) {}, 0, "ok"},
		"long before":              {func(*http.Request) {}, -24 * time.Hour, "ok"},
		"in the last second":       {func(*http.Request) {}, time.Hour, "ok"},
		"expired":                  {func(*http.Request) {}, time.Hour + time.Second, "AccessDenied: Request has expired"},
		"no key":                   {inQuery("AWSAccessKeyId", "Key"), 0, s3err.AccessDenied},
		"no signature":             {inQuery("Signature", "Sig"), 0, s3err.AccessDenied},
		"no expiry":                {inQuery("Expires", "Exp"), 0, s3err.AccessDenied},
		"expiry twice":             {addQuery("&Expires=9999999999"), 0, s3err.AccessDenied},
		"expiry later":             {inQuery("Expires=1", "Expires=2"), 0, s3err.SignatureDoesNotMatch},
		"expiry not a number":      {inQuery("Expires=", "Expires=x"), 0, s3err.AccessDenied},
		"expiry negative":          {inQuery("Expires=", "Expires=-"), 0, s3err.AccessDenied},
		"expiry absurd":            {inQuery("Expires=", "Expires=99999999"), 0, s3err.AccessDenied},
		"sub-resource added":       {addQuery("&acl"), 0, s3err.SignatureDoesNotMatch},
		"unsigned by old clients":  {addQuery("&retention"), 0, s3err.SignatureDoesNotMatch},
		"override added":           {addQuery("&response-content-type=text/html"), 0, s3err.SignatureDoesNotMatch},
		"header by query added":    {addQuery("&x-amz-acl=public-read"), 0, s3err.SignatureDoesNotMatch},
		"header in bad bytes":      {addQuery("&x-amz-acl=a%0Ab"), 0, s3err.InvalidArgument},
		"header of no such name":   {addQuery("&x-amz-a%3Ab=c"), 0, s3err.InvalidArgument},
		"x-amz header added":       {setHeader("X-Amz-Acl", "public-read"), 0, s3err.SignatureDoesNotMatch},
		"content type added":       {setHeader("Content-Type", "text/html"), 0, s3err.SignatureDoesNotMatch},
		"version taken":            {inQuery("versionId=1", ""), 0, s3err.SignatureDoesNotMatch},
		"version with empty value": {inQuery("versionId=1", "versionId="), 0, s3err.SignatureDoesNotMatch},
	} {
		t.Run(name, func(t *testing.T) {
			r := presignedGet(t)
			c.change(r)
			if !Signed(r) {
				t.Fatal("taken for an anonymous request")
			}
			_, err := verify(r, "", exampleTime.Add(c.now))
			checkError(t, err, c.want)
		})
	}
}

// AWS' rule signs decoded values, so that two requests can have the same string to
// sign. The second is refused.
func TestDecodedAmpersandIsNoSecondParameter(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/key?response-expires=a&versionId=1")
	exampleSigner().Presign(r, time.Hour)
	if _, err := verify(overTheWire(t, r), "", exampleTime); err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "a&versionId=1", "a%26versionId%3D1", 1)
	_, err := verify(overTheWire(t, r), "", exampleTime)
	checkError(t, err, s3err.SignatureDoesNotMatch)

	plain := newRequest(t, "GET", "http://s3.example.com/bucket/key?response-content-disposition=attachment%3B%20filename%3Da%26b")
	exampleSigner().Presign(plain, time.Hour)
	if _, err := verify(overTheWire(t, plain), "", exampleTime); err != nil {
		t.Error(err)
	}
}

func TestBucketOfTheHostLeadsTheResource(t *testing.T) {
	for _, target := range []string{"http://bucket.s3.example.com/key", "http://bucket.s3.example.com/", "http://bucket.s3.example.com/?acl"} {
		r := newRequest(t, "GET", target)
		s := exampleSigner()
		s.HostBucket = "bucket"
		s.SignHeader(r)
		var b bytes.Buffer
		if err := r.WriteProxy(&b); err != nil {
			t.Fatal(err)
		}
		proxied, err := http.ReadRequest(bufio.NewReader(&b))
		if err != nil {
			t.Fatal(err)
		}
		for how, got := range map[string]*http.Request{"virtual host": overTheWire(t, r), "proxy": proxied} {
			if _, err := verify(got, "bucket", exampleTime); err != nil {
				t.Errorf("%s, %s: %v", target, how, err)
			}
			_, err := verify(got, "other", exampleTime)
			checkError(t, err, s3err.SignatureDoesNotMatch)
		}
	}
}

// sign signs a string to sign that the test has built.
func sign(r *http.Request, text string) {
	r.Header.Set("Authorization", "AWS "+exampleKey+":"+SignString(exampleSecret, text))
}

func TestClientsSpellSignedSubResourcesDifferently(t *testing.T) {
	date := exampleTime.Format(http.TimeFormat)
	for name, c := range map[string]struct {
		target, text string
		want         s3err.Code
	}{
		"minio-go drops the equals sign":  {"/b/k?uploads=", "GET\n\n\n" + date + "\n/b/k?uploads", "ok"},
		"boto keeps it":                   {"/b/k?uploads=", "GET\n\n\n" + date + "\n/b/k?uploads=", "ok"},
		"minio-go signs values as sent":   {"/b/k?uploadId=a%2Fb", "GET\n\n\n" + date + "\n/b/k?uploadId=a%2Fb", "ok"},
		"AWS signs values decoded":        {"/b/k?uploadId=a%2Fb", "GET\n\n\n" + date + "\n/b/k?uploadId=a/b", "ok"},
		"s3cmd leaves tagging out":        {"/b/k?tagging", "GET\n\n\n" + date + "\n/b/k", "ok"},
		"botocore ends a bucket in slash": {"/b?acl", "GET\n\n\n" + date + "\n/b/?acl", "ok"},
		"no client leaves acl out":        {"/b/k?acl", "GET\n\n\n" + date + "\n/b/k", s3err.SignatureDoesNotMatch},
		"no client ends a key in slash":   {"/b/k", "GET\n\n\n" + date + "\n/b/k/", s3err.SignatureDoesNotMatch},
		"the path is signed as sent":      {"/b/%6b", "GET\n\n\n" + date + "\n/b/%6b", "ok"},
		"and not decoded":                 {"/b/%6b", "GET\n\n\n" + date + "\n/b/k", s3err.SignatureDoesNotMatch},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + c.target + " HTTP/1.1\r\nHost: h\r\nDate: " + date + "\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			sign(r, c.text)
			_, err = verify(r, "", exampleTime)
			checkError(t, err, c.want)
		})
	}
}

func TestHoistedHeadersAreSignedAndReported(t *testing.T) {
	until := fmt.Sprint(exampleTime.Add(time.Hour).Unix())
	text := "PUT\n\ntext/plain\n" + until + "\nx-amz-acl:public-read\nx-amz-security-token:t\n/b/k"
	query := "x-amz-acl=public-read&content-type=text%2Fplain&x-amz-security-token=t&AWSAccessKeyId=k&Expires=" + until +
		"&Signature=" + url.QueryEscape(SignString(exampleSecret, text))
	r := overTheWire(t, newRequest(t, "PUT", "http://s3.example.com/b/k?"+query))
	for _, both := range []bool{false, true} {
		if both { // the client sends the header too
			r.Header.Set("X-Amz-Acl", "public-read")
			r.Header.Set("Content-Type", "text/plain")
		}
		a, err := verify(r, "", exampleTime)
		if err != nil {
			t.Fatal(err)
		}
		if a.Hoisted.Get("X-Amz-Acl") != "public-read" || a.Hoisted.Get("Content-Type") != "text/plain" || a.SecurityToken != "t" {
			t.Errorf("%+v", a)
		}
	}
	r.Header.Set("X-Amz-Acl", "private")
	_, err := verify(r, "", exampleTime)
	checkError(t, err, s3err.SignatureDoesNotMatch)
}

func TestMismatchShowsTheRequestAndNoSecret(t *testing.T) {
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key")
	const customerKey = "Y3VzdG9tZXIga2V5IG9mIHRoaXJ0eS10d28gYnl0ZXM="
	r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", customerKey)
	exampleSigner().SignHeader(r)
	r.Method = "GET"
	_, err := verify(r, "", exampleTime)
	var e *s3err.Error
	if !errors.As(err, &e) || !strings.HasPrefix(e.Detail("StringToSign"), "GET\n") || e.Detail("AWSAccessKeyId") != exampleKey {
		t.Fatalf("%+v", err)
	}
	text := fmt.Sprintf("%v %+v %#v", e, e, *e)
	for _, secret := range []string{exampleSecret, customerKey} {
		if strings.Contains(text, secret) || strings.Contains(text, hexBytes(secret)) {
			t.Errorf("%q leaks", secret)
		}
	}
}

func TestEmptySecretVerifiesNothing(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/")
	sigv2test.Signer{AccessKey: "k", Time: exampleTime}.SignHeader(r)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, Verify(a, "", "", Options{Now: exampleTime}), s3err.SignatureDoesNotMatch)
}

func TestAnonymousIsNotSigned(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/key?versionId=1&Expires=3")
	if Signed(r) {
		t.Error("taken for a signed request")
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
	if Signed(r) {
		t.Error("version 4 taken for version 2")
	}
}

func TestPathRewrittenAfterParseDoesNotMatter(t *testing.T) {
	r := signedPut(t)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Path, r.RequestURI, r.Method = "/other", "/other", "GET"
	if err := Verify(a, exampleSecret, "", Options{Now: exampleTime}); err != nil {
		t.Error(err)
	}
}

// sameMeaning compares what version 2 covers.
func sameMeaning(a, b *http.Request) bool {
	if a.Method != b.Method || a.URL.Path != b.URL.Path {
		return false
	}
	for name := range subresources {
		if strings.Join(a.URL.Query()[name], ",") != strings.Join(b.URL.Query()[name], ",") {
			return false
		}
	}
	for _, name := range []string{"Authorization", "Date", "Content-Type", "Content-Md5", "X-Amz-Meta-A"} {
		if strings.Join(a.Header[name], ",") != strings.Join(b.Header[name], ",") {
			return false
		}
	}
	return true
}

// Version 2 does not cover the host and unknown parameters. A changed bit that turns
// partNumber into an unknown name must be detected, because partNumber is missing.
func TestAnyChangedBitThatIsCoveredIsRefused(t *testing.T) {
	for name, r := range map[string]*http.Request{"header": signedPut(t), "presigned": presignedGet(t)} {
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		head := b.Bytes()
		for i := range head {
			for bit := range 8 {
				changed := bytes.Clone(head)
				changed[i] ^= 1 << bit
				got, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(changed)))
				if err != nil {
					continue
				}
				// Another access key has another secret, or none.
				if a, err := verify(got, "", exampleTime); err == nil && a.AccessKey == exampleKey && !sameMeaning(r, got) {
					t.Errorf("%s: bit %d of byte %d went unnoticed: %q", name, bit, i, changed[max(0, i-20):min(len(head), i+20)])
				}
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/bucket/key", "acl", "AWS key:signature", "Mon, 01 Jun 2015 12:00:00 GMT", "")
	f.Add("/", "AWSAccessKeyId=a&Expires=1433160000&Signature=b&x-amz-acl=c", "", "", "bucket")
	f.Fuzz(func(t *testing.T, path, query, authorization, date, bucket string) {
		r := &http.Request{Method: "GET", Host: "h", Header: http.Header{}, URL: &url.URL{Path: path, RawQuery: query}, RequestURI: path + "?" + query}
		for name, v := range map[string]string{"Authorization": authorization, "Date": date} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		a, err := Parse(r)
		if err != nil {
			if s3err.CodeOf(err) == "" {
				t.Error(err)
			}
			return
		}
		if err := Verify(a, exampleSecret, bucket, Options{Now: a.Time}); err == nil {
			t.Errorf("an unsigned change was accepted: %+v", r)
		}
	})
}

func FuzzSignedRequestsVerify(f *testing.F) {
	f.Add("/bucket/a !'()*+,;=:@&$~ü%", "response-content-type", "a b+c/&x", "two  spaces")
	f.Fuzz(func(t *testing.T, path, name, value, meta string) {
		lower := strings.ToLower(name)
		if strings.ContainsAny(meta, "\r\n\x00") || strings.TrimSpace(meta) != meta || isAmbiguous(value) || strings.HasPrefix(lower, "x-amz-") ||
			strings.HasPrefix(lower, "content-") || name == "Signature" || name == "AWSAccessKeyId" || name == "Expires" {
			return
		}
		query := url.PathEscape(name) + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
		if strings.ContainsAny(url.PathEscape(name), "&=") || clientsOmit[name] || lower != name {
			return
		}
		for _, presign := range []bool{false, true} {
			r := &http.Request{Method: "PUT", Host: "h", Header: http.Header{"X-Amz-Meta-A": {meta}}, URL: &url.URL{Path: "/" + path, RawQuery: query}}
			if presign {
				exampleSigner().Presign(r, time.Minute)
			} else {
				exampleSigner().SignHeader(r)
			}
			if _, err := verify(r, "", exampleTime); err != nil {
				t.Errorf("presigned %v, %q %q: %v", presign, r.URL, meta, err)
			}
		}
	})
}
