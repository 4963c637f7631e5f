package tracing

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

func noEnv(string) string { return "" }

func TestNothingIsTracedUnlessAnEndpointIsNamed(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"none":         {},
		"switched off": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			p, end, err := Open(t.Context(), config.Tracing{}, "v1", func(n string) string { return env[n] }, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			if _, span := p.Tracer("t").Start(t.Context(), "x"); span.IsRecording() {
				t.Error("a span is recorded")
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// collector is an OTLP collector that keeps what it was sent.
func collector(t *testing.T, status int) (url string, got *atomic.Pointer[string]) {
	got = &atomic.Pointer[string]{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Error(err)
				return
			}
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		text := r.URL.Path + " " + string(data)
		got.Store(&text)
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestSpansAreSentToTheCollector(t *testing.T) {
	for _, by := range []string{"configuration", "environment"} {
		t.Run(by, func(t *testing.T) {
			url, got := collector(t, http.StatusOK)
			var cfg config.Tracing
			if by == "configuration" {
				cfg.Endpoint = url
			} else {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url) // which the exporter reads itself
			}
			p, end, err := Open(t.Context(), cfg, "v1.2.3", func(n string) string {
				if n == "OTEL_EXPORTER_OTLP_ENDPOINT" && by == "environment" {
					return url
				}
				return ""
			}, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			_, span := p.Tracer("t").Start(t.Context(), "GetObject")
			span.End()
			if err := end(); err != nil {
				t.Fatal(err)
			}
			text := got.Load()
			if text == nil || !strings.HasPrefix(*text, "/v1/traces ") || !strings.Contains(*text, "GetObject") || !strings.Contains(*text, "v1.2.3") {
				t.Errorf("the collector got %v", text)
			}
		})
	}
}

func TestSamplingFollowsTheCaller(t *testing.T) {
	p, err := provider(t.Context(), config.Tracing{SampleEvery: 1_000_000}, "v1", noEnv, sdk.WithSyncer(tracetest.NewInMemoryExporter()))
	if err != nil {
		t.Fatal(err)
	}
	parent := func(flags trace.TraceFlags) trace.SpanContext {
		return trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{15: 1}, SpanID: trace.SpanID{7: 1}, TraceFlags: flags, Remote: true})
	}
	for flags, want := range map[trace.TraceFlags]bool{trace.FlagsSampled: true, 0: false} {
		ctx := trace.ContextWithRemoteSpanContext(t.Context(), parent(flags))
		if _, span := p.Tracer("t").Start(ctx, "x"); span.IsRecording() != want {
			t.Errorf("flags %v: recorded %v", flags, !want)
		}
	}
	some := 0
	for range 1000 {
		if _, span := p.Tracer("t").Start(t.Context(), "x"); span.IsRecording() {
			some++
		}
	}
	if some > 100 {
		t.Errorf("%d of 1000 were traced, want one in a million", some)
	}
}
