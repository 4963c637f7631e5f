package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClientsThatDawdleOrFloodAreCut: headers that never end, and such as are
// larger than service.max-header.
func TestClientsThatDawdleOrFloodAreCut(t *testing.T) {
	p := startReady(t, "service: {header-timeout: 1s, max-header: 8k, idle-timeout: 1s}", "PITHOS_DATA="+filepath.Join(t.TempDir(), "data"))
	address := strings.TrimPrefix(p.endpoint, "http://")
	cases := map[string]struct {
		send   string
		status int // of the answer before the connection ends; 0: none
	}{
		"nothing at all":       {"", 0},
		"headers without end":  {"GET / HTTP/1.1\r\nHost: x\r\nX-A: b", 0},
		"too large a header":   {"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("b", 20<<10) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
		"idle after an answer": {"GET /-/live HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusOK},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			if c.status != 0 {
				answer, err := http.ReadResponse(in, nil)
				if err != nil || answer.StatusCode != c.status {
					t.Fatalf("got %v, %v", answer, err)
				}
				if _, err := io.Copy(io.Discard, answer.Body); err != nil {
					t.Fatal(err)
				}
			}
			// The server ends it, not the deadline of this test.
			if _, err := io.Copy(io.Discard, in); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection stays: %v", err)
			}
		})
	}
}
