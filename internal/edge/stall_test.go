package edge

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/s3api"
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
	serveOne(t, stallGuard(stall, 1<<20, h), client)
}

func serveOne(t *testing.T, h http.Handler, client func(t *testing.T, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &one{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- far
		s := &http.Server{Handler: h}
		go func() { _ = s.Serve(l) }() // until it is closed
		defer func() {
			_ = near.Close()
			_ = s.Close()
			time.Sleep(time.Second) // net/http lingers for half of that
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

// throughAdmission serves h by a whole chain; h gets what is asked for its work.
func throughAdmission(t *testing.T, stall time.Duration, h func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error), client func(t *testing.T, c net.Conn)) {
	var a *admission
	guarded := stallGuard(stall, 1<<30, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h(w, r, func(kind s3api.WorkKind) error {
			return a.admit(r.Context(), s3api.Work{Kind: kind, Bytes: r.ContentLength})
		})
	}))
	a = newAdmission(10, 1<<30, 5<<20, time.Second, guarded)
	serveOne(t, a, client)
}

// nowAndThen calls do at intervals until it returns false; the function that
// it returns closes the connection and waits for that.
func nowAndThen(conn net.Conn, every time.Duration, do func(n int) bool) (end func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			select {
			case <-over:
				return
			case <-time.After(every):
				if !do(n) {
					return
				}
			}
		}
	}()
	return func() {
		close(over)
		_ = conn.Close()
		<-done
	}
}

// TestPaceOfBodies: who is how fast gets how far. A drip of a byte at a time
// ends; a phone on a bad link gets through.
func TestPaceOfBodies(t *testing.T) {
	cases := []struct {
		name   string
		kind   s3api.WorkKind // -1: the caller is not known yet
		piece  int
		every  time.Duration
		pieces int
		after  time.Duration // when it is cut; 0: it is read to its end
	}{
		{"a stream at 4 KiB/s", s3api.WorkStream, 4096, time.Second, 2000, 0},
		{"a stream with gaps of 50 s", s3api.WorkStream, 256 << 10, 50 * time.Second, 100, 0},
		{"a stream of a byte every 20 s", s3api.WorkStream, 1, 20 * time.Second, 100, time.Minute},
		{"a stream at 900 bytes/s", s3api.WorkStream, 900, time.Second, 2000, 10 * time.Minute},
		{"a document at 4 KiB/s", s3api.WorkDocument, 4096, time.Second, 500, 0},
		{"a document of a byte every 5 s", s3api.WorkDocument, 1, 5 * time.Second, 100, 31 * time.Second},
		{"a document at 1 KiB/s", s3api.WorkDocument, 1024, time.Second, 500, time.Minute},
		{"20 KiB of fields at 4 KiB/s", s3api.WorkForm, 4096, time.Second, 5, 0},
		{"fields of a byte a second", s3api.WorkForm, 1, time.Second, 100, 31 * time.Second},
		{"fields at full speed that do not end", s3api.WorkForm, 32 << 10, 5 * time.Second, 100, 31 * time.Second},
		{"a body before anything is known", -1, 1, time.Second, 100, 31 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			throughAdmission(t, time.Minute, func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error) {
				if c.kind >= 0 {
					if err := admit(c.kind); err != nil {
						t.Error(err)
					}
				}
				n, err := io.Copy(io.Discard, r.Body)
				var e *s3err.Error
				if errors.As(err, &e) {
					fmt.Fprint(w, e.Code)
					return
				}
				fmt.Fprint(w, n, err)
			}, func(t *testing.T, conn net.Conn) {
				begun := time.Now()
				send(t, conn, fmt.Sprintf("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", c.piece*c.pieces))
				end := nowAndThen(conn, c.every, func(n int) bool {
					_, err := conn.Write(make([]byte, c.piece))
					return err == nil && n < c.pieces
				})
				defer end()
				want := fmt.Sprint("200 ", c.piece*c.pieces, "<nil>")
				if c.after > 0 {
					want = "200 RequestTimeout"
				}
				if got := answered(t, bufio.NewReader(conn)); got != strings.Replace(want, "<nil>", " <nil>", 1) {
					t.Errorf("got %s, want %s", got, want)
				}
				if took := time.Since(begun); c.after > 0 && took > c.after+4*time.Second {
					t.Errorf("it was cut after %v, want %v", took, c.after)
				}
			})
		})
	}
}

