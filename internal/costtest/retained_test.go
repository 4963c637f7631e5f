package costtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/s3test"
)

// hostile are kinds of requests of which each is different: whatever a gateway
// remembers by what clients send grows with them. make(i) is the i-th.
var hostile = []struct {
	name string
	make func(x *fixture, bucket string, i int) []byte
}{
	{"AccessKeys", func(x *fixture, _ string, i int) []byte {
		return x.raw("GET", "/", "Authorization", x.v4(fmt.Sprint(i)+fill("K", room-1000)+"/"+scope(), "host;x-amz-content-sha256;x-amz-date"), "X-Amz-Date", amzDate(), "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	}},
	{"AccessKeysV2", func(x *fixture, _ string, i int) []byte {
		return x.raw("GET", "/", "Authorization", "AWS "+fmt.Sprint(i)+fill("V", room-1000)+":AAAA", "Date", time.Now().UTC().Format(http.TimeFormat))
	}},
	{"Buckets", func(x *fixture, _ string, i int) []byte {
		return x.raw("GET", fmt.Sprintf("/bucket-%d-%s/key", i, fill("b", room/2)))
	}},
	{"Keys", func(x *fixture, bucket string, i int) []byte {
		return x.raw("GET", fmt.Sprintf("/%s/%d%s", bucket, i, fill("k", room)))
	}},
	{"Methods", func(x *fixture, bucket string, i int) []byte {
		return x.raw(fmt.Sprintf("M%d%s", i, fill("M", room)), "/"+bucket)
	}},
	{"Hosts", func(x *fixture, _ string, i int) []byte {
		raw := string(x.raw("GET", "/key"))
		return []byte(strings.Replace(raw, strings.TrimPrefix(x.s.URL, "http://"), fmt.Sprintf("h%d.%s", i, fill("h", room/2)), 1))
	}},
	{"Queries", func(x *fixture, bucket string, i int) []byte {
		return x.raw("GET", fmt.Sprintf("/%s?q%d%s", bucket, i, fill("q", room)))
	}},
	{"Headers", func(x *fixture, bucket string, i int) []byte {
		return x.raw("GET", "/"+bucket+"/key", fmt.Sprintf("X-Amz-H%d", i), fill("h", room/2), fmt.Sprintf("H%d", i), fill("h", room/4), "User-Agent", fmt.Sprintf("%d%s", i, fill("u", room/4)))
	}},
	{"Origins", func(x *fixture, bucket string, i int) []byte {
		return x.raw("OPTIONS", "/"+bucket+"/key", "Origin", fmt.Sprintf("http://%d%s", i, fill("o", room/2)), "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", fmt.Sprintf("h%d", i))
	}},
	{"Addresses", func(x *fixture, bucket string, i int) []byte {
		return x.raw("GET", "/"+bucket+"/key", "X-Forwarded-For", fmt.Sprintf("10.0.%d.%d, %s", i/256, i%256, fill("1.1.1.1,", room)), "Traceparent", fmt.Sprintf("00-%032x-%016x-01", i+1, i+1), "Tracestate", fill("a=b,", room/8))
	}},
}

const (
	// different is how many different requests of a kind are sent.
	different = 200
	// retained is the most memory that they leave: less than a hundredth of
	// what they sent, and some for what the engines do meanwhile.
	retained = 2 << 20
)

// TestRequestsLeaveNoMemory sends many requests of which each is different and
// holds what is remembered of them to a constant: caches, limits and metrics by
// what clients send are bounded in number and in bytes.
func TestRequestsLeaveNoMemory(t *testing.T) {
	notShort(t)
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		x := &fixture{T: t, s: s}
		bucket := x.object()
		x.worstCORS(bucket, 2, "*X", "*X")
		addr := strings.TrimPrefix(s.URL, "http://")
		for _, kind := range hostile {
			for i := range 3 { // pools and buffers fill
				send(t, addr, kind.make(x, bucket, i))
			}
			before := live()
			for i := range different {
				send(t, addr, kind.make(x, bucket, 1000+i))
			}
			grown := live() - before
			for range 5 { // what is in use for a moment only is not left
				if grown <= retained {
					break
				}
				time.Sleep(100 * time.Millisecond)
				grown = live() - before
			}
			t.Logf("%s: %s", kind.name, size(max(grown, 0)))
			if grown > retained {
				t.Errorf("%s: %d different requests leave %s in memory, allowed %s", kind.name, different, size(grown), size(retained))
			}
		}
	})
}

// TestUnfinishedHeadersHoldLittle begins many requests whose headers do not end.
func TestUnfinishedHeadersHoldLittle(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		x := &fixture{T: t, s: s}
		bucket := x.object()
		addr := strings.TrimPrefix(s.URL, "http://")
		const connections, most = 400, 64 << 20 // they send 24 MB, which would be 96 MB in memory
		s.HTTP.CloseIdleConnections()
		before := live()
		for range connections {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n"+fill("A: b\r\n", room)) // the server may have closed it
		}
		time.Sleep(200 * time.Millisecond) // it reads what was sent: less is held until it has
		if grown := live() - before; grown > most {
			t.Errorf("%d unfinished headers of %s hold %s, allowed %s", connections, size(room), size(grown), size(most))
		}
		if got := send(t, addr, x.request(s3test.Alice, "GET", "/"+bucket+"/key", nil)); got.status != http.StatusOK {
			t.Errorf("meanwhile an ordinary request is answered %d: %s", got.status, got.head)
		}
	})
}

