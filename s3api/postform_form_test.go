package s3api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/storetest"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/sigv2"
	"github.com/pithos/pithos/sigv4"
	"github.com/pithos/pithos/store"
)

const (
	formAccessKey = "AKIDFORM/WITHSLASH"
	formSecret    = "form-secret-of-the-tests"
	formBoundary  = "----formBoundary7MA4YWxkTrZu0gW"
	closedBucket  = "form-closed"
	openBucket    = "form-open" // anybody may write
)

var formNow = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

type formKeys struct{}

func (formKeys) Lookup(_ context.Context, id string) (Identity, error) {
	if id != formAccessKey {
		return Identity{}, ErrUnknownAccessKey
	}
	return Identity{AccessKey: id, Secret: formSecret, Tenant: "alice"}, nil
}

// formServer is an API over the embedded engine with two buckets of alice's.
func formServer(t *testing.T, change func(*Options)) *API {
	t.Helper()
	s := storetest.Open(t, func(o *store.Options) { o.Classes["COLD"] = "main" })
	everybody := meta.ACL{Grants: []meta.Grant{
		{Type: "Group", Grantee: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "WRITE"}}}
	for name, acl := range map[string]meta.ACL{closedBucket: {}, openBucket: everybody} {
		if _, err := s.CreateBucket(t.Context(), store.CreateBucketInput{Name: name, Owner: "alice", ACL: acl}); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Store: s.Store, Keys: formKeys{}, Now: func() time.Time { return formNow }}
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range a.ops {
		if op.Name == "PostObject" {
			op.Authenticate, op.Handler = authenticateForm, postObject
		}
	}
	return a
}

// testForm is a form as a browser would send it.
type testForm struct {
	bucket string
	fields [][2]string
	// filename and file are the last part; noFile leaves it out.
	filename, file string
	noFile         bool
	after          [][2]string
	header         http.Header
}

func newTestForm(bucket string) *testForm {
	return &testForm{bucket: bucket, filename: "from-disk.txt", file: "the file's bytes"}
}

// set adds fields, given as name, value, name, value.
func (f *testForm) set(pairs ...string) *testForm {
	for i := 0; i < len(pairs); i += 2 {
		f.fields = append(f.fields, [2]string{pairs[i], pairs[i+1]})
	}
	return f
}

// replace gives a field another value.
func (f *testForm) replace(name, value string) *testForm {
	for i := range f.fields {
		if f.fields[i][0] == name {
			f.fields[i][1] = value
		}
	}
	return f
}

// drop removes a field.
func (f *testForm) drop(name string) *testForm {
	for i := range f.fields {
		if f.fields[i][0] == name {
			f.fields = append(f.fields[:i], f.fields[i+1:]...)
			break
		}
	}
	return f
}

const formCredential = formAccessKey + "/20260314/us-east-1/s3/aws4_request"

// policyOf returns a policy that is valid for an hour, with the conditions and the one
// for the bucket.
func policyOf(bucket string, conditions ...any) string {
	doc, err := json.Marshal(map[string]any{
		"expiration": formNow.Add(time.Hour).Format("2006-01-02T15:04:05.000Z"),
		"conditions": append([]any{map[string]string{"bucket": bucket}}, conditions...),
	})
	if err != nil {
		panic(err)
	}
	return string(doc)
}

type list []any

// signV2 adds a version 2 signature of the document.
func (f *testForm) signV2(document string) *testForm {
	p := base64.StdEncoding.EncodeToString([]byte(document))
	return f.set("AWSAccessKeyId", formAccessKey, "policy", p, "signature", sigv2.SignString(formSecret, p))
}

// signV4 adds a version 4 signature of the document.
func (f *testForm) signV4(document string) *testForm {
	p := base64.StdEncoding.EncodeToString([]byte(document))
	key := sigv4.SigningKey(formSecret, "20260314", "us-east-1", "s3")
	return f.set("x-amz-algorithm", "AWS4-HMAC-SHA256", "x-amz-credential", formCredential,
		"x-amz-date", "20260314T150900Z", "policy", p, "x-amz-signature", sigv4.SignString(key, p))
}

// v4Conditions cover the fields of signV4.
var v4Conditions = []any{
	list{"eq", "$x-amz-algorithm", "AWS4-HMAC-SHA256"}, map[string]string{"x-amz-credential": formCredential},
	list{"starts-with", "$x-amz-date", "20260314T"},
}

// encode returns the body.
func (f *testForm) encode() []byte {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(formBoundary); err != nil {
		panic(err)
	}
	for _, field := range f.fields {
		_ = w.WriteField(field[0], field[1])
	}
	if !f.noFile {
		part, _ := w.CreateFormFile("file", f.filename)
		_, _ = io.WriteString(part, f.file)
	}
	for _, field := range f.after {
		_ = w.WriteField(field[0], field[1])
	}
	_ = w.Close()
	return b.Bytes()
}

// post sends a body as a form.
func post(a *API, f *testForm, body io.Reader) *http.Response {
	r := httptest.NewRequest(http.MethodPost, "http://s3.example.org/"+f.bucket, body)
	for name, values := range f.header {
		r.Header[name] = values
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "multipart/form-data; boundary="+formBoundary)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Result()
}

// send posts the form.
func (f *testForm) send(a *API) *http.Response { return post(a, f, bytes.NewReader(f.encode())) }

// wantAnswer compares an answer with what is expected: a status and, for
// errors, the code and a part of the rest.
func wantAnswer(t *testing.T, res *http.Response, status int, code, part string) {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != status {
		t.Fatalf("got %d, want %d %s: %s", res.StatusCode, status, code, body)
	}
	if code != "" && !bytes.Contains(body, []byte("<Code>"+code+"</Code>")) || !bytes.Contains(body, []byte(part)) {
		t.Fatalf("got %s, want code %q and %q", body, code, part)
	}
}

// stored reads an object back.
func stored(t *testing.T, a *API, bucket, key string) (*store.Object, string) {
	t.Helper()
	b, err := a.store.Bucket(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	o, err := a.store.Get(t.Context(), b, key, store.GetInput{})
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	defer func() { _ = o.Body.Close() }()
	data, err := io.ReadAll(o.Body)
	if err != nil {
		t.Fatal(err)
	}
	return o, string(data)
}

// wantNothing checks that a bucket is empty.
func wantNothing(t *testing.T, a *API, bucket string) {
	t.Helper()
	b, err := a.store.Bucket(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.store.List(t.Context(), b, store.ListInput{Limit: 10})
	if err != nil || len(l.Objects) > 0 {
		t.Fatalf("%s holds %d objects (%v), want none", bucket, len(l.Objects), err)
	}
}
