package engine

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/edge"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

const observedKey = "keystore: {keys: {OBSERVED: {tenant: t, secret: the-secret}}}\noptions: {buckets: [traced]}\n"

// traced is a server of the configuration whose spans and log lines are kept.
type traced struct {
	*httptest.Server
	gateway *edge.Server
	spans   *tracetest.InMemoryExporter
	lines   *observer.ObservedLogs
}

func newTraced(t *testing.T, cfg *config.Config) *traced {
	t.Helper()
	core, lines := observer.New(zapcore.InfoLevel)
	s := edge.NewServer(cfg, zap.New(core), nil)
	spans := tracetest.NewInMemoryExporter()
	s.Trace(sdk.NewTracerProvider(sdk.WithSyncer(spans)))
	e := opened(t, cfg, OpenOptions{Observe: s.Observer()})
	if err := e.createBuckets(t.Context(), cfg, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if err := s.Use(backend(e)); err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return &traced{h, s, spans, lines}
}

const traceID = "0af7651916cd43dd8448eb211c80319c"

// do sends a signed request that belongs to the trace traceID.
func (s *traced) do(t *testing.T, method, path string, body []byte) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traceparent", "00-"+traceID+"-b7ad6b7169203331-01")
	signer := sigv4test.Signer{AccessKey: "OBSERVED", Secret: "the-secret", Region: "us-east-1", Time: time.Now()}
	signer.SignHeader(r, sigv4test.Hash(body))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// named returns the spans of a name, waiting for none: the exporter is told
// before the answer ends, but for the request's own.
func (s *traced) named(t *testing.T, name string) []tracetest.SpanStub {
	t.Helper()
	s.Close() // waits for the requests
	var found []tracetest.SpanStub
	for _, span := range s.spans.GetSpans() {
		if span.SpanContext.TraceID().String() != traceID {
			t.Errorf("span %s is in another trace", span.Name)
		}
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

func attributes(span tracetest.SpanStub) map[string]string {
	all := map[string]string{}
	for _, a := range span.Attributes {
		all[string(a.Key)] = a.Value.String()
	}
	return all
}

func TestTraceGoesFromRequestToStatement(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		cfg := configuration(t, observedKey+"embedded: {directory: "+t.TempDir()+"}\n")
		traceRequest(t, newTraced(t, cfg), "")
	})
	t.Run("cassandra", func(t *testing.T) {
		c, at := cluster(t)
		cfg := configuration(t, observedKey+"bucketstore: {"+at+", keyspace: "+c.Keyspace(t)+"}\n")
		traceRequest(t, newTraced(t, installed(t, cfg)), "cas object")
	})
}

// traceRequest puts a large object and follows the spans from the request to
// the commit of its metadata, and to the statement, if there is one.
func traceRequest(t *testing.T, s *traced, statement string) {
	body := bytes.Repeat([]byte("x"), 1<<20)
	if status := s.do(t, "PUT", "/traced/secret-key?x-id=PutObject", body); status != 200 {
		t.Fatalf("status %d", status)
	}
	requests := s.named(t, "PutObject")
	if len(requests) != 1 {
		t.Fatalf("%d spans of the request, of %v", len(requests), s.spans.GetSpans())
	}
	request := requests[0]
	got := attributes(request)
	for key, want := range map[string]string{
		"aws.s3.bucket": "traced", "http.response.status_code": "200", "http.request.method": "PUT", "http.request.body.size": "1048576",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if request.Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the request's parent is %s", request.Parent.SpanID())
	}
	commits := s.named(t, "meta.Commit")
	if len(commits) != 1 || commits[0].Parent.SpanID() != request.SpanContext.SpanID() {
		t.Fatalf("commits %v", commits)
	}
	if len(s.named(t, "blob.Write")) != 1 {
		t.Error("the blob's writing was not traced")
	}
	if statement != "" {
		s.statementBelow(t, statement, commits[0])
	}
	for _, span := range s.spans.GetSpans() {
		for key, value := range attributes(span) {
			if strings.Contains(value, "secret") {
				t.Errorf("span %s has %s=%s", span.Name, key, value)
			}
		}
	}
	line := s.lines.FilterMessage("request").FilterField(zap.String("op", "PutObject")).All()
	if len(line) != 1 || line[0].ContextMap()["trace"] != traceID || line[0].ContextMap()["received"] != int64(1<<20) {
		t.Errorf("the log has %v", line)
	}
}

func (s *traced) statementBelow(t *testing.T, name string, parent tracetest.SpanStub) {
	t.Helper()
	for _, span := range s.named(t, name) {
		if span.Parent.SpanID() == parent.SpanContext.SpanID() {
			if got := attributes(span); got["db.system.name"] != "cassandra" || got["server.address"] == "" {
				t.Errorf("statement has %v", got)
			}
			return
		}
	}
	t.Errorf("no statement %q below %s", name, parent.Name)
}
