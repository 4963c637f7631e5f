package main

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pithos/pithos/internal/cassandratest"
	"github.com/pithos/pithos/internal/freeport"
)

// proxy stands between serve and Cassandra, and can be cut.
type proxy struct {
	address, to string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

// newProxy returns a proxy that is cut.
func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	address, err := freeport.Local()
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: address, to: to}
	t.Cleanup(p.cut)
	return p
}

// join lets connections through.
func (p *proxy) join(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // cut
			}
			go p.pass(c)
		}
	}()
}

func (p *proxy) pass(near net.Conn) {
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		_ = near.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, near, far)
	p.mu.Unlock()
	go func() {
		_, _ = io.Copy(far, near)
		_ = far.Close()
	}()
	_, _ = io.Copy(near, far)
	_ = near.Close()
}

// cut ends all connections and refuses new ones.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
	}
	for _, c := range p.open {
		_ = c.Close()
	}
	p.listener, p.open = nil, nil
}

// until asks again until serve's readiness is as wanted.
func (p *process) until(t *testing.T, path string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		code, text := get(ctx, p.endpoint+path)
		if code == want {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s still answers %d %s", path, code, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestServeWaitsForCassandraAndOutlivesIt begins without Cassandra, then
// without a schema, then serves, loses Cassandra and finds it again.
func TestServeWaitsForCassandraAndOutlivesIt(t *testing.T) {
	c := cassandratest.Start(t)
	link := newProxy(t, c.Addrs()[0])
	yaml := "bucketstore: {keyspace: " + c.Keyspace(t) + ", timeout: 10s, connect-timeout: 5s}\n"
	env := append([]string{"PITHOS_CASSANDRA_HOST=" + link.address}, rootEnv...)
	p := startServe(t, yaml+adminYAML, env...)
	metrics := func() string {
		_, text := get(t.Context(), p.adminOf(t)+"/metrics")
		return text
	}
	client := p.client("demo", "demo-secret")

	p.log.await(t, "waiting for the database; requests are answered 503")
	p.until(t, "/-/live", 200)
	p.until(t, "/-/ready", 503)
	if code, text := get(t.Context(), p.endpoint+"/demo/k"); code != 503 || !strings.Contains(text, "<Code>ServiceUnavailable</Code>") {
		t.Errorf("without Cassandra: %d %s", code, text)
	}

	link.join(t)
	bootstrapped(t, yaml, env)
	p.log.await(t, "pithos serves")
	p.until(t, "/-/ready", 200)
	if err := put(t, client, "k", []byte("before")); err != nil {
		t.Fatal(err)
	}

	if text := metrics(); !strings.Contains(text, "\npithos_ready 1\n") {
		t.Errorf("while it is ready the metrics say %s", text)
	}

	link.cut()
	p.until(t, "/-/ready", 503)
	if text := metrics(); !strings.Contains(text, "\npithos_ready 0\n") {
		t.Errorf("while Cassandra is away the metrics say %s", text)
	}
	err := put(t, client, "k", []byte("meanwhile"))
	if err == nil || !strings.Contains(err.Error(), "StatusCode: 503") {
		t.Errorf("while Cassandra is away: %v", err)
	}
	p.until(t, "/-/live", 200)

	link.join(t)
	p.until(t, "/-/ready", 200)
	if got, err := fetch(t, client, "k"); err != nil || string(got) != "before" {
		t.Errorf("after it came back: %q, %v", got, err)
	}
	if err := put(t, client, "k", []byte("after")); err != nil {
		t.Errorf("after it came back: %v", err)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func TestServeThatWaitsCanBeStopped(t *testing.T) {
	link := newProxy(t, "")
	p := startServe(t, "", "PITHOS_CASSANDRA_HOST="+link.address, "PITHOS_DATA="+filepath.Join(t.TempDir(), "data"))
	p.log.await(t, "waiting for the database; requests are answered 503")
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}
