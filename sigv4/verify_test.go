package sigv4

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

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

func verify(r *http.Request, o Options) (*Auth, *SigningContext, error) {
	if o.Now.IsZero() {
		o.Now = exampleTime
	}
	a, err := Parse(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, err := Verify(a, exampleSecret, o)
	return a, ctx, err
}

func signedGet(t testing.TB) *http.Request {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/a%20key?versionId=1")
	r.Header.Set("X-Amz-Meta-A", "b")
	exampleSigner().SignHeader(r, emptySHA256)
	return overTheWire(t, r)
}

func presignedGet(t testing.TB) *http.Request {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/a%20key?versionId=1")
	exampleSigner().Presign(r, time.Hour)
	return overTheWire(t, r)
}

func setQuery(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q.Set(name, value)
		if value == "" {
			q.Del(name)
		}
		r.URL.RawQuery = q.Encode()
	}
}

func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
}

func inAuthorization(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func TestHeaderFormErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Request)
		opts   Options
		want   s3err.Code
	}{
		"good":                    {func(*http.Request) {}, Options{}, "ok"},
		"region as configured":    {func(*http.Request) {}, Options{Region: "us-east-1"}, "ok"},
		"14 minutes late":         {func(*http.Request) {}, Options{Now: exampleTime.Add(14 * time.Minute)}, "ok"},
		"16 minutes late":         {func(*http.Request) {}, Options{Now: exampleTime.Add(16 * time.Minute)}, s3err.RequestTimeTooSkewed},
		"16 minutes early":        {func(*http.Request) {}, Options{Now: exampleTime.Add(-16 * time.Minute)}, s3err.RequestTimeTooSkewed},
		"1800 years early":        {func(*http.Request) {}, Options{Now: exampleTime.AddDate(-1800, 0, 0)}, s3err.RequestTimeTooSkewed},
		"one region of several":   {func(*http.Request) {}, Options{Region: "eu-1", Others: []string{"us-east-1"}}, "ok"},
		"another region":          {func(*http.Request) {}, Options{Region: "eu-1"}, "AuthorizationHeaderMalformed: The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-1'"},
		"another service":         {inAuthorization("/s3/", "/sqs/"), Options{}, s3err.AuthorizationHeaderMalformed},
		"another terminal":        {inAuthorization("aws4_request", "aws5_request"), Options{}, s3err.AuthorizationHeaderMalformed},
		"another day":             {inAuthorization("20130524/", "20130525/"), Options{}, s3err.AuthorizationHeaderMalformed},
		"no day":                  {inAuthorization("20130524/", "2013052x/"), Options{}, s3err.AuthorizationHeaderMalformed},
		"short credential":        {inAuthorization("/us-east-1", ""), Options{}, s3err.AuthorizationHeaderMalformed},
		"no access key":           {inAuthorization(exampleKey, ""), Options{}, s3err.AuthorizationHeaderMalformed},
		"slash in the access key": {inAuthorization(exampleKey, "a/"+exampleKey), Options{}, "ok"},
		"no signature":            {inAuthorization("Signature=", "Sig="), Options{}, s3err.AuthorizationHeaderMalformed},
		"signature twice":         {inAuthorization("Signature=", "Signature=a,Signature="), Options{}, s3err.AuthorizationHeaderMalformed},
		"empty":                   {setHeader("Authorization", "AWS4-HMAC-SHA256"), Options{}, s3err.AuthorizationHeaderMalformed},
		"ECDSA":                   {inAuthorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), Options{}, s3err.NotImplemented},
		"ECDSA payload":           {setHeader("X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"), Options{}, s3err.NotImplemented},
		"unknown algorithm":       {inAuthorization("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5"), Options{}, s3err.InvalidArgument},
		"unknown payload":         {setHeader("X-Amz-Content-Sha256", "STREAMING"), Options{}, s3err.InvalidArgument},
		"payload not declared":    {setHeader("X-Amz-Content-Sha256", ""), Options{}, s3err.InvalidRequest},
		"no date":                 {setHeader("X-Amz-Date", ""), Options{}, s3err.AccessDenied},
		"bad date":                {setHeader("X-Amz-Date", "yesterday"), Options{}, s3err.AccessDenied},
		"host not signed":         {inAuthorization("SignedHeaders=host;", "SignedHeaders="), Options{}, s3err.AccessDenied},
		"x-amz header not signed": {setHeader("X-Amz-Acl", "public-read"), Options{}, "AccessDenied: There were headers present in the request which were not signed"},
		"upper case in the list":  {inAuthorization("=host;", "=Host;"), Options{}, s3err.AuthorizationHeaderMalformed},
		"header listed twice":     {inAuthorization("=host;", "=host;host;"), Options{}, s3err.AuthorizationHeaderMalformed},
		"listed header missing":   {setHeader("X-Amz-Meta-A", ""), Options{}, s3err.SignatureDoesNotMatch},
		"header changed":          {setHeader("X-Amz-Meta-A", "c"), Options{}, s3err.SignatureDoesNotMatch},
		"payload hash doubled":    {func(r *http.Request) { r.Header.Add("X-Amz-Content-Sha256", emptySHA256) }, Options{}, s3err.InvalidArgument},
		"another payload hash":    {setHeader("X-Amz-Content-Sha256", strings.Repeat("0", 64)), Options{}, s3err.SignatureDoesNotMatch},
		"header doubled":          {func(r *http.Request) { r.Header.Add("X-Amz-Meta-A", "b") }, Options{}, s3err.SignatureDoesNotMatch},
		"other header added":      {setHeader("Accept", "x"), Options{}, "ok"},
		"two mechanisms":          {setQuery("X-Amz-Signature", "x"), Options{}, s3err.InvalidArgument},
		"two versions":            {setQuery("AWSAccessKeyId", "x"), Options{}, s3err.InvalidArgument},
		"two headers":             {func(r *http.Request) { r.Header.Add("Authorization", "AWS4-HMAC-SHA256 x") }, Options{}, s3err.AuthorizationHeaderMalformed},
		"query changed":           {setQuery("versionId", "2"), Options{}, s3err.SignatureDoesNotMatch},
		"query with bad escape":   {func(r *http.Request) { r.URL.RawQuery = "a=%zz" }, Options{}, s3err.InvalidURI},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedGet(t)
			c.change(r)
			_, _, err := verify(r, c.opts)
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
		"good":                    {func(*http.Request) {}, 0, "ok"},
		"in the last second":      {func(*http.Request) {}, time.Hour, "ok"},
		"expired":                 {func(*http.Request) {}, time.Hour + time.Second, "AccessDenied: Request has expired"},
		"clock a little behind":   {func(*http.Request) {}, -14 * time.Minute, "ok"},
		"not valid yet":           {func(*http.Request) {}, -16 * time.Minute, "AccessDenied: Request is not valid yet"},
		"no credential":           {setQuery("X-Amz-Credential", ""), 0, s3err.AuthorizationQueryParametersError},
		"no signature":            {setQuery("X-Amz-Signature", ""), 0, s3err.AuthorizationQueryParametersError},
		"no algorithm":            {setQuery("X-Amz-Algorithm", ""), 0, s3err.AuthorizationQueryParametersError},
		"parameter twice":         {func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Date=x" }, 0, s3err.AuthorizationQueryParametersError},
		"unknown algorithm":       {setQuery("X-Amz-Algorithm", "AWS4-MD5"), 0, s3err.AuthorizationQueryParametersError},
		"ECDSA":                   {setQuery("X-Amz-Algorithm", algorithmECDSA), 0, s3err.NotImplemented},
		"bad credential":          {setQuery("X-Amz-Credential", "x"), 0, s3err.AuthorizationQueryParametersError},
		"bad date":                {setQuery("X-Amz-Date", "x"), 0, s3err.AuthorizationQueryParametersError},
		"another day":             {setQuery("X-Amz-Date", "20130525T000000Z"), 0, s3err.AuthorizationQueryParametersError},
		"expires not a number":    {setQuery("X-Amz-Expires", "x"), 0, s3err.AuthorizationQueryParametersError},
		"expires at once":         {setQuery("X-Amz-Expires", "0"), 0, s3err.AuthorizationQueryParametersError},
		"expires in the past":     {setQuery("X-Amz-Expires", "-1"), 0, s3err.AuthorizationQueryParametersError},
		"a second over a week":    {setQuery("X-Amz-Expires", "604801"), 0, s3err.AuthorizationQueryParametersError},
		"a longer life":           {setQuery("X-Amz-Expires", "604800"), 0, s3err.SignatureDoesNotMatch},
		"parameter added":         {setQuery("x-amz-acl", "public-read"), 0, s3err.SignatureDoesNotMatch},
		"header in bad bytes":     {setQuery("x-amz-acl", "a\nb"), 0, s3err.InvalidArgument},
		"header of no such name":  {setQuery("x-amz-a:b", "c"), 0, s3err.InvalidArgument},
		"x-amz header added":      {setHeader("X-Amz-Acl", "public-read"), 0, s3err.AccessDenied},
		"no hash as payload hash": {setHeader("X-Amz-Content-Sha256", "invalid-sha256"), 0, s3err.SignatureDoesNotMatch},
		"payload hash doubled": {func(r *http.Request) {
			r.Header["X-Amz-Content-Sha256"] = []string{PayloadUnsigned.String(), emptySHA256}
		}, 0, s3err.InvalidArgument},
		"another header added":   {setHeader("Content-Type", "text/plain"), 0, "ok"},
		"odd case is no way out": {func(r *http.Request) { r.URL.RawQuery = strings.ToLower(r.URL.RawQuery) }, 0, s3err.NotImplemented + "|" + s3err.AuthorizationQueryParametersError},
	} {
		t.Run(name, func(t *testing.T) {
			r := presignedGet(t)
			c.change(r)
			if !Signed(r) {
				t.Fatal("taken for an anonymous request")
			}
			_, _, err := verify(r, Options{Now: exampleTime.Add(c.now)})
			checkError(t, err, c.want)
		})
	}
}

