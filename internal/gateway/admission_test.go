package gateway

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
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

func TestBodiesBeyondTheMemoryAreToldToSlowDown(t *testing.T) {
	const stream = 5 << 20
	entered, release := make(chan string, 8), make(chan struct{})
	a := newAdmission(100, 2*stream+4*requestBytes, stream, time.Millisecond, answerOf(10, entered, release))
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
	if w := put(1 << 20); w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "SlowDown") {
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
}

func TestAnswersThatTurnOutLongerThanThereIsRoomAreReplaced(t *testing.T) {
	const stream = 5 << 20
	entered, release := make(chan string, 8), make(chan struct{})
	lengths := map[string]int{"/b/short": 10, "/b/long": 100 << 20}
	a := newAdmission(100, stream+requestBytes, stream, time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	get := httptest.NewRequest("GET", "/b/k", nil)
	if got := a.takes(get); got != requestBytes+stream {
		t.Errorf("the first takes %d", got)
	}
	for range 200 {
		a.answer.add(1000)
	}
	if got := a.takes(get); got > requestBytes+2000 {
		t.Errorf("after many short ones it takes %d", got)
	}
}

// TestFewerAreLetThroughWhileTheEngineFails: and as many as before when it
// does no more.
func TestFewerAreLetThroughWhileTheEngineFails(t *testing.T) {
	turns := newTurns(1000)
	one := func(unavailable bool) {
		if !turns.take(t.Context()) {
			t.Fatal("nobody is let through")
		}
		turns.leave(unavailable)
	}
	for range 1000 {
		one(true)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range leastTurns {
		if !turns.take(gone) {
			t.Fatal("somebody must find out that the engine is back")
		}
	}
	if turns.take(gone) {
		t.Error("as many are let through as ever")
	}
	for range leastTurns {
		turns.leave(false)
	}
	for range 1000 {
		one(false)
	}
	for i := range 1000 {
		if !turns.take(gone) {
			t.Fatalf("only %d are let through when all is well", i)
		}
	}
}

func TestNoMoreWaitThanAreServed(t *testing.T) {
	turns := newTurns(2)
	for range 2 {
		turns.take(t.Context())
	}
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan bool, 3)
	for range 3 {
		go func() { got <- turns.take(ctx) }()
	}
	if <-got {
		t.Error("somebody did not have to wait")
	}
	turns.leave(false)
	if !<-got {
		t.Error("a turn that ended is nobody's")
	}
	cancel()
	if <-got {
		t.Error("who gave up was let through")
	}
	turns.leave(false)
	turns.leave(false)
	if turns.running != 0 || len(turns.line) != 0 {
		t.Errorf("%d are running and %d wait", turns.running, len(turns.line))
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
