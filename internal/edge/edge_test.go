package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/s3api"
)

// serveOneHTTP2 is serveOne for HTTP/2 without TLS.
func serveOneHTTP2(t *testing.T, h func() http.Handler, client func(t *testing.T, c net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		l := &one{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- far
		s := &http.Server{Handler: h(), Protocols: new(http.Protocols)}
		s.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = s.Serve(l) }() // until it is closed
		defer func() {
			_ = near.Close()
			_ = s.Close()
			time.Sleep(10 * time.Second) // net/http waits a moment for the client
		}()
		client(t, near)
	})
}

// overHTTP2 is a client with one connection.
func overHTTP2(c net.Conn) *http.Transport {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	var dialled atomic.Bool
	tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, fmt.Errorf("the connection was given up")
		}
		return c, nil
	}
	tr.Protocols.SetUnencryptedHTTP2(true)
	return tr
}

// windowless is a client of HTTP/2 that grants no window: it takes the headers
// of answers, and not a byte of their bodies.
type windowless struct {
	conn   net.Conn
	next   uint32
	resets atomic.Int64
}

func newWindowless(t *testing.T, c net.Conn) *windowless {
	w := &windowless{conn: c, next: 1}
	go func() {
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, c, length); err != nil {
				return
			}
			if head[3] == 3 { // RST_STREAM
				w.resets.Add(1)
			}
		}
	}()
	send(t, c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	w.frame(t, 4, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE is 0
	return w
}

func (w *windowless) frame(t *testing.T, kind, flags byte, stream uint32, payload []byte) {
	t.Helper()
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
	send(t, w.conn, string(append(binary.BigEndian.AppendUint32(head, stream), payload...)))
}

// get begins a request with some further lines in its header.
func (w *windowless) get(t *testing.T, path string, lines int) {
	t.Helper()
	block := []byte{0x82, 0x86, 0x01, 1, 'x', 0x04, byte(len(path))} // GET, http, :authority, :path
	block = append(block, path...)
	block = append(block, bytes.Repeat([]byte{0x00, 1, 'a', 1, 'b'}, lines)...)
	w.frame(t, 1, 5, w.next, block) // HEADERS that end headers and stream
	w.next += 2
}

func inUse(p *pool) int64 { _, used, _ := p.state(); return used }

// TestAnswersDoNotWaitForEver: whatever the answer is, its client has to take
// it within a time, and the request is counted until then.
func TestAnswersDoNotWaitForEver(t *testing.T) {
	cases := []struct {
		name, path string
		lines      int
		full       bool
		within     time.Duration
	}{
		{"the health", "/-/live", 0, false, answerTimeout},
		{"a health that does not exist", "/-/other", 0, false, answerTimeout},
		{"the health with too many lines", "/-/live", maxHeaderLines + 1, false, answerTimeout},
		{"too many lines", "/b/k", maxHeaderLines + 1, false, answerTimeout},
		{"to slow down", "/b/k", 0, true, answerTimeout},
		{"an answer of the gateway in its turn", "/b/k", 0, false, time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s *Server
			server := func() http.Handler {
				cfg := config.Default()
				cfg.Service.StallTimeout = time.Minute
				s = NewServer(&cfg, zap.NewNop(), nil)
				if c.full {
					s.admission.limiter.pool.take(t.Context(), int64(cfg.Service.MaxRequests), 0, callers{})
				}
				return s
			}
			t.Run("HTTP/2", func(t *testing.T) {
				serveOneHTTP2(t, server, func(t *testing.T, conn net.Conn) {
					w := newWindowless(t, conn)
					w.get(t, c.path, c.lines)
					time.Sleep(time.Second)
					if n := inUse(s.requests); n != 1 || w.resets.Load() != 0 {
						t.Errorf("%d requests are counted, %d were reset", n, w.resets.Load())
					}
					time.Sleep(c.within)
					if n := inUse(s.requests); n != 0 || w.resets.Load() != 1 {
						t.Errorf("in the end %d requests are counted, %d were reset", n, w.resets.Load())
					}
				})
			})
			t.Run("HTTP/1", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := net.Pipe()
					l := &one{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
					l.conn <- far
					h := &http.Server{Handler: server()}
					go func() { _ = h.Serve(l) }()
					defer func() { _ = near.Close(); _ = h.Close(); time.Sleep(time.Second) }()
					send(t, near, "GET "+c.path+" HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("a: b\r\n", c.lines)+"\r\n")
					time.Sleep(c.within + time.Second) // and reads nothing
					if _, err := near.Write([]byte("x")); err == nil {
						t.Error("the connection is still open")
					}
				})
			})
		})
	}
}

