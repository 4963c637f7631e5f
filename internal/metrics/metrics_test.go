package metrics

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// shown is what a scrape shows.
func shown(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// wantLines holds a scrape to lines that it must have, and to some that it
// must not (those that begin with "!").
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		want := !strings.HasPrefix(line, "!")
		if got := strings.Contains("\n"+text, "\n"+strings.TrimPrefix(line, "!")); got != want {
			t.Errorf("%q: %v, in:\n%s", line, got, text)
		}
	}
}

func TestRequestsAreCountedByOperationBucketAndStatus(t *testing.T) {
	m := New(Options{Buckets: 2, AccessKeys: 1})
	for i, r := range []Request{
		{Operation: "GetObject", Bucket: "one", AccessKey: "K1", Status: 200, Out: 100, Took: time.Second, FirstByte: time.Millisecond},
		{Operation: "GetObject", Bucket: "one", AccessKey: "K1", Status: 404, Code: "NoSuchKey", Out: 50},
		{Operation: "PutObject", Bucket: "two", AccessKey: "K2", In: 7},
		{Operation: "PutObject", Bucket: "three", Status: 200, In: 8},
		{Status: 503, Code: "SlowDown", Refused: true},
	} {
		end := m.Begin()
		if i == 0 {
			wantLines(t, shown(t, m), "pithos_requests_in_flight 1\n")
		}
		end(r)
	}
	wantLines(t, shown(t, m),
		`pithos_requests_total{bucket="one",operation="GetObject",status="200"} 1`,
		`pithos_requests_total{bucket="one",operation="GetObject",status="404"} 1`,
		`pithos_requests_total{bucket="two",operation="PutObject",status="499"} 1`,
		`pithos_requests_total{bucket="other",operation="PutObject",status="200"} 1`,
		`pithos_requests_total{bucket="",operation="",status="503"} 1`,
		`!pithos_requests_total{bucket="three"`,
		`pithos_access_key_requests_total{access_key="K1",status="200"} 1`,
		`pithos_access_key_requests_total{access_key="other",status="499"} 1`,
		`pithos_request_errors_total{code="NoSuchKey",operation="GetObject"} 1`,
		`!pithos_request_errors_total{code="SlowDown"`,
		`pithos_requests_refused_total{code="SlowDown"} 1`,
		`pithos_request_bytes_total{bucket="other",operation="PutObject"} 8`,
		`pithos_response_bytes_total{bucket="one",operation="GetObject"} 150`,
		`pithos_request_duration_seconds_bucket{operation="GetObject",le="1"} 2`,
		`pithos_request_first_byte_seconds_count{operation="GetObject"} 1`,
		"pithos_requests_in_flight 0\n",
	)
}

func TestUnknownHeadersAreCountedUnderABoundedNumberOfNames(t *testing.T) {
	m := New(Options{})
	for i := range 200 {
		m.Begin()(Request{UnknownHeaders: []string{fmt.Sprintf("x-amz-new-%d", i), "x-amz-new-0", "", "x-amz-" + strings.Repeat("x", 100)}})
	}
	text := shown(t, m)
	wantLines(t, text, `pithos_request_unknown_headers_total{header="x-amz-new-0"} 201`, `pithos_request_unknown_headers_total{header="x-amz-new-49"} 1`,
		`!pithos_request_unknown_headers_total{header="x-amz-new-50"`, `pithos_request_unknown_headers_total{header="other"} 550`)
}

func TestNoNamesAreToldApartUnlessAsked(t *testing.T) {
	m := New(Options{})
	m.Begin()(Request{Operation: "GetObject", Bucket: "secret-name", AccessKey: "SECRETKEY", Status: 200})
	if text := shown(t, m); strings.Contains(text, "secret-name") || strings.Contains(text, "SECRETKEY") {
		t.Errorf("shown: %s", text)
	}
}

