package s3api

import (
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pithos/pithos/policy"
)

// own are the rows that are not methods of the SDK's client.
var own = []string{"OptionsBucket", "OptionsObject", "PostObject"}

func TestEveryOperationOfTheSDKHasARow(t *testing.T) {
	rows := map[string]bool{}
	for _, op := range Operations() {
		if rows[op.Name] {
			t.Errorf("%s has two rows", op.Name)
		}
		rows[op.Name] = true
	}
	client := reflect.TypeFor[*s3.Client]()
	sdk := map[string]bool{}
	for i := range client.NumMethod() {
		m := client.Method(i)
		// Methods of operations take a context, their input and options.
		if m.Type.NumIn() == 4 && m.Type.In(2).Kind() == reflect.Pointer && m.Type.In(2).Elem().Name() == m.Name+"Input" {
			sdk[m.Name] = true
			if !rows[m.Name] {
				t.Errorf("%s has no row", m.Name)
			}
		}
	}
	if len(sdk) < 100 {
		t.Fatalf("only %d operations found in the SDK: the test looks in the wrong place", len(sdk))
	}
	for name := range rows {
		if !sdk[name] && !slices.Contains(own, name) {
			t.Errorf("the SDK knows no %s", name)
		}
	}
}

func TestNoTwoRowsAreAmbiguous(t *testing.T) {
	ops := Operations()
	for i := range ops {
		for j := range i {
			a, b := &ops[i], &ops[j]
			if a.Method != b.Method || a.Scope != b.Scope || a.specificity() != b.specificity() {
				continue
			}
			if wants(a) == wants(b) {
				t.Errorf("%s and %s want the same of a request", a.Name, b.Name)
			}
		}
	}
}

func wants(op *Operation) string {
	var all []string
	for _, s := range op.Query {
		all = append(all, s.Name+"="+s.Value)
	}
	slices.Sort(all)
	return strings.Join(all, "&") + " " + op.Header
}

// If several rows match a request with the same specificity, they differ in a
// sub-resource, and route refuses the request as a conflict.
func TestRowsOfEqualRankConflict(t *testing.T) {
	ops := Operations()
	pointers := make([]*Operation, len(ops))
	for i := range ops {
		pointers[i] = &ops[i]
	}
	known := subresources(pointers)
	for i := range ops {
		for j := range i {
			a, b := &ops[i], &ops[j]
			if a.Method != b.Method || a.Scope != b.Scope || a.specificity() != b.specificity() || a.specificity() == 0 {
				continue
			}
			told := false
			for _, s := range a.Query {
				told = told || known[a.Scope][s.Name] && !b.accepts(s.Name)
			}
			for _, s := range b.Query {
				told = told || known[a.Scope][s.Name] && !a.accepts(s.Name)
			}
			if !told {
				t.Errorf("a request may be for both %s and %s", a.Name, b.Name)
			}
		}
	}
}

func TestRowsWithHandlersAskForKnownActions(t *testing.T) {
	for _, op := range Operations() {
		if op.Handler == nil {
			continue
		}
		for _, action := range []string{op.Action, op.VersionAction} {
			if action != "" && !policy.KnownAction(action) {
				t.Errorf("%s asks for %q, which no policy can allow", op.Name, action)
			}
		}
		if op.Action == "" && op.Resources == nil && !op.Public {
			t.Errorf("%s asks for nothing: everybody may do it", op.Name)
		}
		if op.VersionAction != "" && !op.Versioned {
			t.Errorf("%s has an action for versions, and takes no versionId", op.Name)
		}
	}
}