// TestRequestsAreBoundedAlsoOutsideTheirTurn: those beyond the bound end at
// once.
func TestRequestsAreBoundedAlsoOutsideTheirTurn(t *testing.T) {
	var s *Server
	serveOneHTTP2(t, func() http.Handler {
		cfg := config.Default()
		s = NewServer(&cfg, zap.NewNop(), nil)
		s.requests = newPool(2*requestsPerSlot, 0)
		return s
	}, func(t *testing.T, conn net.Conn) {
		w := newWindowless(t, conn)
		for range 10 {
			w.get(t, "/-/live", 0)
		}
		synctest.Wait()
		if n := inUse(s.requests); n != 2*requestsPerSlot || w.resets.Load() != 10-2*requestsPerSlot {
			t.Errorf("%d requests are counted, %d were reset", n, w.resets.Load())
		}
		time.Sleep(answerTimeout + time.Second)
		if n := inUse(s.requests); n != 0 || w.resets.Load() != 10 {
			t.Errorf("in the end %d requests are counted, %d were reset", n, w.resets.Load())
		}
	})
}

// TestTimeOfTheEngineIsNotTheStreams: in HTTP/2 a deadline that passes ends the
// stream, whatever is being done.
func TestTimeOfTheEngineIsNotTheStreams(t *testing.T) {
	const pieces, size = 3, 8 << 10
	serveOneHTTP2(t, func() http.Handler {
		return stallGuard(time.Minute, 1<<20, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range pieces {
				time.Sleep(time.Hour)
				if _, err := io.ReadFull(r.Body, make([]byte, size)); err != nil {
					t.Error(err)
				}
			}
			for range pieces {
				time.Sleep(time.Hour)
				if _, err := w.Write(make([]byte, size)); err != nil {
					t.Error(err)
				}
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}
		}))
	}, func(t *testing.T, conn net.Conn) {
		tr := overHTTP2(conn)
		defer tr.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://x/b/k", bytes.NewReader(make([]byte, pieces*size)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, answer.Body)
		if n != pieces*size || err != nil {
			t.Errorf("got %d bytes, %v", n, err)
		}
		_ = answer.Body.Close()
	})
}

// TestStreamsThatStandStillEnd: in both directions, also where the handler
// flushes.
func TestStreamsThatStandStillEnd(t *testing.T) {
	t.Run("an answer", func(t *testing.T) {
		var end chan error
		serveOneHTTP2(t, func() http.Handler {
			end = make(chan error, 1)
			return stallGuard(time.Minute, 1<<20, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte("x"))
				end <- http.NewResponseController(w).Flush()
			}))
		}, func(t *testing.T, conn net.Conn) {
			w, begun := newWindowless(t, conn), time.Now()
			w.get(t, "/", 0)
			if err := <-end; err == nil || time.Since(begun) > 2*time.Minute {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
		})
	})
	t.Run("a body", func(t *testing.T) {
		var end chan error
		serveOneHTTP2(t, func() http.Handler {
			end = make(chan error, 1)
			return stallGuard(time.Minute, 1<<20, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				end <- err
			}))
		}, func(t *testing.T, conn net.Conn) {
			begun := time.Now()
			tr := overHTTP2(conn)
			body, more := io.Pipe()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://x/b/k", body)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				if answer, err := tr.RoundTrip(r); err == nil {
					_ = answer.Body.Close()
				}
			}()
			if _, err := io.WriteString(more, "some"); err != nil {
				t.Error(err)
			}
			if err := <-end; err == nil || time.Since(begun) > 2*time.Minute {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
			_ = more.Close()
			<-done
		})
	})
}