// TestNamesAreBounded is about many that come at once.
func TestNamesAreBounded(t *testing.T) {
	b := newBounded(10)
	var all sync.WaitGroup
	var mu sync.Mutex
	values := map[string]bool{}
	for i := range 8 {
		all.Go(func() {
			for j := range 100 {
				v := b.value(fmt.Sprintf("name-%d", (i*100+j)%50))
				mu.Lock()
				values[v] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(values) != 11 || !values[Other] || values[""] {
		t.Errorf("%d values: %v", len(values), values)
	}
	for v := range values {
		if v != Other && b.value(v) != v {
			t.Errorf("%s lost its name", v)
		}
	}
	if b.value("") != "" {
		t.Error("no name became one")
	}
}

func TestEngineFiguresAreShown(t *testing.T) {
	m := New(Options{})
	m.Build("v1.2.3", "abcdef")
	m.Call("meta", "Commit", time.Millisecond, "")
	m.Call("blob", "Open", time.Millisecond, "corrupt")
	m.BlobBytes(3, 4)
	m.Statement("cas", "object", time.Millisecond, "timeout")
	m.Connect(nil)
	m.Connect(errors.New("refused"))
	m.Reloaded(errors.New("bad"))
	m.Collected(Collected{Looked: 5, Deleted: 3, Postponed: 1, Overdue: time.Minute})
	m.Collected(Collected{Looked: 1, Err: errors.New("gone"), Overdue: 2 * time.Minute})
	m.Gauge("pithos_test_gauge", "A test's.", func() float64 { return 1.5 })
	m.Counter("pithos_test_total", "A test's.", func() float64 { return 2 })
	wantLines(t, shown(t, m),
		`pithos_build_info{commit="abcdef",go="go`,
		`pithos_engine_call_duration_seconds_count{call="Commit",store="meta"} 1`,
		`!pithos_engine_call_errors_total{call="Commit"`,
		`pithos_engine_call_errors_total{call="Open",error="corrupt",store="blob"} 1`,
		`pithos_blob_bytes_total{direction="read"} 3`, `pithos_blob_bytes_total{direction="written"} 4`,
		`pithos_cassandra_statement_errors_total{error="timeout",statement="cas",table="object"} 1`,
		`pithos_cassandra_connects_total{result="done"} 1`, `pithos_cassandra_connects_total{result="failed"} 1`,
		`pithos_reloads_total{result="done"} 0`, `pithos_reloads_total{result="refused"} 1`,
		`pithos_gc_entries_total{what="looked"} 6`, `pithos_gc_entries_total{what="deleted"} 3`,
		`pithos_gc_passes_total{result="failed"} 1`, `pithos_gc_queue_overdue_seconds 120`,
		"pithos_test_gauge 1.5", "pithos_test_total 2", "go_goroutines ",
	)
}

func TestDatabasesComeAndGo(t *testing.T) {
	m := New(Options{})
	remove := m.Database("meta", func() Database { return Database{DiskBytes: 10, Tables: 2} })
	m.Database("blobs", func() Database { return Database{DiskBytes: 20} })
	wantLines(t, shown(t, m), `pithos_pebble_disk_bytes{database="meta"} 10`, `pithos_pebble_disk_bytes{database="blobs"} 20`, `pithos_pebble_tables{database="meta"} 2`)
	remove()
	wantLines(t, shown(t, m), `!pithos_pebble_disk_bytes{database="meta"}`, `pithos_pebble_disk_bytes{database="blobs"} 20`)
	m.Database("meta", func() Database { return Database{DiskBytes: 11} })() // as after another opening
}

func TestNodesOfSeveralSessionsAddUp(t *testing.T) {
	m := New(Options{})
	node := func(c int, silent time.Duration) func() []Node {
		return func() []Node { return []Node{{Address: "10.0.0.1:9042", Connections: c, Silence: silent}} }
	}
	remove := m.Nodes(node(2, time.Second))
	m.Nodes(node(3, 0))
	wantLines(t, shown(t, m), `pithos_cassandra_connections{node="10.0.0.1:9042"} 5`, `pithos_cassandra_node_silence_seconds{node="10.0.0.1:9042"} 1`)
	remove()
	wantLines(t, shown(t, m), `pithos_cassandra_connections{node="10.0.0.1:9042"} 3`)
}
