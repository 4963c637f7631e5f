package edge

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pithos/pithos/s3api"
)

// answerOf is a handler whose answer has a length, and is held back until
// release is closed.
func answerOf(length int, entered chan<- string, release <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", "x")
		w.Header().Set("Content-Length", strconv.Itoa(length))
		w.WriteHeader(http.StatusOK)
		if _, err := w.Write([]byte("x")); err == nil {
			entered <- r.URL.Path
			<-release
		}
	}
}

// admitting is next, once the request was admitted for the work that it names.
func admitting(a **admission, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		work := s3api.Work{Kind: s3api.WorkStream, Bytes: r.ContentLength, Tenant: r.Header.Get("Tenant")}
		if r.Method == http.MethodGet {
			work.Kind = s3api.WorkObject
		}
		if err := (*a).admit(r.Context(), work); err != nil {
			w.Header().Set("Content-Type", err.Error())
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		next(w, r)
	}
}

// byHeader accounts requests to the address in a header.
func byHeader(r *http.Request) callers { return callers{r.Header.Get("Address")} }

func TestBodiesBeyondTheMemoryAreToldToSlowDown(t *testing.T) {
	const stream = 5 << 20
	entered, release := make(chan string, 8), make(chan struct{})
	var a *admission
	a = newAdmission(100, 2*stream+4*requestBytes, stream, time.Millisecond, admitting(&a, answerOf(10, entered, release)))
	put := func(length int64) *httptest.ResponseRecorder {
		r := httptest.NewRequest("PUT", "/b/k", strings.NewReader("x"))
		r.ContentLength = length
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		return w
	}
	var held sync.WaitGroup
	held.Go(func() { put(-1) })
	held.Go(func() { put(100 << 20) })
	<-entered
	<-entered
	if w := put(1 << 20); w.Code != 503 || w.Header().Get("Content-Type") != "SlowDown" {
		t.Errorf("a third long body: %d %v %s", w.Code, w.Header(), w.Body)
	}
	held.Go(func() {
		if w := put(100); w.Code != 200 {
			t.Errorf("a short body beside two long ones: %d", w.Code)
		}
	})
	<-entered
	close(release)
	held.Wait()
	if w := put(100 << 20); w.Code != 200 {
		t.Errorf("a long body when all is over: %d", w.Code)
	}
	if _, used, _ := a.memory.state(); used != 0 || len(a.memory.held) != 0 {
		t.Errorf("%d bytes are held after all requests have ended", used)
	}
}

// TestMemoryIsGrantedToCallersWhoWereAuthorized: a declared length alone gets none.
func TestMemoryIsGrantedToCallersWhoWereAuthorized(t *testing.T) {
	const stream = 5 << 20
	var a *admission
	a = newAdmission(100, 2*stream, stream, time.Millisecond, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if _, used, _ := a.memory.state(); used != requestBytes {
			t.Errorf("%d bytes are held before anybody is authenticated", used)
		}
	}))
	for _, method := range []string{"GET", "PUT", "POST"} {
		r := httptest.NewRequest(method, "/b/k", strings.NewReader("x"))
		r.ContentLength = 1 << 30
		r.Header.Set("X-Amz-Copy-Source", "/b/k")
		a.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// TestOneCallerLeavesRoomForOthers: neither an address nor a tenant takes all
// the turns or all the memory; an address that is not to be capped may.
func TestOneCallerLeavesRoomForOthers(t *testing.T) {
	cases := map[string]struct {
		address, tenant string
		size            int64
		memory          int64
		least, most     int
	}{
		"turns of an address":      {"192.0.2.1", "", 100, 1 << 30, 75, 80},
		"turns of a tenant":        {"", "alice", 100, 1 << 30, 75, 80},
		"memory of an address":     {"192.0.2.1", "", 1000, 100 * 5 << 20, 75, 80},
		"memory of a tenant":       {"", "alice", 1000, 100 * 5 << 20, 75, 80},
		"turns without any cap":    {"", "", 100, 1 << 30, 100, 100},
		"one large body that fits": {"192.0.2.1", "alice", 100, 0, 1, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			entered, release := make(chan string, 2000), make(chan struct{})
			var a *admission
			a = newAdmission(int(c.size), c.memory, 5<<20, time.Millisecond, admitting(&a, answerOf(10, entered, release)))
			a.shareOf = byHeader
			put := func(address, tenant string) int {
				r := httptest.NewRequest("PUT", "/b/k", strings.NewReader("x"))
				if strings.HasPrefix(name, "memory") || strings.HasPrefix(name, "one") {
					r.ContentLength = 1 << 30
				}
				r.Header.Set("Address", address)
				r.Header.Set("Tenant", tenant)
				w := httptest.NewRecorder()
				a.ServeHTTP(w, r)
				return w.Code
			}
			var held sync.WaitGroup
			var served, refused atomic.Int64
			for range c.size + 20 {
				held.Go(func() {
					if put(c.address, c.tenant) == 200 {
						served.Add(1)
					} else {
						refused.Add(1)
					}
				})
			}
			for int(refused.Load())+len(entered) < int(c.size)+20 {
				time.Sleep(time.Millisecond)
			}
			if n := len(entered); n < c.least || n > c.most {
				t.Errorf("%d of one caller are let in, want %d to %d", n, c.least, c.most)
			}
			if c.most < int(c.size) && c.memory > 0 {
				held.Go(func() {
					if code := put("192.0.2.9", "bob"); code != 200 {
						t.Errorf("another caller gets %d", code)
					}
				})
			}
			close(release)
			held.Wait()
			for _, p := range []*pool{a.limiter.pool, a.memory} {
				if _, used, waits := p.state(); used != 0 || waits != 0 || len(p.held) != 0 || len(p.waits) != 0 {
					t.Errorf("left over: %d used, %d waiting, %v, %v", used, waits, p.held, p.waits)
				}
			}
		})
	}
}