// TestRefusedForMemoryHoldsNoTurn: what the client goes on sending is taken in
// when the turn was given back.
func TestRefusedForMemoryHoldsNoTurn(t *testing.T) {
	a := newAdmission(10, 1<<20, 1<<20, time.Millisecond, http.NotFoundHandler())
	serveOne(t, a, func(t *testing.T, c net.Conn) {
		size, _, _ := a.memory.state()
		if !a.memory.take(t.Context(), size, 0, callers{}) {
			t.Fatal("there is no memory")
		}
		send(t, c, "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		in := bufio.NewReader(c)
		if got := answered(t, in); !strings.HasPrefix(got, "503 ") {
			t.Errorf("got %s", got)
		}
		synctest.Wait()
		if n := inUse(a.limiter.pool); n != 0 {
			t.Errorf("%d turns are held", n)
		}
		if _, err := c.Write([]byte("more")); err != nil {
			t.Errorf("the body is not taken in: %v", err)
		}
		if _, err := io.Copy(io.Discard, in); err != nil { // until the server closes
			t.Error(err)
		}
	})
}

// TestRefusedAnswerHoldsNoTurn: as above where the answer found no memory.
func TestRefusedAnswerHoldsNoTurn(t *testing.T) {
	var a *admission
	a = newAdmission(10, 1<<20, 1<<20, time.Millisecond, stallGuard(time.Minute, 1<<40, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, used, _ := a.memory.state()
		if !a.memory.take(r.Context(), size-used, 0, callers{}) {
			t.Error("there is no memory")
		}
		w.Header().Set("Content-Length", "1000000")
		w.WriteHeader(http.StatusOK)
	})))
	serveOne(t, a, func(t *testing.T, c net.Conn) {
		send(t, c, "GET /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		if got := answered(t, bufio.NewReader(c)); !strings.HasPrefix(got, "503 ") {
			t.Errorf("got %s", got)
		}
		synctest.Wait()
		if n := inUse(a.limiter.pool); n != 0 {
			t.Errorf("%d turns are held", n)
		}
	})
}

// TestRefusedStreamsLeaveTheConnection: of the gateway as of package s3api.
func TestRefusedStreamsLeaveTheConnection(t *testing.T) {
	cfg := defaults()
	cfg.Embedded.Directory = t.TempDir()
	for name, with := range map[string]bool{"with engine": true, "without engine": false} {
		t.Run(name, func(t *testing.T) {
			h := NewServer(cfg, zap.NewNop(), nil)
			if with {
				e, err := engine.Open(t.Context(), cfg, engine.OpenOptions{Observe: h.Observer()})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = e.Close() }()
				if err := h.Use(Backend{Store: e.Store, Keys: e.Keys, Ring: e.Ring}); err != nil {
					t.Fatal(err)
				}
			}
			var connections atomic.Int64
			server := httptest.NewUnstartedServer(h)
			server.EnableHTTP2 = true
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					connections.Add(1)
				}
			}
			server.StartTLS()
			defer server.Close()
			for range 5 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/traced/k", io.LimitReader(zeros{}, 1<<20))
				if err != nil {
					t.Fatal(err)
				}
				answer, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.ProtoMajor != 2 || answer.StatusCode < 400 {
					t.Errorf("%s %s", answer.Proto, answer.Status)
				}
			}
			if n := connections.Load(); n != 1 {
				t.Errorf("%d connections were needed", n)
			}
		})
	}
}

// TestOnlyAFailingEngineHasFewerServed: a full disk is no reason to refuse
// those who read.
func TestOnlyAFailingEngineHasFewerServed(t *testing.T) {
	for name, c := range map[string]struct {
		info  *s3api.RequestInfo
		fewer bool
	}{
		"reached":                {&s3api.RequestInfo{Answered: true}, false},
		"failed":                 {&s3api.RequestInfo{Answered: true, EngineFailed: true}, true},
		"there is none":          {&s3api.RequestInfo{}, true},
		"no info in the context": {nil, true},
	} {
		a := newAdmission(100, 1<<30, 5<<20, time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		for range 50 {
			r := httptest.NewRequest(http.MethodGet, "/b/k", nil)
			if c.info != nil {
				r = r.WithContext(s3api.WithRequestInfo(r.Context(), c.info))
			}
			a.ServeHTTP(httptest.NewRecorder(), r)
		}
		if size, _, _ := a.limiter.state(); (size < 100) != c.fewer {
			t.Errorf("%s: %d are served at a time", name, size)
		}
	}
}