// TestRequestsMakeNoMetrics counts the series of metrics: no label has a value
// that a client makes up.
func TestRequestsMakeNoMetrics(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		x := &fixture{T: t, s: s}
		bucket := x.object()
		addr := strings.TrimPrefix(s.URL, "http://")
		series := func() (n int) {
			families, err := s.Metrics.Gatherer().Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				n += len(f.GetMetric())
			}
			return n
		}
		for _, kind := range hostile {
			for i := range 3 {
				send(t, addr, kind.make(x, bucket, i))
			}
		}
		before := series()
		for _, kind := range hostile {
			for i := range 20 {
				send(t, addr, kind.make(x, bucket, 2000+i))
			}
		}
		if after := series(); after > before+5 { // background work may count something for the first time
			t.Errorf("%d requests made %d series of metrics", 20*len(hostile), after-before)
		}
	})
}

// TestHangUpsLeaveNoGoroutines ends connections at every point of a request and
// waits until nothing of them runs.
func TestHangUpsLeaveNoGoroutines(t *testing.T) {
	s3test.Engines(t, func(t *testing.T, s *s3test.Server) {
		x := &fixture{T: t, s: s}
		bucket := x.object()
		addr := strings.TrimPrefix(s.URL, "http://")
		requests := [][]byte{
			x.request(s3test.Alice, "PUT", "/"+bucket+"/key", []byte(fill("x", 1<<20))),
			x.request(s3test.Alice, "GET", "/"+bucket+"?list-type=2", nil),
			x.deleteMany(s3test.Alice, bucket, 100, func(i int) string { return fmt.Sprint(i) }),
			x.form(bucket, boundary, field("key", "k")+formEnd),
		}
		s.HTTP.CloseIdleConnections()
		before := goroutines(t, 0)
		for _, raw := range requests {
			for _, n := range []int{1, 50, len(raw) / 2, len(raw) - 1, len(raw)} {
				for range 10 {
					conn, err := net.Dial("tcp", addr)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = conn.Write([]byte(raw[:n])) // the server may have refused it
					_ = conn.Close()
				}
			}
		}
		if after := goroutines(t, before+20); after > before+20 {
			buf := make([]byte, 1<<20)
			t.Errorf("%d goroutines before, %d after the clients have gone:\n%.20000s", before, after, buf[:runtime.Stack(buf, true)])
		}
	})
}

// goroutines waits up to a minute until there are no more than enough, and
// returns how many there are.
func goroutines(t *testing.T, enough int) int {
	t.Helper()
	for range 600 {
		if enough == 0 || runtime.NumGoroutine() <= enough {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return runtime.NumGoroutine()
}
