package s3api_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pithos/pithos/s3api"
)

// countedKeys counts the lookups of tenants.
type countedKeys struct {
	keyring
	lookups atomic.Int32
}

func (k *countedKeys) Tenant(ctx context.Context, name string) (string, error) {
	k.lookups.Add(1)
	return k.keyring.Tenant(ctx, name)
}

func TestGranteesAreCountedBeforeTheyAreLookedUp(t *testing.T) {
	keys := &countedKeys{}
	s := newServer(t, func(o *s3api.Options) {
		keys.keyring = o.Keys.(keyring)
		o.Keys = keys
	})
	b := s.bucket(t)
	s.put(t, b, "k")
	list := func(n int, grantee string) string {
		return strings.Repeat(grantee+",", n-1) + grantee
	}
	document := func(n int) string {
		var grants strings.Builder
		for i := range n {
			fmt.Fprintf(&grants, `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>%s</ID></Grantee><Permission>READ</Permission></Grant>`, []string{"alice", "bob"}[i%2])
		}
		return "<AccessControlPolicy><Owner><ID>alice</ID></Owner><AccessControlList>" + grants.String() + "</AccessControlList></AccessControlPolicy>"
	}
	for _, c := range []struct {
		what, method, target, body string
		headers                    []string
		status                     int
		code                       string
		lookups                    int32
	}{
		{"many of one", "PUT", "?acl", "", []string{"X-Amz-Grant-Read", list(99, `id="bob"`), "X-Amz-Grant-Write", `id="bob"`}, 200, "", 1},
		{"one too many", "PUT", "?acl", "", []string{"X-Amz-Grant-Read", list(100, `id="bob"`), "X-Amz-Grant-Write", `id="bob"`}, 400, "InvalidArgument", 0},
		{"thousands", "PUT", "/k?acl", "", []string{"X-Amz-Grant-Read", list(5000, `id="x"`)}, 400, "InvalidArgument", 0},
		{"of an upload", "POST", "/k?uploads", "", []string{"X-Amz-Grant-Read", list(5000, `id="x"`)}, 400, "InvalidArgument", 0},
		{"of a new object", "PUT", "/new", "x", []string{"X-Amz-Grant-Read", list(50, `emailAddress="bob@example.com"`), "X-Amz-Grant-Read-Acp", `id=alice,id=bob`}, 200, "", 3},
		{"malformed at the end", "PUT", "/k?acl", "", []string{"X-Amz-Grant-Read", list(50, `id="bob"`) + ",bob"}, 400, "InvalidArgument", 0},
		{"unknown", "PUT", "/k?acl", "", []string{"X-Amz-Grant-Read", `id="x",id="bob"`}, 400, "InvalidArgument", 1},
		{"a document", "PUT", "?acl", document(100), nil, 200, "", 2},
		{"a long document", "PUT", "/k?acl", document(101), nil, 400, "MalformedACLError", 0},
		{"malformed at the end of a document", "PUT", "/k?acl", strings.Replace(document(100), "</AccessControlList>", "<Grant><Permission>READ</Permission></Grant></AccessControlList>", 1), nil, 400, "MalformedACLError", 0},
	} {
		before := keys.lookups.Load()
		s.signed(t, "alice", c.method, "/"+b+c.target, c.body, c.headers...).want(t, c.status, c.code)
		if got := keys.lookups.Load() - before; got != c.lookups {
			t.Errorf("%s: %d lookups, want %d", c.what, got, c.lookups)
		}
	}
}
