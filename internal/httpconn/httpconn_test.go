package httpconn

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// framed is what comes out of a framer for input, and the refusal.
func framed(input io.Reader) (string, *Refusal) {
	var why *Refusal
	f := &framer{source: input, maxHeader: 64 << 10, refuse: func(r *Refusal) { why = r }, header: func(bool) {}}
	out, _ := io.ReadAll(f)
	return string(out), why
}

func TestFraming(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	const chunked = "PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	same := "\x00the same"
	cases := []struct{ name, in, out, code string }{
		{"one request", get, same, ""},
		{"two requests", get + get, same, ""},
		{"an empty line first", "\r\n" + get, get, ""},
		{"an empty line between", get + "\r\n" + get, get + get, ""},
		{"one empty line of two", "\r\n\r\n" + get, "\r\n" + get, ""},
		{"a body", "PUT /k HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\n" + get, same, ""},
		{"an empty line after a body", "PUT /k HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody\r\n" + get, "PUT /k HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody" + get, ""},
		{"chunks", chunked + "5\r\nhello\r\n0\r\n\r\n" + get, same, ""},
		{"chunks that look like requests", chunked + "2\r\n\r\n\r\n0\r\n\r\n\r\n" + get, chunked + "2\r\n\r\n\r\n0\r\n\r\n" + get, ""},
		{"extensions and trailers", chunked + "5;a=b;c=\"d\"\r\nhello\r\n000;x\r\nA: b\r\nC: d\r\n\r\n" + get, same, ""},
		{"lines that end with LF alone", "GET / HTTP/1.1\nHost: x\n\n" + get, same, ""},
		{"both lengths", "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get, "PUT /k HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n", "InvalidRequest"},
		{"both lengths, later", get + chunked + "0\r\n\r\n" + "PUT /k HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n\r\n", get + chunked + "0\r\n\r\n" + "PUT /k HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n", "InvalidRequest"},
		{"both lengths, one of them odd", "PUT /k HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", "PUT /k HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n", "InvalidRequest"},
		{"HTTP/1.0 in chunks", "PUT /k HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "PUT /k HTTP/1.0\r\nHost: refused\r\nConnection: close\r\n\r\n", "InvalidRequest"},
		{"nothing follows what is refused: a length", "PUT /k HTTP/1.1\r\nContent-Length: +5\r\n\r\n" + get, "PUT /k HTTP/1.1\r\nContent-Length: +5\r\n\r\n", ""},
		{"two lengths", "PUT /k HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" + get, "PUT /k HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", ""},
		{"a folded length", "PUT /k HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n" + get, "PUT /k HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n", ""},
		{"two codings", "PUT /k HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" + get, "PUT /k HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", ""},
		{"a chunk without size", chunked + ";", same, ""},
		{"a header that is cut", "GET / HTTP/1.1\r\nHost: x\r\n", "", ""},
		{"a body that is cut", "PUT /k HTTP/1.1\r\nContent-Length: 9\r\n\r\nbody", same, ""},
		{"nothing", "", "", ""},
		{"an empty line alone", "\r\n", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.out == same {
				c.out = c.in
			}
			for how, in := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "by bytes": iotest.OneByteReader(strings.NewReader(c.in)),
				"by halves": iotest.HalfReader(strings.NewReader(c.in)), "with the error": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				out, why := framed(in)
				code := ""
				if why != nil {
					code = why.Code
				}
				if out != c.out || code != c.code {
					t.Errorf("%s: got %.300q %s, want %.300q %s", how, out, code, c.out, c.code)
				}
			}
		})
	}
}

// FuzzFraming: what net/http would serve of an input, it serves of what comes
// out; and nothing depends on how the bytes arrive.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, why := framed(strings.NewReader(string(in)))
		bytes, _ := framed(iotest.OneByteReader(strings.NewReader(string(in))))
		if whole != bytes {
			t.Fatalf("by bytes %q, whole %q", bytes, whole)
		}
		if why != nil {
			return
		}
		// More may be read, since empty lines are skipped.
		if got, want := requests(whole), requests(string(in)); !strings.HasPrefix(got, want) && !strings.Contains(want, "error") {
			t.Fatalf("%q\nis read as   %s\nand direct as %s", in, got, want)
		}
	})
}

// requests is what net/http reads of a connection, until the first error.
func requests(text string) string {
	var b strings.Builder
	in := bufio.NewReader(strings.NewReader(text))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return b.String()
		}
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(&b, "%s %s %q", r.Method, r.RequestURI, body)
		if err != nil {
			fmt.Fprint(&b, " error")
			return b.String()
		}
	}
}

// serve serves h by a Listener.
func serve(t *testing.T, o Options, h http.HandlerFunc) string {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := New(tcp, o)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, why := Request(r)
		if why != nil {
			http.Error(w, why.Code, 400)
			return
		}
		h(w, r)
	}), ConnContext: Context, ReadHeaderTimeout: o.HeaderTimeout}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return tcp.Addr().String()
}

func connect(t *testing.T, address, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func ok(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %t", r.Proto, r.TLS != nil) }

// TestMemoryOfSlowHeaders: a client that sends the lines of a large header and
// not its end costs its bytes, not a map of them.
func TestMemoryOfSlowHeaders(t *testing.T) {
	address := serve(t, Options{HeaderTimeout: time.Hour, MaxHeader: 64 << 10}, ok)
	var fields strings.Builder
	for i := 0; fields.Len() < 60<<10; i++ {
		fmt.Fprintf(&fields, "%x:\r\n", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 100 {
		connect(t, address, "GET / HTTP/1.1\r\n"+fields.String())
	}
	connect(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	time.Sleep(200 * time.Millisecond)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / 100; each > 256<<10 {
		t.Errorf("each takes %d bytes", each)
	}
}

func TestHTTPSAndHTTP2GoThrough(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	for proto, next := range map[string][]string{"HTTP/1.1 true": {"http/1.1"}, "HTTP/2.0 true": {"h2", "http/1.1"}} {
		cfg := certificate.TLS.Clone()
		cfg.NextProtos = next
		address := serve(t, Options{HeaderTimeout: time.Minute, MaxHeader: 64 << 10, TLS: cfg}, ok)
		connect(t, address, "GET / HTTP/1.1\r\n\r\n") // no TLS
		client := certificate.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.ForceAttemptHTTP2 = true
		client = &http.Client{Transport: transport}
		for range 3 {
			r, err := client.Get("https://" + address)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			_ = r.Body.Close()
			if string(body) != proto {
				t.Errorf("got %s, want %s", body, proto)
			}
		}
		transport.CloseIdleConnections()
	}
}

func TestBothLengthsEndTheConnection(t *testing.T) {
	address := serve(t, Options{HeaderTimeout: time.Minute, MaxHeader: 64 << 10}, ok)
	c := connect(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\nPUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	all, err := io.ReadAll(c)
	if got := string(all); err != nil || strings.Count(got, "HTTP/1.1 200") != 1 || strings.Count(got, "HTTP/1.1 400") != 1 {
		t.Errorf("got %q, %v", got, err)
	}
}