// checkError compares a code, or the whole text; | separates alternatives.
func checkError(t *testing.T, err error, want s3err.Code) {
	t.Helper()
	for w := range strings.SplitSeq(string(want), "|") {
		if code(err) == s3err.Code(w) || err != nil && err.Error() == w {
			return
		}
	}
	t.Errorf("got %v, want %s", err, want)
}

func TestAnonymousIsNotSigned(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/bucket/key?versionId=1")
	if Signed(r) {
		t.Error("taken for a signed request")
	}
	r.URL.RawQuery = "a=%zz&X-Amz-Signature=1"
	if !Signed(r) {
		t.Error("a broken query makes a request anonymous")
	}
}

func TestSignedDateHeaderReplacesAmzDate(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/")
	exampleSigner().SignHeader(r, emptySHA256)
	for _, form := range []string{http.TimeFormat, time.RFC850, TimeFormat} {
		r.Header.Del("X-Amz-Date")
		r.Header.Set("Date", exampleTime.Format(form))
		a := &Auth{AccessKey: exampleKey, Scope: Scope{"20130524", "us-east-1", "s3"}, Time: exampleTime}
		names := []string{"date", "host", "x-amz-content-sha256"}
		a.request = newSignedRequest(r, nil, false, names, emptySHA256)
		sts := stringToSign(exampleTime, a.Scope.String(), a.request.canonicalRequest(a.request.variants()[0], false))
		signature := SignString(SigningKey(exampleSecret, "20130524", "us-east-1", "s3"), sts)
		r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s,SignedHeaders=%s,Signature=%s",
			Algorithm, exampleKey, a.Scope, strings.Join(names, ";"), signature))
		if _, _, err := verify(r, Options{}); err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

