package s3api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/s3api"
	"github.com/pithos/pithos/store"
)

// keyring holds the tests' access keys: AK-<tenant>, with the secret of that name.
type keyring map[string]s3api.Identity

func (k keyring) Lookup(_ context.Context, id string) (s3api.Identity, error) {
	if i, ok := k[id]; ok {
		return i, nil
	}
	return s3api.Identity{}, s3api.ErrUnknownAccessKey
}

func (k keyring) Tenant(_ context.Context, name string) (string, error) {
	for _, i := range k {
		if i.Tenant == strings.TrimSuffix(name, "@example.com") {
			return i.Tenant, nil
		}
	}
	return "", nil
}

func identity(tenant string, master bool) s3api.Identity {
	return s3api.Identity{AccessKey: "AK-" + tenant, Secret: "secret-of-" + tenant, Tenant: tenant, Master: master}
}

// server is a running API over the embedded engine.
type server struct {
	*httptest.Server
	keys  keyring
	store *store.Store
	logs  *observer.ObservedLogs
}

func newServer(t *testing.T, edit ...func(*s3api.Options)) *server {
	t.Helper()
	f := storetest.Open(t, func(o *store.Options) { o.BucketCache = 0 }) // the default
	core, logs := observer.New(zap.DebugLevel)
	s := &server{store: f.Store, logs: logs, keys: keyring{}}
	for _, i := range []s3api.Identity{identity("alice", false), identity("bob", false), identity("root", true)} {
		s.keys[i.AccessKey] = i
	}
	o := s3api.Options{Store: f.Store, Keys: s.keys, Log: zap.New(core), ServiceURIs: []string{"s3.example.com"}, AllowInsecureSSEC: true}
	for _, e := range edit {
		e(&o)
	}
	api, err := s3api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(api)
	t.Cleanup(s.Close)
	return s
}

// client returns an SDK client for a tenant; "" is anonymous.
func (s *server) client(tenant string) *s3.Client {
	o := s3.Options{BaseEndpoint: aws.String(s.URL), UsePathStyle: true, Region: "us-east-1", RetryMaxAttempts: 1, Credentials: aws.AnonymousCredentials{}}
	if tenant != "" {
		i := s.keys["AK-"+tenant]
		o.Credentials = credentials.NewStaticCredentialsProvider(i.AccessKey, i.Secret, "")
	}
	return s3.New(o)
}

// bucket creates a bucket of alice.
func (s *server) bucket(t *testing.T, edit ...func(*s3.CreateBucketInput)) string {
	t.Helper()
	name := strings.ToLower("b-" + hex.EncodeToString([]byte(time.Now().Format("150405.000000")))[:26])
	in := &s3.CreateBucketInput{Bucket: &name}
	for _, e := range edit {
		e(in)
	}
	if _, err := s.client("alice").CreateBucket(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return name
}

func (s *server) put(t *testing.T, bucket string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		_, err := s.client("alice").PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("body")})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// code returns the S3 error code of an error of the SDK; "" is success.
func code(t *testing.T, err error) string {
	t.Helper()
	var e smithy.APIError
	if err == nil {
		return ""
	}
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	return e.ErrorCode()
}

// answer is the answer to a raw request.
type answer struct {
	*http.Response
	body []byte
	xml  struct {
		Code, Message, RequestId, HostId, Resource                 string //nolint:revive // S3's spelling
		AWSAccessKeyId, StringToSign, SignatureProvided            string //nolint:revive // S3's spelling
		StringToSignBytes, CanonicalRequest, CanonicalRequestBytes string
	}
}

// raw sends an unsigned request, with headers in pairs.
func (s *server) raw(t *testing.T, method, uri, body string, headers ...string) *answer {
	t.Helper()
	return s.do(t, s.request(t, method, uri, body, headers...))
}

func (s *server) request(t *testing.T, method, uri, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+uri, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// signed sends a request signed by version 4 for the tenant.
func (s *server) signed(t *testing.T, tenant, method, uri, body string, headers ...string) *answer {
	t.Helper()
	r := s.request(t, method, uri, body, headers...)
	s.sign(t, r, tenant, body)
	return s.do(t, r)
}

func (s *server) sign(t *testing.T, r *http.Request, tenant, body string) {
	t.Helper()
	i := s.keys["AK-"+tenant]
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(t.Context(),
		aws.Credentials{AccessKeyID: i.AccessKey, SecretAccessKey: i.Secret}, r, hash, "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) do(t *testing.T, r *http.Request) *answer {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := &answer{Response: response}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 400 && len(a.body) > 0 {
		if err := xml.NewDecoder(bytes.NewReader(a.body)).Decode(&a.xml); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
	}
	return a
}

// want checks status and code.
func (a *answer) want(t *testing.T, status int, code string) *answer {
	t.Helper()
	if a.StatusCode != status || a.xml.Code != code {
		t.Errorf("%s %s: %d %s, want %d %s: %s", a.Request.Method, a.Request.URL, a.StatusCode, a.xml.Code, status, code, a.body)
	}
	if len(a.Header.Get("X-Amz-Request-Id")) != 16 || a.Header.Get("X-Amz-Id-2") == "" || a.Header.Get("Server") != "Pithos" {
		t.Errorf("headers of every answer are missing: %v", a.Header)
	}
	return a
}
