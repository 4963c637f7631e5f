package s3api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
)

// deletion returns a DeleteObjects of n keys that do not exist, each of 1,000 bytes.
func deletion(n int) string {
	var b strings.Builder
	b.WriteString("<Delete><Quiet>true</Quiet>")
	for i := range n {
		fmt.Fprintf(&b, "<Object><Key>%s%04d</Key></Object>", strings.Repeat("a", 996), i)
	}
	b.WriteString("</Delete>")
	return b.String()
}

// hostilePolicies are Deny statements that do not apply and are as expensive as
// 20 KB of policy can be.
func hostilePolicies(bucket string) map[string]string {
	list := func(n int, item string) string { return `[` + strings.Repeat(item+",", n-1) + item + `]` }
	run := strings.Repeat("a", 40)
	deny := func(rest string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:*","Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]},
			{"Effect":"Deny","Principal":{"AWS":"bob"},"Action":"s3:*",%s}]}`, bucket, bucket, rest)
	}
	all := `"Resource":"arn:aws:s3:::` + bucket + `/*"`
	return map[string]string{
		"a variable named often": deny(`"Resource":"arn:aws:s3:::` + bucket + `/` + strings.Repeat("${aws:UserAgent}", 100) + `"`),
		"a long pattern":         deny(all + `,"Condition":{"StringLike":{"aws:UserAgent":"*` + strings.Repeat("a", 9000) + "?" + strings.Repeat("a", 9000) + `b*"}}`),
		"many stars":             deny(all + `,"Condition":{"StringLike":{"aws:UserAgent":"` + strings.Repeat("*a", 9000) + `b"}}`),
		"many numbers":           deny(all + `,"Condition":{"NumericEquals":{"aws:UserAgent":` + list(2500, "1") + `}}`),
		"many resources":         deny(`"Resource":` + list(600, `"arn:aws:s3:::*ab*ab*"`)),
		"many searches":          deny(`"Resource":` + list(170, `"arn:aws:s3:::*`+run+"?"+run+`b*"`)),
		"stars in a resource":    deny(`"Resource":"arn:aws:s3:::` + bucket + `/` + strings.Repeat("*", 18000) + `b"`),
	}
}

// The bucket's owner chooses the policy, and the callers choose headers and keys. The
// worst case of both is decided, for a thousand keys and for one.
func TestHostilePoliciesCostLittle(t *testing.T) {
	behaviour(t, func(x *apiTest) {
		x.put("k", "body")
		agent := strings.Repeat("a", 48<<10)
		for name, text := range hostilePolicies(x.bucket) {
			if r := x.raw("PUT", "?policy", text); r.resp.StatusCode != 204 {
				x.Errorf("%s: %s", name, r.body)
				continue
			}
			for range 3 {
				x.as(s3test.Bob, "GET", "/"+x.bucket+"/k", "", "User-Agent", agent).want(200, "")
			}
			body := deletion(100)
			x.as(s3test.Bob, "POST", "/"+x.bucket+"?delete", body, "User-Agent", agent, "Content-MD5", contentMD5(body)).want(200, "")
		}
	})
}

// Work stops when the client has disconnected, also between the keys of a
// DeleteObjects.
func TestAuthorizationStopsWhenTheClientHasLeft(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	// Bob may delete some keys, but none of these: each is decided separately.
	s.signed(t, "alice", "PUT", "/"+b+"?policy", fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"bob"},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::%s/b*"}}`, b)).want(t, 204, "")
	body := deletion(1000)
	decided := func() int { return s.logs.FilterMessage("refused").Len() }
	send := func(ctx context.Context) (answer *httptest.ResponseRecorder, cut bool) {
		r := s.request(t, "POST", "/"+b+"?delete", body, "Content-MD5", contentMD5(body)).WithContext(ctx)
		s.sign(t, r, "bob", body)
		r.RequestURI = r.URL.RequestURI()
		answer = httptest.NewRecorder()
		defer func() {
			err, _ := recover().(error)
			cut = errors.Is(err, http.ErrAbortHandler)
		}()
		s.Config.Handler.ServeHTTP(answer, r)
		return answer, false
	}
	if answer, cut := send(t.Context()); cut || answer.Code != 200 || decided() != 1000 {
		t.Fatalf("%d, cut: %v, %d keys decided", answer.Code, cut, decided())
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if answer, cut := send(gone); !cut || answer.Body.Len() > 0 || decided() != 1000 {
		t.Errorf("%d, %d bytes, cut: %v, %d keys decided", answer.Code, answer.Body.Len(), cut, decided()-1000)
	}
}

// With more policies than fit into the cache, each bucket is decided by its own.
func TestPoliciesOfManyBuckets(t *testing.T) {
	s := newServer(t)
	const buckets = 64 // of 0.6 MiB of parsed policy each
	names := make([]string, buckets)
	for i := range names {
		names[i] = s.bucket(t)
		s.put(t, names[i], "k")
		effect := []string{"Allow", "Deny"}[i%2]
		text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*"},
			{"Effect":%q,"Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::%s/*","Condition":{"NumericGreaterThan":{"aws:EpochTime":[%s1]}}}]}`,
			names[i], effect, names[i], strings.Repeat("1,", 2499))
		s.signed(t, "alice", "PUT", "/"+names[i]+"?policy", text).want(t, 204, "")
	}
	for range 2 {
		for i, name := range names {
			if i%2 == 0 {
				s.raw(t, "GET", "/"+name+"/k", "").want(t, 200, "")
			} else {
				s.raw(t, "GET", "/"+name+"/k", "").want(t, 403, "AccessDenied")
			}
		}
	}
	// A changed policy takes effect immediately.
	s.signed(t, "alice", "DELETE", "/"+names[1]+"?policy", "").want(t, 204, "")
	s.signed(t, "alice", "PUT", "/"+names[1]+"?policy", allowAll(names[1], "s3:GetObject", "")).want(t, 204, "")
	s.raw(t, "GET", "/"+names[1]+"/k", "").want(t, 200, "")
}
