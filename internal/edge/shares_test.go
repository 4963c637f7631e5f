package edge

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// connectionTable is Connections without listeners and sockets.
type connectionTable struct {
	*Connections
	clock time.Time
}

func newConnectionTable(most int64) *connectionTable {
	return &connectionTable{&Connections{most: most, open: map[*connection]struct{}{}, held: map[string]int64{}}, time.Unix(0, 0)}
}

// add does what admit does with a connection of c.
func (x *connectionTable) add(t *testing.T, c callers) *connection {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	x.clock = x.clock.Add(time.Second)
	conn := &connection{all: x.Connections, callers: c, since: x.clock, waiting: true}
	if !within(x.held, x.most-int64(len(x.open)), &waiter{need: 1, count: 1, callers: c}) {
		victim := x.victim(conn)
		if victim == nil {
			return nil
		}
		x.remove(victim)
	}
	x.open[conn] = struct{}{}
	x.count(conn, 1)
	return conn
}

func ipv4(n int) callers { return callers{fmt.Sprint("192.0.2.", n)} }

func ipv6(network, link int) callers {
	return callers{fmt.Sprintf("2001:db8:%x:%x::/64", network, link), "", fmt.Sprintf("2001:db8:%x::/48", network)}
}

// TestNoClientTakesTheConnectionsOfOthers: however often it comes, also where
// all connections are used up.
func TestNoClientTakesTheConnectionsOfOthers(t *testing.T) {
	one := ipv4(200)
	cases := map[string]struct {
		others func(n int) callers
		comes  func(n int) callers
		most   int64 // of the one who comes
	}{
		"an address among as many as there are connections": {ipv4, func(int) callers { return one }, 1},
		"an address among ten":                              {func(n int) callers { return ipv4(n % 10) }, func(int) callers { return one }, 10},
		"an address among two":                              {func(n int) callers { return ipv4(n % 2) }, func(int) callers { return one }, 34},
		"a network by many links among ten":                 {func(n int) callers { return ipv4(n % 10) }, func(n int) callers { return ipv6(9, n) }, 10},
		"a link among others of its own network":            {func(n int) callers { return ipv6(9, n%10) }, func(int) callers { return ipv6(9, 100) }, 10},
		"alone":                                             {nil, func(int) callers { return one }, 80},
		"a network by many links alone":                     {nil, func(n int) callers { return ipv6(9, n) }, 80},
		"an address beside a proxy":                         {func(int) callers { return callers{} }, func(int) callers { return one }, 50},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := newConnectionTable(100)
			for n := range 100 {
				if c.others != nil { // without their cap, so that the table is full
					x.clock = x.clock.Add(time.Second)
					conn := &connection{all: x.Connections, callers: c.others(n), since: x.clock, waiting: true}
					x.open[conn] = struct{}{}
					x.count(conn, 1)
				}
			}
			for n := range 1000 {
				x.add(t, c.comes(n))
			}
			holds := int64(0)
			for conn := range x.open {
				for n := range 1000 {
					if conn.callers == c.comes(n) {
						holds++
						break
					}
				}
			}
			if holds > c.most || holds < c.most-1 {
				t.Errorf("it holds %d of %d, want %d", holds, len(x.open), c.most)
			}
			if x.add(t, ipv4(201)) == nil {
				t.Error("a new client finds no room")
			}
			for conn := range x.open {
				x.remove(conn)
			}
			if len(x.held) != 0 || x.unnamed != 0 {
				t.Errorf("left over: %v, %d", x.held, x.unnamed)
			}
		})
	}
}

// TestBusyConnectionsAreNoVictims: nor is a proxy shut out by idle strangers.
func TestBusyConnectionsAreNoVictims(t *testing.T) {
	x := newConnectionTable(10)
	for n := range 10 {
		conn := &connection{all: x.Connections, callers: ipv4(n / 5), waiting: n >= 5}
		x.open[conn] = struct{}{}
		x.count(conn, 1)
	}
	for range 3 {
		conn := x.add(t, callers{})
		if conn == nil {
			t.Fatal("the proxy is refused")
		}
		conn.waiting = false
	}
	if n := x.held[ipv4(0)[0]]; n != 5 {
		t.Errorf("busy connections were closed: %d are left", n)
	}
	for range 3 {
		if conn := x.add(t, callers{}); conn != nil {
			conn.waiting = false
		}
	}
	if x.add(t, ipv4(0)) != nil || x.add(t, ipv4(7)) != nil {
		t.Error("a connection was closed while it served a request")
	}
}

// TestHeadersThatWereReadAheadAreCounted: those that came while a request ran.
func TestHeadersThatWereReadAheadAreCounted(t *testing.T) {
	release, running := make(chan struct{}), make(chan struct{}, 1)
	s := &Server{connections: newConnections(10, proxies{})}
	h := &http.Server{MaxHeaderBytes: 64 << 10, ReadHeaderTimeout: time.Hour, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headRead(r.Context())
		running <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = h.Serve(s.Listen(h, l, nil)) }()
	t.Cleanup(func() { _ = h.Close() })
	const ahead = 30 << 10
	openConn(t, l.Addr().String(), head+"\r\n"+head+strings.Repeat("a", ahead))
	<-running
	time.Sleep(100 * time.Millisecond) // in which it is read ahead
	close(release)
	await(t, "the header that was read ahead", func() bool {
		s.connections.mu.Lock()
		defer s.connections.mu.Unlock()
		return s.connections.reading >= ahead
	})
}