// TestFieldsOfFormsTakeAPartOfTheTurns: those who are not authenticated yet
// cannot hold up the others.
func TestFieldsOfFormsTakeAPartOfTheTurns(t *testing.T) {
	entered, release := make(chan string, 100), make(chan struct{})
	var a *admission
	a = newAdmission(80, 1<<30, 5<<20, time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" && a.admit(r.Context(), s3api.Work{Kind: s3api.WorkForm}) != nil {
			w.WriteHeader(503)
			entered <- "refused"
			return
		}
		entered <- "read"
		if r.Method == "POST" {
			<-release
			if err := a.admit(r.Context(), s3api.Work{Kind: s3api.WorkStream, Bytes: 5}); err != nil {
				t.Error(err)
			}
		}
	}))
	var held sync.WaitGroup
	for range 40 {
		held.Go(func() { a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/b", nil)) })
	}
	read := 0
	for range 40 {
		if <-entered == "read" {
			read++
		}
	}
	if read != 80/formsPart {
		t.Errorf("the fields of %d forms are read at a time", read)
	}
	a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/b", nil))
	if got := <-entered; got != "read" {
		t.Error("a GET is held up by forms")
	}
	close(release)
	held.Wait()
	if _, used, _ := a.forms.state(); used != 0 {
		t.Errorf("%d places are left over", used)
	}
}

func TestAnswersThatTurnOutLongerThanThereIsRoomAreReplaced(t *testing.T) {
	const stream = 5 << 20
	entered, release := make(chan string, 8), make(chan struct{})
	lengths := map[string]int{"/b/short": 10, "/b/long": 100 << 20}
	var a *admission
	a = newAdmission(100, stream+requestBytes, stream, time.Millisecond, admitting(&a, func(w http.ResponseWriter, r *http.Request) {
		answerOf(lengths[r.URL.Path], entered, release)(w, r)
	}))
	a.answer.set(0) // as after many short ones
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	var held sync.WaitGroup
	held.Go(func() { get("/b/long") })
	if path := <-entered; path != "/b/long" {
		t.Fatal(path)
	}
	close(release) // for those to come; the first one holds on, see below
	held.Wait()
	entered, release = make(chan string, 8), make(chan struct{})
	a.answer.set(0)
	held.Go(func() { get("/b/short") })
	<-entered
	if w := get("/b/long"); w.Code != 503 || w.Header().Get("ETag") != "" || !strings.Contains(w.Body.String(), "SlowDown") {
		t.Errorf("a long answer beside a short one: %d %v %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	held.Wait()
	if w := get("/b/long"); w.Code != 200 {
		t.Errorf("a long answer alone: %d", w.Code)
	}
}

func TestGetsTakeTheMemoryThatOthersTook(t *testing.T) {
	const stream = 5 << 20
	a := newAdmission(100, 2*stream, stream, 0, nil)
	get := s3api.Work{Kind: s3api.WorkObject}
	if got := a.bytes(get); got != stream {
		t.Errorf("the first takes %d", got)
	}
	for range 200 {
		a.answer.add(1000)
	}
	if got := a.bytes(get); got > 2000 {
		t.Errorf("after many short ones it takes %d", got)
	}
}

// TestFewerAreLetThroughWhileTheEngineFails: and as many as before when it
// does no more.
func TestFewerAreLetThroughWhileTheEngineFails(t *testing.T) {
	limiter := newLimiter(1000)
	one := func(o outcome) {
		if !limiter.acquire(t.Context(), callers{}) {
			t.Fatal("the limiter admits no request")
		}
		limiter.release(o, callers{})
	}
	for range 1000 {
		one(engineUnavailable)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range minLimit {
		if !limiter.acquire(gone, callers{}) {
			t.Fatal("the limiter admits no request that could find out that the engine is back")
		}
	}
	if limiter.acquire(gone, callers{}) {
		t.Error("as many are let through as ever")
	}
	for range minLimit {
		limiter.release(engineServed, callers{})
	}
	for range 1000 {
		one(engineServed)
	}
	for i := range 1000 {
		if !limiter.acquire(gone, callers{}) {
			t.Fatalf("only %d are let through when all is well", i)
		}
	}
}

func TestNoMoreWaitThanAreServed(t *testing.T) {
	limiter := newLimiter(2)
	for range 2 {
		limiter.acquire(t.Context(), callers{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan bool, 3)
	for range 3 {
		go func() { got <- limiter.acquire(ctx, callers{}) }()
	}
	if <-got {
		t.Error("a request above the limit did not wait")
	}
	limiter.release(engineServed, callers{})
	if !<-got {
		t.Error("a released turn was not passed to the waiting request")
	}
	cancel()
	if <-got {
		t.Error("who gave up was let through")
	}
	limiter.release(engineServed, callers{})
	limiter.release(engineServed, callers{})
	if _, running, waiting := limiter.state(); running != 0 || waiting != 0 {
		t.Errorf("%d are running and %d wait", running, waiting)
	}
}

// TestClientThatSendsItsBodyFirstHearsTheRefusal: many read nothing before
// they have sent all.
func TestClientThatSendsItsBodyFirstHearsTheRefusal(t *testing.T) {
	for name, expect := range map[string]string{"unasked": "", "having asked": "Expect: 100-continue\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(slowDown))
			t.Cleanup(s.Close)
			const length = 8 << 20
			c := dial(t, s, "PUT /b/k HTTP/1.1\r\nHost: x\r\n"+expect+"Content-Length: "+strconv.Itoa(length)+"\r\n\r\n")
			if _, err := c.Write(make([]byte, length)); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
				t.Errorf("%v", answer)
			}
		})
	}
}

// A page takes its memory before it is read, but never more than there is.
func TestPagesTakeTheMemoryThatTheyAskFor(t *testing.T) {
	const stream = 1 << 20
	entered, release := make(chan string, 8), make(chan struct{})
	var a *admission
	a = newAdmission(100, stream+4*requestBytes, stream, time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bytes, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		if err := a.admit(r.Context(), s3api.Work{Kind: s3api.WorkPage, Bytes: bytes}); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answerOf(10, entered, release)(w, r)
	}))
	list := func(bytes int) int {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", "/b?bytes="+strconv.Itoa(bytes), nil))
		return w.Code
	}
	close(release)
	for _, bytes := range []int{0, 1 << 10, stream, 100 << 20} {
		if got := list(bytes); got != 200 {
			t.Errorf("a page of %d bytes alone: %d", bytes, got)
		}
		<-entered
	}
	ctx := context.Background()
	if !a.memory.take(ctx, stream, 0, callers{}) {
		t.Fatal("there is no memory")
	}
	if got := list(1 << 20); got != 503 {
		t.Errorf("a page while the memory is taken: %d", got)
	}
	if got := list(1 << 10); got != 200 {
		t.Errorf("a short page while the memory is taken: %d", got)
	}
	a.memory.give(stream, callers{})
	if got := list(1 << 20); got != 200 {
		t.Errorf("a page once the memory is free again: %d", got)
	}
}