// A signature for the path as sent, by a client that does not encode the
// sub-delimiters, is as valid as one by AWS' rule.
func TestPathMayBeSignedAsSent(t *testing.T) {
	for _, path := range []string{"/b/!'()*+,;=:@&$~", "/b/a%2Fb", "/b/%7e", "/b//x/../y", "/b/{^}|`"} {
		wire := "GET " + path + " HTTP/1.1\r\nHost: h\r\nX-Amz-Date: 20130524T000000Z\r\nX-Amz-Content-Sha256: " + emptySHA256 + "\r\n"
		canonical := "GET\n" + path + "\n\nhost:h\nx-amz-content-sha256:" + emptySHA256 + "\nx-amz-date:20130524T000000Z\n\nhost;x-amz-content-sha256;x-amz-date\n" + emptySHA256
		scope := Scope{"20130524", "us-east-1", "s3"}
		signature := SignString(SigningKey(exampleSecret, "20130524", "us-east-1", "s3"), stringToSign(exampleTime, scope.String(), canonical))
		wire += "Authorization: AWS4-HMAC-SHA256 Credential=k/" + scope.String() + ", SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=" + signature + "\r\n\r\n"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire)))
		if err != nil {
			t.Fatal(path, err)
		}
		if _, _, err := verify(r, Options{}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestHoistedHeadersAreReported(t *testing.T) {
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key?X-Amz-Storage-Class=STANDARD&x-amz-meta-a=b&x-id=PutObject&X-Amz-Security-Token=t")
	exampleSigner().Presign(r, time.Minute)
	a, _, err := verify(overTheWire(t, r), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Hoisted) != 2 || a.Hoisted.Get("x-amz-storage-class") != "STANDARD" || a.Hoisted.Get("X-Amz-Meta-A") != "b" {
		t.Errorf("hoisted: %v", a.Hoisted)
	}
	if a.SecurityToken != "t" || a.Payload != PayloadUnsigned {
		t.Errorf("%+v", a)
	}
}

func TestMismatchShowsTheRequestAndNoSecret(t *testing.T) {
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key")
	const customerKey = "Y3VzdG9tZXIga2V5IG9mIHRoaXJ0eS10d28gYnl0ZXM="
	r.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", customerKey)
	r.Header.Set("X-Amz-Security-Token", "session-token")
	exampleSigner().SignHeader(r, emptySHA256)
	r.Method = "GET"
	a, err := Parse(overTheWire(t, r))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(a, exampleSecret, Options{Now: exampleTime})
	var e *s3err.Error
	if !errors.As(err, &e) || e.Code != s3err.SignatureDoesNotMatch {
		t.Fatal(err)
	}
	if !strings.HasPrefix(e.Detail("CanonicalRequest"), "GET\n/bucket/key\n") || !strings.HasPrefix(e.Detail("StringToSign"), Algorithm+"\n20130524T000000Z\n") {
		t.Errorf("%q %q", e.Detail("CanonicalRequest"), e.Detail("StringToSign"))
	}
	text := fmt.Sprintf("%v %+v %#v", e, e, *e)
	for _, secret := range []string{exampleSecret, customerKey, "session-token"} {
		if strings.Contains(text, secret) || strings.Contains(text, hexBytes(secret)) {
			t.Errorf("%q leaks", secret)
		}
	}
}

func TestSigningContextPrintsNoKey(t *testing.T) {
	c := exampleContext(chunkSeed)
	if text := fmt.Sprintf("%v %+v %#v %s", c, c, c, c); strings.Contains(text, string(c.key)) || strings.Contains(text, fmt.Sprint(c.key[:4])[1:8]) {
		t.Error(text)
	}
}

func TestEmptySecretVerifiesNothing(t *testing.T) {
	r := newRequest(t, "GET", "http://s3.example.com/")
	sigv4test.Signer{AccessKey: "k", Time: exampleTime}.SignHeader(r, emptySHA256)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(a, "", Options{Now: exampleTime}); code(err) != s3err.SignatureDoesNotMatch {
		t.Error(err)
	}
}

func TestContentLengthMayBeSigned(t *testing.T) {
	body := []byte("hello")
	r := newRequest(t, "PUT", "http://s3.example.com/bucket/key")
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), 5
	r.Header.Set("Content-Length", "5")
	exampleSigner().SignHeader(r, sigv4test.Hash(body))
	got := overTheWire(t, r)
	got.Header.Del("Content-Length")
	if _, _, err := verify(got, Options{}); err != nil {
		t.Error(err)
	}
}