func TestRouting(t *testing.T) {
	a := testAPI(t)
	for _, c := range []struct{ request, want string }{
		{"GET /", "ListBuckets"},
		{"GET /?x-id=ListBuckets", "ListBuckets"},
		{"GET /?x-id=ListDirectoryBuckets", "ListDirectoryBuckets"},
		{"GET /bkt", "ListObjects"},
		{"GET /bkt/", "ListObjects"},
		{"GET /bkt?list-type=2", "ListObjectsV2"},
		{"GET /bkt?list-type=3", "ListObjects"},
		{"GET /bkt?acl", "GetBucketAcl"},
		{"GET /bkt?acl=", "GetBucketAcl"},
		{"GET /bkt?acl&policy", "InvalidArgument"},
		{"GET /bkt?delete", "MethodNotAllowed"},
		{"PUT /bkt?location", "MethodNotAllowed"},
		{"DELETE /bkt?acl", "MethodNotAllowed"},
		{"GET /bkt?analytics", "ListBucketAnalyticsConfigurations"},
		{"GET /bkt?analytics&id=1", "GetBucketAnalyticsConfiguration"},
		{"POST /bkt", "PostObject"},
		{"POST /bkt?delete", "DeleteObjects"},
		{"PATCH /bkt", "MethodNotAllowed"},
		{"GET /bkt/key", "GetObject"},
		{"GET /bkt/key?partNumber=1", "GetObject"},
		{"GET /bkt/key?uploadId=x", "ListParts"},
		{"GET /bkt/key?utm_source=x", "GetObject"},
		{"GET /bkt/key?versionId=", "InvalidArgument"},
		{"GET /bkt/key?versionId=x", "GetObject"},
		{"PUT /bkt/key?versionId=x", "InvalidArgument"},
		{"PUT /bkt/key", "PutObject"},
		{"PUT /bkt/key?append&position=0", "MethodNotAllowed"},
		{"PUT /bkt/key?uploadId=x", "MethodNotAllowed"},
		{"PUT /bkt/key?partNumber=1&uploadId=x", "UploadPart"},
		{"PUT /bkt/key?partNumber=1&uploadId=x X-Amz-Copy-Source:/a/b", "UploadPartCopy"},
		{"PUT /bkt/key X-Amz-Copy-Source:/a/b", "CopyObject"},
		{"PUT /bkt/key?tagging X-Amz-Copy-Source:/a/b", "PutObjectTagging"},
		{"PUT /bkt/key?renameObject", "RenameObject"},
		{"PUT /bkt/key?encryption", "UpdateObjectEncryption"},
		{"POST /bkt/key", "MethodNotAllowed"},
		{"POST /bkt/key?select&select-type=2", "SelectObjectContent"},
		{"OPTIONS /bkt/key", "OptionsObject"},
		{"OPTIONS /", "MethodNotAllowed"},
		{"POST /WriteGetObjectResponse X-Amz-Request-Route:x", "WriteGetObjectResponse"},
	} {
		if got := routed(t, a, c.request); got != c.want {
			t.Errorf("%s: %s, want %s", c.request, got, c.want)
		}
	}
}

// routed returns the name of the operation, or the code of the error.
func routed(t *testing.T, a *API, request string) string {
	t.Helper()
	line, header, _ := strings.Cut(request, " X-")
	method, uri, _ := strings.Cut(line, " ")
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	hr := &http.Request{Method: method, URL: u, RequestURI: uri, Host: "localhost", Header: http.Header{}}
	if name, value, ok := strings.Cut(header, ":"); ok {
		hr.Header.Set("X-"+name, value)
	}
	r := &Request{Request: hr}
	where, err := parseAddress(hr, nil)
	if err != nil {
		return string(toError(err).Code)
	}
	r.BucketName, r.Key = where.bucket, where.key
	if r.query, err = parseQuery(u.RawQuery); err != nil {
		return string(toError(err).Code)
	}
	if err := a.route(r); err != nil {
		return string(toError(err).Code)
	}
	return r.Op.Name
}

// testAPI is an API that can only route.
func testAPI(t *testing.T) *API {
	t.Helper()
	a := &API{}
	for _, op := range Operations() {
		a.ops = append(a.ops, &op)
	}
	a.subresources = subresources(a.ops)
	a.router = a.newRouter()
	return a
}

func ExampleOperations() {
	for _, op := range Operations() {
		if op.Name == "UploadPartCopy" {
			fmt.Println(op.Method, wants(&op))
		}
	}
	// Output: PUT partNumber=&uploadId= X-Amz-Copy-Source
}
