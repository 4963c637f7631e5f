package edge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// connected is a server with bounded connections; handler runs as the requests'.
func connected(t *testing.T, c *Connections, handler http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ConnState: c.State, ConnContext: c.Context, MaxHeaderBytes: 64 << 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headRead(r.Context())
		handler(w, r)
	})}
	go func() { _ = s.Serve(c.Listen(l)) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

func openConn(t *testing.T, addr, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

const head = "GET / HTTP/1.1\r\nHost: a\r\n"

// gets200 makes a request over conn and reports whether it was answered.
func gets200(t *testing.T, conn net.Conn) bool {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return false
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil && r.Body.Close() == nil
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 6000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("in vain waited for " + what)
}

func TestIdleConnectionsMakeRoomForNewOnes(t *testing.T) {
	c := newConnections(2, proxies{})
	addr := connected(t, c, func(http.ResponseWriter, *http.Request) {})
	var idle []net.Conn
	for range 3 * c.most {
		conn := openConn(t, addr, "")
		if !gets200(t, conn) {
			t.Fatal("a new connection is refused while others are idle")
		}
		idle = append(idle, conn)
	}
	if open, refused := c.counts(); open > c.most || refused == 0 {
		t.Errorf("%d are open, %d refused", open, refused)
	}
	if gets200(t, idle[0]) {
		t.Error("the oldest idle connection is still open")
	}
	if !gets200(t, idle[len(idle)-1]) {
		t.Error("the last connection was closed")
	}
}

func TestConnectionsUnderWayAreNotClosedForNewOnes(t *testing.T) {
	c := newConnections(2, proxies{})
	release, running := make(chan struct{}), make(chan struct{}, 100)
	addr := connected(t, c, func(http.ResponseWriter, *http.Request) {
		running <- struct{}{}
		<-release
	})
	var busy []net.Conn
	for range c.most * shareRatio / (shareRatio + 1) { // the share of one address
		busy = append(busy, openConn(t, addr, head+"\r\n"))
		<-running
	}
	if gets200(t, openConn(t, addr, "")) {
		t.Error("one address has more than its share")
	}
	close(release)
	for i, conn := range busy {
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	await(t, "an idle connection", func() bool { return gets200(t, openConn(t, addr, "")) })
}

func TestUnfinishedHeadersAreBoundedInBytes(t *testing.T) {
	c := newConnections(1024, proxies{})
	addr := connected(t, c, func(http.ResponseWriter, *http.Request) {})
	long := head + strings.Repeat("A: b\r\n", 10_000)
	for range 2 * headBytes / len(long) {
		openConn(t, addr, long)
	}
	await(t, "the bound", func() bool { _, refused := c.counts(); return refused > 0 })
	if !gets200(t, openConn(t, addr, "")) {
		t.Error("an ordinary request is not answered")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading > headBytes {
		t.Errorf("%d bytes are held", c.reading)
	}
}

func TestClosedConnectionsAreForgotten(t *testing.T) {
	c := newConnections(100, proxies{})
	addr := connected(t, c, func(http.ResponseWriter, *http.Request) {})
	for i := range 50 {
		conn := openConn(t, addr, head)
		if i%2 == 0 {
			gets200(t, conn)
		}
		_ = conn.Close()
	}
	await(t, "the end of all connections", func() bool { open, _ := c.counts(); return open == 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.held) != 0 || c.reading != 0 {
		t.Errorf("held %v, reading %d", c.held, c.reading)
	}
}
