package s3api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/s3api"
	"github.com/pithos/pithos/sigv2"
)

const unsigned = "UNSIGNED-PAYLOAD"

func TestRefusedCredentials(t *testing.T) {
	s := newServer(t)
	now := time.Now().UTC()
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	v4 := func(key, signature string) string {
		return "AWS4-HMAC-SHA256 Credential=" + key + "/" + day + "/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + signature
	}
	for _, c := range []struct {
		name, uri string
		headers   []string
		status    int
		code      string
	}{
		{"anonymous", "/", nil, 403, "AccessDenied"},
		{"empty", "/", []string{"Authorization", ""}, 403, "AccessDenied"},
		{"unknown scheme", "/", []string{"Authorization", "Basic YTpi"}, 400, "InvalidArgument"},
		{"v2 garbage", "/", []string{"Authorization", "AWS HAHAHA"}, 400, "InvalidArgument"},
		{"v2 without a date", "/", []string{"Authorization", "AWS AK-alice:x"}, 403, "AccessDenied"},
		{"v2 wrong", "/", []string{"Authorization", "AWS AK-alice:x", "Date", now.Format(http.TimeFormat)}, 403, "SignatureDoesNotMatch"},
		{"v2 old", "/", []string{"Authorization", "AWS AK-alice:x", "Date", "Tue, 07 Jul 2010 21:53:04 GMT"}, 403, "RequestTimeTooSkewed"},
		{"v4 garbage", "/", []string{"Authorization", "AWS4-HMAC-SHA256 x"}, 400, "AuthorizationHeaderMalformed"},
		{"v4 unknown key", "/", []string{"Authorization", v4("UNKNOWN", "ab"), "X-Amz-Date", date, "X-Amz-Content-Sha256", unsigned}, 403, "InvalidAccessKeyId"},
		{"v4 wrong", "/", []string{"Authorization", v4("AK-alice", "ab"), "X-Amz-Date", date, "X-Amz-Content-Sha256", unsigned}, 403, "SignatureDoesNotMatch"},
		{"v4 and v2 at once", "/?AWSAccessKeyId=AK-alice&Signature=x&Expires=1", []string{"Authorization", v4("AK-alice", "ab"), "X-Amz-Date", date, "X-Amz-Content-Sha256", unsigned}, 400, "InvalidArgument"},
		{"v2 query and v2 header", "/?AWSAccessKeyId=AK-alice&Signature=x&Expires=1", []string{"Authorization", "AWS AK-alice:x", "Date", now.Format(http.TimeFormat)}, 400, "InvalidArgument"},
		{"half a presigned query", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=x", nil, 400, "AuthorizationQueryParametersError"},
		{"an expired presigned v2", "/?AWSAccessKeyId=AK-alice&Signature=x&Expires=1", nil, 403, "AccessDenied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.raw(t, "GET", c.uri, "", c.headers...).want(t, c.status, c.code)
			if a.xml.RequestId != a.Header.Get("X-Amz-Request-Id") || a.xml.HostId == "" {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestSignatureDoesNotMatchShowsItsWork(t *testing.T) {
	s := newServer(t)
	stranger := s.keys["AK-alice"]
	stranger.Secret = "a wrong secret"
	real := s.keys["AK-alice"]
	s.keys["AK-alice"] = stranger
	r := s.request(t, "GET", "/bkt/key", "")
	s.sign(t, r, "alice", "")
	s.keys["AK-alice"] = real
	a := s.do(t, r).want(t, 403, "SignatureDoesNotMatch")
	if a.xml.AWSAccessKeyId != "AK-alice" || !strings.HasPrefix(a.xml.StringToSign, "AWS4-HMAC-SHA256\n") || a.xml.SignatureProvided == "" ||
		!strings.HasPrefix(a.xml.CanonicalRequest, "GET\n/bkt/key\n") || a.xml.StringToSignBytes == "" || a.xml.CanonicalRequestBytes == "" {
		t.Errorf("%s", a.body)
	}
	if strings.Contains(string(a.body), real.Secret) {
		t.Error("the secret is in the answer")
	}
}

func TestVersion2CanBeSwitchedOff(t *testing.T) {
	s := newServer(t, func(o *s3api.Options) { o.DisableV2 = true })
	a := s.raw(t, "GET", "/", "", "Authorization", "AWS AK-alice:x", "Date", time.Now().UTC().Format(http.TimeFormat)).want(t, 400, "InvalidRequest")
	if a.xml.Message != "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256." {
		t.Error(a.xml.Message)
	}
}

func TestRegionCanBeEnforced(t *testing.T) {
	s := newServer(t, func(o *s3api.Options) { o.Region, o.EnforceRegion = "eu-west-1", true })
	a := s.signed(t, "alice", "GET", "/", "").want(t, 400, "AuthorizationHeaderMalformed")
	if !strings.Contains(string(a.body), "<Region>eu-west-1</Region>") {
		t.Errorf("%s", a.body)
	}
}

// signV2 signs resource as version 2 does.
func signV2(r *http.Request, i s3api.Identity, resource string) {
	r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	text := r.Method + "\n\n\n" + r.Header.Get("Date") + "\n" + resource
	r.Header.Set("Authorization", "AWS "+i.AccessKey+":"+sigv2.SignString(i.Secret, text))
}

func TestVersion2OfAVirtualHostSignsTheBucket(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	r := s.request(t, "GET", "/", "", "Host", b+".s3.example.com")
	signV2(r, s.keys["AK-alice"], "/"+b+"/")
	s.do(t, r).want(t, 200, "")
	r = s.request(t, "GET", "/?acl", "", "Host", b+".s3.example.com")
	signV2(r, s.keys["AK-alice"], "/"+b+"/?acl")
	s.do(t, r).want(t, 200, "")
}

func TestPresignedVersion2(t *testing.T) {
	s := newServer(t)
	b, i := s.bucket(t), s.keys["AK-alice"]
	s.put(t, b, "k")
	expires := fmt.Sprint(time.Now().Add(time.Minute).Unix())
	query := url.Values{"AWSAccessKeyId": {i.AccessKey}, "Expires": {expires},
		"Signature": {sigv2.SignString(i.Secret, "GET\n\n\n"+expires+"\n/"+b+"/k")}}
	s.raw(t, "GET", "/"+b+"/k?"+query.Encode(), "").want(t, 200, "")
	s.raw(t, "GET", "/"+b+"/k?acl&"+query.Encode(), "").want(t, 403, "SignatureDoesNotMatch")
}

// A proxy gets its requests in absolute form.
func TestProxyModeNamesTheBucketInTheURI(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	proxy, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+b+".s3.example.com/?location", nil)
	if err != nil {
		t.Fatal(err)
	}
	signV2(r, s.keys["AK-alice"], "/"+b+"/?location")
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != 200 || !strings.Contains(string(body), "LocationConstraint") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestBodyThatIsNotWhatWasSignedIsRefused(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	r := s.request(t, "PUT", "/"+b+"/k", "other")
	s.sign(t, r, "alice", "body!")
	s.do(t, r).want(t, 400, "XAmzContentSHA256Mismatch")
	s.signed(t, "alice", "GET", "/"+b+"/k", "").want(t, 404, "NoSuchKey")
}

// A request that can be refused by its head is refused before the client sends the
// body.
func TestExpectContinueIsDecidedBeforeTheBody(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	for _, c := range []struct{ bucket, want string }{{b + "-missing", "HTTP/1.1 404 "}, {b, "HTTP/1.1 100 "}} {
		r := s.request(t, "PUT", "/"+c.bucket+"/k", "body", "Expect", "100-continue")
		s.sign(t, r, "alice", "body")
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Length", "4")
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\n", r.URL.RequestURI(), r.URL.Host)
		_ = r.Header.Write(conn)
		fmt.Fprint(conn, "\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, c.want) {
			t.Errorf("%q, %v; want %s", line, err, c.want)
		}
		_ = conn.Close()
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.put(t, b, "k")
	s.raw(t, "GET", "/"+b+"/k?AWSAccessKeyId=AK-alice&Signature=topsecretsignature&Expires=9999999999", "").want(t, 403, "SignatureDoesNotMatch")
	s.signed(t, "alice", "GET", "/"+b+"/k", "", "X-Amz-Server-Side-Encryption-Customer-Key", "customerkey")
	lines := 0
	for _, e := range s.logs.All() {
		text := fmt.Sprint(e.Message, e.ContextMap())
		for _, secret := range []string{"topsecretsignature", "secret-of-alice", "customerkey", "AWS4-HMAC"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is logged: %s", secret, text)
			}
		}
		if e.Message == "request" {
			lines++
		}
	}
	if lines < 4 {
		t.Errorf("%d access log lines, want one for each request", lines)
	}
}

// failing is a Keys that returns err, or panics if err is nil.
type failing struct{ err error }

func (f failing) Lookup(context.Context, string) (s3api.Identity, error) {
	if f.err == nil {
		panic("a bug")
	}
	return s3api.Identity{}, f.err
}

func TestPanicsAndFailuresBecomeErrorsWithAnID(t *testing.T) {
	for name, keys := range map[string]failing{"panic": {}, "failure": {errors.New("disk on fire at /dev/sda")}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(o *s3api.Options) { o.Keys = keys })
			a := s.signed(t, "alice", "GET", "/", "").want(t, 500, "InternalError")
			if strings.Contains(string(a.body), "fire") {
				t.Errorf("the cause is shown: %s", a.body)
			}
			found := false
			for _, e := range s.logs.All() {
				found = found || e.ContextMap()["request"] == a.xml.RequestId && e.Level > 0
			}
			if !found {
				t.Error("the log does not have the request's id with an error")
			}
		})
	}
}

func TestPresignedCopyIsACopy(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	s.signed(t, "alice", "PUT", "/"+b+"/src", "the source").want(t, 200, "")
	s.signed(t, "alice", "PUT", "/"+b+"/dst", "old").want(t, 200, "")
	i := s.keys["AK-alice"]
	expires := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	source := "/" + b + "/src"
	signature := sigv2.SignString(i.Secret, "PUT\n\n\n"+expires+"\nx-amz-copy-source:"+source+"\n/"+b+"/dst")
	query := url.Values{"AWSAccessKeyId": {i.AccessKey}, "Expires": {expires}, "Signature": {signature}, "x-amz-copy-source": {source}}
	s.raw(t, "PUT", "/"+b+"/dst?"+query.Encode(), "").want(t, 200, "")
	if a := s.signed(t, "alice", "GET", "/"+b+"/dst", "").want(t, 200, ""); string(a.body) != "the source" {
		t.Errorf("the copy is %q", a.body)
	}
}
