package costtest

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pithos/pithos/internal/s3test"
	"github.com/pithos/pithos/meta"
)

func TestMain(m *testing.M) {
	s3test.Main(m, s3test.WrapMeta(func(s meta.Store, k meta.AccessKeys) (meta.Store, meta.AccessKeys) {
		return &rowCounter{s, &rowsRead}, &keyCounter{k, &rowsRead}
	}))
}

// attack is what one case sends.
type attack struct {
	// requests are sent one after another. Each is held to the bound.
	requests [][]byte
	// status are those that the answers may have.
	status []int
	// units of work that each request names: keys of a DeleteObjects. 0 is 1.
	units int64
	// shown are the rows that the answer to each request shows.
	shown int64
}

// notShort skips a measurement under -short.
func notShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no cost is measured")
	}
}

// testCase is one line of the table.
type testCase struct {
	name  string
	bound bound
	// rule says what keeps the cost down.
	rule string
	// prepare stores the worst that can be stored and makes the attack.
	prepare func(x *fixture) attack
}

// runs is how often an attack is measured. Of CPU time the least counts, which
// other work of the machine disturbs least. Of memory and rows the first counts:
// nothing is cached then.
const runs = 3

func TestCost(t *testing.T) {
	notShort(t)
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		made := map[string]string{}
		for _, c := range slices.Concat(headCases, policyCases, documentCases, bodyCases, listingCases, segmentCases) {
			x := &fixture{engine: t, s: s, made: made}
			t.Run(c.name, func(t *testing.T) {
				x.T = t
				c.run(x)
			})
		}
	})
}

func (c *testCase) run(x *fixture) {
	t := x.T
	a := c.prepare(x)
	if len(a.requests) == 0 {
		t.Fatal("the case sends nothing")
	}
	addr := strings.TrimPrefix(x.s.URL, "http://")
	used := make([]usage, len(a.requests))
	exceeded := false
	for run := range runs {
		if exceeded && run == 1 { // by far: once is enough
			break
		}
		runtime.GC()
		for i, raw := range a.requests {
			var got answer
			now := measure(func() { got = send(t, addr, raw) })
			now.sent, now.received = int64(len(raw)), got.bytes
			if !slices.Contains(a.status, got.status) {
				t.Fatalf("status %d, want one of %v: %s\nrequest: %.300q", got.status, a.status, got.head, raw)
			}
			if run == 0 {
				used[i] = now
				t.Logf("%.60q: %.80q", raw, firstError(got.head))
			}
			used[i].cpu = min(used[i].cpu, now.cpu)
			exceeded = exceeded || now.cpu > 10*cpuFactor*c.bound.allowed(max(a.units, 1), now, a.shown).cpu
		}
	}
	for i, u := range used {
		allowed := c.bound.allowed(max(a.units, 1), u, a.shown)
		t.Logf("%.60q: used %v; allowed %v", a.requests[i], u, allowed)
		if text := u.exceeded(allowed, cpuFactor); text != "" {
			t.Errorf("a request costs more than its size allows (docs/security.md, Bounds: requests %s):\n%s  rule: %s\n  used: %v\n  request: %.200q",
				c.bound.name, text, c.rule, u, a.requests[i])
		}
	}
}

// firstError is the status and the code of an answer.
func firstError(head []byte) string {
	status, rest, _ := strings.Cut(string(head), "\r\n")
	_, code, _ := strings.Cut(rest, "<Code>")
	code, _, _ = strings.Cut(code, "<")
	return status + " " + code
}

// fixture is what cases are made with.
type fixture struct {
	*testing.T
	engine *testing.T // the test of all cases on this engine
	s      *s3test.Server
	made   map[string]string // buckets that cases share
}

// shared returns the bucket of that name, which make fills for the first case
// that asks for it and no case changes.
func (x *fixture) shared(name string, make func(x *fixture) string) string {
	if x.made[name] == "" {
		x.made[name] = make(&fixture{T: x.engine, engine: x.engine, s: x.s, made: x.made})
	}
	return x.made[name]
}

// unsigned is the key of requests without a signature.
var unsigned s3test.Key

// request makes the bytes of a request, signed by key unless that is unsigned.
// header are pairs of name and value.
func (x *fixture) request(key s3test.Key, method, target string, body []byte, header ...string) []byte {
	x.Helper()
	return x.bytes(x.s.Request(x.T, key, method, target, body, header...))
}

// bytes are those of a request on the wire. It asks the server to close the
// connection.
func (x *fixture) bytes(r *http.Request) []byte {
	x.Helper()
	r.Close = true
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		x.Fatal(err)
	}
	return b.Bytes()
}

// raw is a request that net/http would not send. Its body is empty.
func (x *fixture) raw(method, target string, header ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, target, strings.TrimPrefix(x.s.URL, "http://"))
	for i := 0; i+1 < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// must makes a request of the setup, which has to succeed.
func (x *fixture) must(key s3test.Key, method, target string, body []byte, header ...string) []byte {
	x.Helper()
	r, got := x.s.Do(x.T, key, method, target, body, header...)
	if r.StatusCode >= 300 {
		x.Fatalf("%s %.200s: %d %.500s", method, target, r.StatusCode, got)
	}
	return got
}

// largest stores the worst setting that a PUT accepts: make(n) for the largest
// of n, n/2, n/4, ... that is not refused.
func (x *fixture) largest(n int, target string, make func(n int) string) {
	x.Helper()
	var last string
	for ; n > 0; n /= 2 {
		r, got := x.s.Do(x.T, s3test.Alice, "PUT", target, []byte(make(n)))
		if r.StatusCode < 300 {
			return
		}
		last = fmt.Sprintf("%d %.500s", r.StatusCode, got)
	}
	x.Fatalf("PUT %s is refused at any size: %s", target, last)
}

// policy puts the largest policy that is accepted and waits until it holds.
func (x *fixture) policy(bucket string, n int, make func(n int) string) {
	x.Helper()
	x.largest(n, "/"+bucket+"?policy", make)
}

// fill repeats text until it has n bytes.
func fill(text string, n int) string { return strings.Repeat(text, n/len(text)+1)[:n] }