// TestBytesThatCameEarlyAreNotSavedUp: ten megabytes at once, and then a drip.
func TestBytesThatCameEarlyAreNotSavedUp(t *testing.T) {
	throughAdmission(t, time.Minute, func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error) {
		if err := admit(s3api.WorkStream); err != nil {
			t.Error(err)
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}, func(t *testing.T, conn net.Conn) {
		begun := time.Now()
		send(t, conn, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"+strings.Repeat("x", 10<<20))
		defer nowAndThen(conn, 20*time.Second, func(int) bool {
			_, err := conn.Write([]byte("x"))
			return err == nil
		})()
		answered(t, bufio.NewReader(conn))
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// TestSlowTrailerEnds: what follows the last chunk is part of the body.
func TestSlowTrailerEnds(t *testing.T) {
	throughAdmission(t, time.Minute, func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error) {
		if err := admit(s3api.WorkStream); err != nil {
			t.Error(err)
		}
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, err != nil) // net/http takes the time-out for a malformed trailer
	}, func(t *testing.T, conn net.Conn) {
		begun := time.Now()
		send(t, conn, "PUT /b/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n5\r\nhello\r\n0\r\na: ")
		defer nowAndThen(conn, 20*time.Second, func(int) bool {
			_, err := conn.Write([]byte("x"))
			return err == nil
		})()
		if got := answered(t, bufio.NewReader(conn)); got != "200 true" {
			t.Errorf("got %s", got)
		}
		if took := time.Since(begun); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}

// TestTimeOfTheEngineIsNotTheClients: a handler that is slow to read costs the
// client nothing.
func TestTimeOfTheEngineIsNotTheClients(t *testing.T) {
	throughAdmission(t, time.Minute, func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error) {
		for _, kind := range []s3api.WorkKind{s3api.WorkForm, s3api.WorkDocument, s3api.WorkStream} {
			if err := admit(kind); err != nil {
				t.Error(err)
			}
			for range 10 {
				time.Sleep(time.Hour)
				if _, err := io.ReadFull(r.Body, make([]byte, 10)); err != nil {
					t.Error(kind, err)
				}
			}
		}
	}, func(t *testing.T, conn net.Conn) {
		send(t, conn, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n"+strings.Repeat("x", 300))
		if got := answered(t, bufio.NewReader(conn)); got != "200 " {
			t.Errorf("got %s", got)
		}
	})
}

// TestPaceOfReaders: of answers alike.
func TestPaceOfReaders(t *testing.T) {
	cases := []struct {
		name  string
		piece int
		every time.Duration
		whole bool
	}{
		{"4 KiB/s", 4096, time.Second, true},
		{"a pause of 30 s now and then", 128 << 10, 30 * time.Second, true},
		{"a byte every 20 s", 1, 20 * time.Second, false},
		{"500 bytes/s", 500, time.Second, false},
		{"nothing", 0, time.Second, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			const size = 2 << 20
			var end chan error
			throughAdmission(t, time.Minute, func(w http.ResponseWriter, r *http.Request, admit func(s3api.WorkKind) error) {
				w.Header().Set("Content-Length", strconv.Itoa(size))
				_, err := w.Write(make([]byte, size))
				end <- err
			}, func(t *testing.T, conn net.Conn) {
				end = make(chan error, 1) // of the bubble
				send(t, conn, "GET /b/k HTTP/1.1\r\nHost: x\r\n\r\n")
				buf := make([]byte, c.piece)
				defer nowAndThen(conn, c.every, func(int) bool {
					_, err := io.ReadFull(conn, buf)
					return err == nil
				})()
				begun := time.Now()
				if err := <-end; (err == nil) != c.whole {
					t.Errorf("got %v", err)
				}
				if took := time.Since(begun); !c.whole && took > 5*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestRefusedBodyHoldsNeitherTurnNorMemory: the client may send on for a while,
// but takes no turn or memory from others.
func TestRefusedBodyHoldsNeitherTurnNorMemory(t *testing.T) {
	a := newAdmission(10, 1<<30, 5<<20, time.Second, stallGuard(time.Minute, 1<<40, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusForbidden)
	})))
	serveOne(t, a, func(t *testing.T, c net.Conn) {
		begun := time.Now()
		send(t, c, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		in := bufio.NewReader(c)
		if got := answered(t, in); got != "403 " {
			t.Errorf("got %s", got)
		}
		synctest.Wait()
		_, turns, _ := a.limiter.state()
		_, memory, _ := a.memory.state()
		if turns != 0 || memory != 0 {
			t.Errorf("held: %d turns, %d bytes", turns, memory)
		}
		if _, err := io.Copy(io.Discard, in); err != nil { // until the server closes
			t.Error(err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it took %v", took)
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
