//go:build unix

package clienttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pithos/pithos/internal/s3test"
)

// TestLokisLinesAreKept runs Loki with the configuration of
// docs/clients/loki.md, by each of its clients for S3: lines are pushed and
// flushed, and an empty Loki gives them back.
func TestLokisLinesAreKept(t *testing.T) {
	for i, name := range []string{"first client", "newer client"} {
		t.Run(name, func(t *testing.T) {
			applications(t, "loki.md", "loki", func(t *testing.T, a application) {
				if len(a.blocks) != 3 || a.blocks[1].Language != "sh" {
					t.Fatalf("the page has other blocks than are known: %v", a.blocks)
				}
				settings := a.blocks[0].Text
				if i == 1 {
					settings = otherStorage(t, settings, a.blocks[2].Text)
				}
				a.file(t, a.blocks[0].File(), []byte(settings))
				newLoki(t, a).keepsLines()
			})
		})
	}
}

// otherStorage puts the storage of another configuration into one, and the
// sections that only the other one has.
func otherStorage(t *testing.T, settings, other string) string {
	t.Helper()
	read := func(text string) (m map[string]any) {
		if err := yaml.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	all, more := read(settings), read(other)
	common, storage := all["common"].(map[string]any), more["common"].(map[string]any)["storage"]
	maps.Copy(all, more)
	common["storage"], all["common"] = storage, common
	text, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	// A date becomes a time on the way, which Loki does not take.
	return strings.ReplaceAll(string(text), "T00:00:00Z", "")
}

// loki is Loki on ports of its own.
type loki struct {
	application
	t       *testing.T
	command string
	url     string
}

func newLoki(t *testing.T, a application) *loki {
	port := freePort(t)
	command := fmt.Sprintf("exec %s -server.http-listen-port=%d -server.grpc-listen-port=%d -reporting.enabled=false",
		strings.TrimSpace(a.blocks[1].Text), port, freePort(t))
	return &loki{a, t, command, "http://127.0.0.1:" + strconv.Itoa(port)}
}

// freePort returns a port that is not in use.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

const streams, lines = 4, 250 // lines in each

func (l *loki) keepsLines() {
	t, begin := l.t, time.Now().Add(-time.Minute)
	s := l.start(t, l.command)
	until(t, "Loki is ready", s, func() bool { return l.ask("GET", "/ready", nil) == http.StatusOK })
	if code := l.ask("POST", "/loki/api/v1/push", pushed(t, begin)); code != http.StatusNoContent {
		t.Fatalf("push: %d", code)
	}
	if code := l.ask("POST", "/flush", nil); code != http.StatusNoContent {
		t.Fatalf("flush: %d", code)
	}
	s.stop(t)
	chunks := 0
	for _, key := range listed(t.Context(), t, l.s.Client(t, s3test.Alice2), demo) {
		if strings.HasPrefix(key, "fake/") { // the tenant of those who have none
			chunks++
		}
	}
	if chunks != streams {
		t.Errorf("the bucket has %d chunks, want one for each of %d streams", chunks, streams)
	}
	if err := os.RemoveAll(filepath.Join(l.dir, "loki-data")); err != nil {
		t.Fatal(err)
	}
	again := l.start(t, l.command)
	until(t, "an empty Loki is ready", again, func() bool { return l.ask("GET", "/ready", nil) == http.StatusOK })
	until(t, "an empty Loki gives all lines back", again, func() bool { return l.found(begin) == streams*lines })
	again.stop(t)
}

// pushed is a request of all streams.
func pushed(t *testing.T, begin time.Time) []byte {
	t.Helper()
	type stream struct {
		Stream map[string]string `json:"stream"`
		Values [][2]string       `json:"values"`
	}
	var all struct {
		Streams []stream `json:"streams"`
	}
	for i := range streams {
		s := stream{Stream: map[string]string{"job": "test", "stream": strconv.Itoa(i)}}
		for n := range lines {
			at := begin.Add(time.Duration(n) * time.Millisecond)
			s.Values = append(s.Values, [2]string{strconv.FormatInt(at.UnixNano(), 10), fmt.Sprintf("line %d of %d", n, i)})
		}
		all.Streams = append(all.Streams, s)
	}
	body, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// hasty gives a request up that Loki, not ready yet, never answers.
var hasty = &http.Client{Timeout: 30 * time.Second}

// ask returns the status of a request; 0 without an answer.
func (l *loki) ask(method, path string, body []byte) int {
	r, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, bytes.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := hasty.Do(r)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

// found counts the lines that Loki finds.
func (l *loki) found(begin time.Time) (n int) {
	query := url.Values{"query": {`{job="test"}`}, "limit": {"5000"}, "start": {strconv.FormatInt(begin.Add(-time.Second).UnixNano(), 10)},
		"end": {strconv.FormatInt(begin.Add(time.Minute).UnixNano(), 10)}}
	resp, err := hasty.Get(l.url + "/loki/api/v1/query_range?" + query.Encode())
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Data struct {
			Result []struct{ Values [][2]string }
		}
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&answer) != nil {
		return 0
	}
	for _, r := range answer.Data.Result {
		n += len(r.Values)
	}
	return n
}