func TestPathRewrittenAfterParseDoesNotMatter(t *testing.T) {
	r := signedGet(t)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Path, r.URL.RawPath, r.RequestURI, r.Method = "/other", "", "/other", "PUT"
	if _, err := Verify(a, exampleSecret, Options{Now: exampleTime}); err != nil {
		t.Error(err)
	}
}

func TestRewrittenURLIsWhatIsVerified(t *testing.T) {
	r := signedGet(t)
	r.URL.Path, r.URL.RawPath = "/bucket/other", ""
	if _, _, err := verify(r, Options{}); code(err) != s3err.SignatureDoesNotMatch {
		t.Errorf("the signature of %s passed for %s: %v", r.RequestURI, r.URL.Path, err)
	}
}

// sameMeaning reports whether a changed head still means the same request.
func sameMeaning(a, b *http.Request) bool {
	if a.Method != b.Method || a.URL.Path != b.URL.Path || a.Host != b.Host || a.URL.Query().Encode() != b.URL.Query().Encode() {
		return false
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Meta-A"} {
		if strings.Join(a.Header[name], ",") != strings.Join(b.Header[name], ",") {
			return false
		}
	}
	return true
}

func TestAnyChangedBitIsRefused(t *testing.T) {
	for name, r := range map[string]*http.Request{"header": signedGet(t), "presigned": presignedGet(t)} {
		var b bytes.Buffer
		r.URL.Scheme, r.URL.Host = "", ""
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
				if a, _, err := verify(got, Options{}); err == nil && a.AccessKey == exampleKey && !sameMeaning(r, got) {
					t.Errorf("%s: bit %d of byte %d went unnoticed: %q", name, bit, i, changed[max(0, i-20):min(len(head), i+20)])
				}
			}
		}
	}
}

