package edge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/s3err"
)

// served is a server of h behind the guards, with a stall time.
func served(t *testing.T, stall time.Duration, maxBody int64, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(stallGuard(stall, maxBody, h))
	t.Cleanup(s.Close)
	return s
}

// dial opens a connection and sends text on it.
func dial(t *testing.T, s *httptest.Server, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBodyThatStandsStillIsGivenUp(t *testing.T) {
	got := make(chan error, 1)
	s := served(t, 50*time.Millisecond, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})
	dial(t, s, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nten bytes.")
	var e *s3err.Error
	if err := <-got; !errors.As(err, &e) || e.Code != "RequestTimeout" {
		t.Errorf("got %v", err)
	}
}

func TestReaderThatStandsStillIsGivenUp(t *testing.T) {
	got := make(chan error, 1)
	s := served(t, 50*time.Millisecond, 1<<20, func(w http.ResponseWriter, r *http.Request) {
		var err error
		for piece := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(piece)
		}
		got <- err
	})
	dial(t, s, "GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
	if err := <-got; err == nil {
		t.Error("the handler was never told")
	}
}

func TestBodyBeyondTheLimitIsRefused(t *testing.T) {
	s := served(t, time.Minute, 1000, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	cases := []struct {
		name   string
		length int64
		body   io.Reader
		header string
		want   int
	}{
		{"within", 1000, bytes.NewReader(make([]byte, 1000)), "", 200},
		{"declared", 1001, bytes.NewReader(make([]byte, 1001)), "", 400},
		{"decoded length within", 1100, bytes.NewReader(make([]byte, 1100)), "1000", 200},
		{"decoded length beyond", 900, bytes.NewReader(make([]byte, 900)), "1001", 400},
		{"undeclared", -1, io.LimitReader(zeros{}, 200_000), "", http.StatusTeapot},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, c.body)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = c.length
			if c.header != "" {
				r.Header.Set("X-Amz-Decoded-Content-Length", c.header)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Errorf("status %d, want %d", resp.StatusCode, c.want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestRequestsBeyondTheBoundAreToldToSlowDown(t *testing.T) {
	busy, release := make(chan struct{}), make(chan struct{})
	a := newAdmission(1, 1<<30, 5<<20, time.Millisecond, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		busy <- struct{}{}
		<-release
	}))
	first := make(chan struct{})
	go func() {
		defer close(first)
		a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	<-busy
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("GET", "/b/<k>", nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "<Code>SlowDown</Code>") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if !strings.Contains(w.Body.String(), "/b/&lt;k&gt;") {
		t.Errorf("not escaped: %s", w.Body)
	}
	close(release)
	<-first
}

func TestWaitingRequestGetsTheSlotThatIsFreed(t *testing.T) {
	entered := make(chan string)
	a := newAdmission(1, 1<<30, 5<<20, time.Minute, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { entered <- r.URL.Path }))
	for _, path := range []string{"/1", "/2"} {
		go a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	if one, two := <-entered, <-entered; one == two {
		t.Errorf("%s came twice", one)
	}
}

func TestPanicFreesItsSlot(t *testing.T) {
	a := newAdmission(1, 1<<30, 5<<20, 0, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 2 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the second request was not let in")
				}
			}()
			a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}()
	}
}

func TestServerWithoutEngineIsAliveAndNotReady(t *testing.T) {
	cfg := config.Default()
	s := NewServer(&cfg, zap.NewNop(), nil)
	cases := []struct {
		method, host, path string
		want               int
	}{
		{"GET", "localhost:8080", "/-/live", 200},
		{"HEAD", "localhost:8080", "/-/live", 200},
		{"POST", "localhost:8080", "/-/live", 405},
		{"GET", "localhost:8080", "/-/ready", 503},
		{"GET", "localhost:8080", "/-/other", 404},
		{"GET", "bucket.s3.amazonaws.com", "/-/live", 503}, // a key of that bucket
		{"GET", "localhost:8080", "/bucket", 503},
		{"HEAD", "localhost:8080", "/bucket/key", 503},
		{"PUT", "localhost:8080", "/bucket/key", 503},
	}
	for _, c := range cases {
		t.Run(c.method+" "+c.host+c.path, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(""))
			r.Host = c.host
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != c.want || c.want == 503 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

func TestWaitEndsWithTheLastRequest(t *testing.T) {
	cfg := config.Default()
	s := NewServer(&cfg, zap.NewNop(), nil)
	inside, release := make(chan struct{}), make(chan struct{})
	s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(inside); <-release })
	go s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/b", nil))
	<-inside
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it runs: %v", err)
	}
	close(release)
	if err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}
