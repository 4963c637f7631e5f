package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pithos/pithos/config"
)

func defaults() *config.Config {
	cfg := config.Default()
	return &cfg
}

func TestRefusedRequestsAreCountedAndLogged(t *testing.T) {
	core, lines := observer.New(zapcore.InfoLevel)
	s := NewServer(defaults(), zap.New(core), nil) // without an engine
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/bucket/key?X-Amz-Signature=abc", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Fatalf("status %d", w.Code)
	}
	line := lines.FilterMessage("request").All()
	if len(line) != 1 || line[0].ContextMap()["code"] != "ServiceUnavailable" || line[0].ContextMap()["status"] != int64(503) {
		t.Errorf("the log has %v", line)
	}
	scrape := httptest.NewRecorder()
	s.Metrics().Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`pithos_requests_total{bucket="",operation="",status="503"} 1`, `pithos_requests_refused_total{code="ServiceUnavailable"} 1`,
		"pithos_requests_in_flight 0", "pithos_ready 0", "pithos_requests_limit 10", "pithos_requests_running 0",
	} {
		if !strings.Contains(scrape.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestCutRequestIsCountedToo: the handler panics to cut the connection.
func TestCutRequestIsCountedToo(t *testing.T) {
	s := NewServer(defaults(), zap.NewNop(), nil)
	s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/b/k", nil))
	}()
	scrape := httptest.NewRecorder()
	s.Metrics().Handler().ServeHTTP(scrape, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(scrape.Body.String(), `status="499"} 1`) || !strings.Contains(scrape.Body.String(), "pithos_requests_in_flight 0") {
		t.Errorf("not counted: %s", scrape.Body)
	}
}