func TestPayloadReader(t *testing.T) {
	const text = "hello"
	sum := sigv4test.Hash([]byte(text))
	for name, c := range map[string]struct {
		body io.Reader
		sum  string
		want s3err.Code
	}{
		"as declared":          {strings.NewReader(text), sum, "ok"},
		"upper case":           {strings.NewReader(text), strings.ToUpper(sum), "ok"},
		"EOF with the bytes":   {iotest.DataErrReader(strings.NewReader(text)), sum, "ok"},
		"another body":         {strings.NewReader("hallo"), sum, s3err.XAmzContentSHA256Mismatch},
		"no body":              {strings.NewReader(""), sum, s3err.XAmzContentSHA256Mismatch},
		"a body where none is": {strings.NewReader(text), emptySHA256, s3err.XAmzContentSHA256Mismatch},
		"cut":                  {io.MultiReader(strings.NewReader("he"), iotest.ErrReader(io.ErrUnexpectedEOF)), sum, s3err.IncompleteBody},
		"broken":               {iotest.ErrReader(errors.New("broken")), sum, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPayloadReader(c.body, c.sum)
			_, err := io.ReadAll(p)
			checkError(t, err, c.want)
			if _, again := p.Read(make([]byte, 1)); err != nil && again != err {
				t.Errorf("not sticky: %v", again)
			}
		})
	}
}

func TestNewBodyReadsEveryKindOfPayload(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 20000)
	trailer := [][2]string{{"x-amz-checksum-crc32", "AAAAAA=="}}
	for _, payload := range []string{sigv4test.Unsigned, sigv4test.Hash(data), sigv4test.Chunked, sigv4test.ChunkedTrailer, sigv4test.UnsignedTrailer} {
		t.Run(payload, func(t *testing.T) {
			r := newRequest(t, "PUT", "http://s3.example.com/bucket/key")
			wire := data
			body := sigv4test.Body{Data: data}
			if strings.HasSuffix(payload, "TRAILER") {
				body.Trailer = trailer
			}
			if strings.HasPrefix(payload, "STREAMING") {
				wire = exampleSigner().SignChunked(r, payload, body)
			} else {
				exampleSigner().SignHeader(r, payload)
			}
			a, ctx, err := verify(r, Options{})
			if err != nil {
				t.Fatal(err)
			}
			b, err := NewBody(bytes.NewReader(wire), r.Header, a, ctx)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if got := b.Trailer().Get("x-amz-checksum-crc32"); (got != "") != (body.Trailer != nil) {
				t.Errorf("trailer %q", got)
			}
			if a.Payload.Streaming() != (b.Length == int64(len(data))) {
				t.Errorf("length %d", b.Length)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("/bucket/key", "", "AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date;x-amz-content-sha256,Signature=00", "20130524T000000Z", "UNSIGNED-PAYLOAD")
	f.Add("/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20130524%2Fr%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=00", "", "", "")
	f.Fuzz(func(t *testing.T, path, query, authorization, date, payload string) {
		r := &http.Request{Method: "GET", Host: "h", Header: http.Header{}, URL: &url.URL{Path: path, RawQuery: query}, RequestURI: path + "?" + query}
		for name, v := range map[string]string{"Authorization": authorization, "X-Amz-Date": date, "X-Amz-Content-Sha256": payload} {
			if v != "" {
				r.Header.Set(name, v)
			}
		}
		a, err := Parse(r)
		if err != nil {
			if s3err.CodeOf(err) == "" {
				t.Errorf("not an *s3err.Error: %v", err)
			}
			return
		}
		if _, err := Verify(a, exampleSecret, Options{Now: a.Time}); err == nil {
			t.Errorf("an unsigned change was accepted: %+v", r)
		}
	})
}

func FuzzSignedRequestsVerify(f *testing.F) {
	f.Add("/bucket/a !'()*+,;=:@&$~ü%", "prefix", "a b+c/", "two  spaces")
	f.Fuzz(func(t *testing.T, path, name, value, meta string) {
		if strings.ContainsAny(meta, "\r\n\x00") || strings.HasPrefix(strings.ToLower(name), "x-amz-") || name == "Signature" || name == "AWSAccessKeyId" {
			return
		}
		for _, presign := range []bool{false, true} {
			r := &http.Request{Method: "PUT", Host: "h", Header: http.Header{}, URL: &url.URL{Path: "/" + path, RawQuery: url.Values{name: {value}}.Encode()}}
			if presign {
				exampleSigner().Presign(r, time.Minute)
			} else {
				r.Header.Set("X-Amz-Meta-A", meta)
				exampleSigner().SignHeader(r, sigv4test.Unsigned)
			}
			if _, _, err := verify(r, Options{}); err != nil {
				t.Errorf("presigned %v, %q %q: %v", presign, r.URL, meta, err)
			}
		}
	})
}
