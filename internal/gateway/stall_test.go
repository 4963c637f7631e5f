package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// one listens for one connection, which is there already.
type one struct {
	conn   chan net.Conn
	closed chan struct{}
	close  sync.Once
}

func (l *one) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *one) Close() error   { l.close.Do(func() { close(l.closed) }); return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }

// inItsTime serves h behind the guards to a client with one connection, in a
// time that passes only when both wait: how busy the machine is changes nothing.
func inItsTime(t *testing.T, stall time.Duration, h http.HandlerFunc, client func(t *testing.T, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &one{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- far
		s := &http.Server{Handler: stallGuard(stall, 1<<20, h)}
		go func() { _ = s.Serve(l) }() // until it is closed
		defer func() {
			_ = near.Close()
			_ = s.Close()
		}()
		client(t, near)
	})
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answered reads an answer to its end.
func answered(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(answer.StatusCode, " ", string(body))
}

func TestSlowButSteadyBodyLives(t *testing.T) {
	inItsTime(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		fmt.Fprint(w, len(data), err)
	}, func(t *testing.T, c net.Conn) {
		send(t, c, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n")
		for range 15 { // together longer than the stall time
			time.Sleep(50 * time.Second)
			send(t, c, "x")
		}
		if got := answered(t, bufio.NewReader(c)); got != "200 15 <nil>" {
			t.Errorf("got %s", got)
		}
	})
}

// TestHandlerMayWorkLongAfterTheBody: the server watches the connection then,
// and a deadline left behind would cancel the request.
func TestHandlerMayWorkLongAfterTheBody(t *testing.T) {
	for name, body := range map[string]string{"with body": "four", "without": ""} {
		t.Run(name, func(t *testing.T) {
			inItsTime(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Error(err)
				}
				select {
				case <-r.Context().Done():
					t.Error("the request was cancelled")
				case <-time.After(time.Hour):
				}
				fmt.Fprint(w, "done")
			}, func(t *testing.T, c net.Conn) {
				send(t, c, fmt.Sprintf("PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				if got := answered(t, bufio.NewReader(c)); got != "200 done" {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

func TestUnreadBodyDoesNotHoldTheConnection(t *testing.T) {
	inItsTime(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, func(t *testing.T, c net.Conn) {
		begun := time.Now()
		send(t, c, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		answer, err := io.ReadAll(c) // until the server closes
		if !strings.HasPrefix(string(answer), "HTTP/1.1 403 ") || err != nil {
			t.Errorf("got %q, %v", answer, err)
		}
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

func TestConnectionIsKeptAcrossRequests(t *testing.T) {
	inItsTime(t, time.Minute, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}, func(t *testing.T, c net.Conn) {
		in := bufio.NewReader(c)
		for range 3 {
			send(t, c, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour")
			if got := answered(t, in); got != "200 " {
				t.Errorf("got %q", got)
			}
			time.Sleep(time.Hour) // longer than a body may stand still
		}
	})
}
