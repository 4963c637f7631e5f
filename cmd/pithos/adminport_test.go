package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// adminYAML opens the operators' port at a port that the system chooses.
const adminYAML = "admin: {listen: '127.0.0.1:0'}\n"

// adminOf is the address of a process's port for operators.
func (p *process) adminOf(t testing.TB) string {
	t.Helper()
	address, _ := p.log.await(t, "admin listener is open")["address"].(string)
	return address
}

func TestMetricsTellWhatServeDoes(t *testing.T) {
	onEachEngine(t, func(t *testing.T, yaml string, env []string) {
		p := startReady(t, yaml+adminYAML+"metrics: {access-keys: 5}", env...)
		c := p.client("demo", "demo-secret")
		for _, body := range [][]byte{[]byte("small"), bytes.Repeat([]byte("large"), 100_000)} {
			if err := put(t, c, "k", body); err != nil {
				t.Fatal(err)
			}
			if _, err := fetch(t, c, "k"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := fetch(t, c, "missing"); err == nil {
			t.Fatal("there is what was never put")
		}
		if _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("made-up-bucket")}); err == nil {
			t.Fatal("listing a bucket that was never created succeeded")
		}
		engine := []string{`pithos_pebble_disk_bytes{database="meta"}`, "pithos_pebble_wal_syncs_total"}
		if strings.Contains(t.Name(), "cassandra") {
			engine = []string{
				`pithos_cassandra_statement_duration_seconds_count{statement="cas",table="object"}`,
				`pithos_cassandra_statement_duration_seconds_count{statement="select",table="bucket"}`,
				`pithos_cassandra_connects_total{result="done"}`, "pithos_cassandra_connections{node=", "pithos_shard_splits_total 0",
			}
		}
		text := p.metricsWith(t, append(engine,
			`pithos_requests_total{bucket="demo",operation="PutObject",status="200"} 2`,
			`pithos_requests_total{bucket="demo",operation="GetObject",status="404"} 1`,
			`pithos_requests_total{bucket="",operation="ListObjectsV2",status="404"} 1`,
			`pithos_request_errors_total{code="NoSuchKey",operation="GetObject"} 1`,
			`pithos_response_bytes_total{bucket="demo",operation="GetObject"} 5`,
			`pithos_access_key_requests_total{access_key="demo",status="200"} 4`,
			`pithos_engine_call_duration_seconds_count{call="Commit",store="meta"} 2`,
			`pithos_blob_bytes_total{direction="written"}`, "pithos_ready 1", "pithos_build_info{", "go_goroutines", "process_resident_memory_bytes",
		)...)
		if strings.Contains(text, "made-up-bucket") || strings.Contains(text, "demo-secret") {
			t.Error("the metrics show what they must not")
		}
		for _, path := range []string{"/metrics", "/-/metrics", "/debug/pprof/", "/-/level"} {
			if code, text := get(t.Context(), p.endpoint+path); code == 200 || strings.Contains(text, "pithos_") {
				t.Errorf("the public port answers %s: %d", path, code)
			}
		}
	})
}

// metricsWith returns the metrics once they have lines that begin so: a request
// is counted when it is over, which may be after its answer was read.
func (p *process) metricsWith(t testing.TB, lines ...string) (text string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, text = get(t.Context(), p.adminOf(t)+"/metrics")
		missing := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return strings.Contains(text, "\n"+line) })
		if len(missing) == 0 {
			return text
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", missing, text)
		}
	}
}

func TestOperatorsPort(t *testing.T) {
	p := startReady(t, adminYAML, append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)...)
	admin := p.adminOf(t)
	for path, want := range map[string]string{
		"/-/live": "live", "/-/ready": "ready", "/-/level": "debug",
		"/debug/pprof/goroutine?debug=1": "goroutine profile", "/debug/pprof/heap?debug=1": "heap profile",
	} {
		if code, text := get(t.Context(), admin+path); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	ask(t, http.MethodPut, admin+"/-/level", `{"level":"warn"}`, 200)
	ask(t, http.MethodPut, admin+"/-/level", `{"level":"loud"}`, 400)
	ask(t, http.MethodGet, admin+"/-/reload", "", 405)
	if _, text := get(t.Context(), admin+"/-/level"); !strings.Contains(text, "warn") {
		t.Errorf("level %s", text)
	}
	before := strings.Count(p.log.all(), `"msg":"request"`)
	if err := put(t, p.client("demo", "demo-secret"), "k", nil); err != nil {
		t.Fatal(err)
	}
	ask(t, http.MethodPut, admin+"/-/level", `{"level":"info"}`, 200)
	if err := put(t, p.client("demo", "demo-secret"), "last", nil); err != nil {
		t.Fatal(err)
	}
	if code := p.stop(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if got := strings.Count(p.log.all(), `"msg":"request"`) - before; got != 1 {
		t.Errorf("%d requests in the log, want that at level info alone", got)
	}
	if strings.Contains(p.log.all(), "other machines may reach it") {
		t.Error("warned of a port on loopback")
	}
}

// ask sends a request and holds the answer to a status.
func ask(t testing.TB, method, url, body string, want int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != want {
		t.Errorf("%s %s: status %d, want %d", method, url, answer.StatusCode, want)
	}
}

// TestReadinessEndsBeforeThePortCloses: load balancers look elsewhere while
// requests that are still sent here are served.
func TestReadinessEndsBeforeThePortCloses(t *testing.T) {
	p := startReady(t, adminYAML+"service: {drain-delay: 10m}", append([]string{"PITHOS_DATA=" + filepath.Join(t.TempDir(), "data")}, rootEnv...)...)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.log.await(t, "no longer ready; the port closes later")
	if code, text := get(t.Context(), p.endpoint+"/-/ready"); code != 503 || !strings.Contains(text, "stopping") {
		t.Errorf("ready: %d %s", code, text)
	}
	if code, _ := get(t.Context(), p.endpoint+"/-/live"); code != 200 {
		t.Errorf("live: %d", code)
	}
	if err := put(t, p.client("demo", "demo-secret"), "late", []byte("x")); err != nil {
		t.Errorf("a request that came late: %v", err)
	}
	if _, text := get(t.Context(), p.adminOf(t)+"/metrics"); !strings.Contains(text, "pithos_ready 0") {
		t.Error("pithos_ready is not 0")
	}
}
