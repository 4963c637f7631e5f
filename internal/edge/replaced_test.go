package edge

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/engine"
	"github.com/pithos/pithos/sigv4/sigv4test"
)

// TestAClientHearsThatItsAnswerWasReplaced over both protocols: its answer does
// not fit into memory when its length is known, and the client gets a whole
// answer that says so. The access log shows what was answered.
func TestAClientHearsThatItsAnswerWasReplaced(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		cfg := defaults()
		cfg.Embedded.Directory = t.TempDir()
		cfg.Service.MaxMemory = 8 << 20
		cfg.Keystore.Keys = map[string]config.Key{"READER": {Tenant: "t", Secret: "the-secret"}}
		cfg.Options.Buckets = []string{"bucket"}
		core, lines := observer.New(zapcore.InfoLevel)
		s := NewServer(cfg, zap.New(core), nil)
		e, err := engine.Await(t.Context(), cfg, engine.OpenOptions{Observe: s.Observer()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Use(Backend{Store: e.Store, Keys: e.Keys, Ring: e.Ring}); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(s)
		server.EnableHTTP2 = http2
		server.StartTLS()
		do := func(ctx context.Context, method, key string, body []byte) *http.Response {
			t.Helper()
			r, err := http.NewRequestWithContext(ctx, method, server.URL+"/bucket/"+key, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			signer := sigv4test.Signer{AccessKey: "READER", Secret: "the-secret", Region: "us-east-1", Time: time.Now()}
			signer.SignHeader(r, sigv4test.Hash(body))
			answer, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			return answer
		}
		text := func(answer *http.Response) string {
			t.Helper()
			data, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			return string(data)
		}
		text(do(t.Context(), "PUT", "large", make([]byte, 32<<20)))
		text(do(t.Context(), "PUT", "small", []byte("x")))
		for range 200 { // answers are small lately
			text(do(t.Context(), "GET", "small", nil))
		}
		ctx, cancel := context.WithCancel(t.Context())
		reading := do(ctx, "GET", "large", nil) // and is not read: it keeps its memory
		answer := do(t.Context(), "GET", "large", nil)
		if body := text(answer); answer.StatusCode != http.StatusServiceUnavailable || !strings.HasSuffix(body, "</Error>") || !strings.Contains(body, "SlowDown") {
			t.Errorf("HTTP/2 %t: %s %q", http2, answer.Status, body)
		}
		cancel()
		_ = reading.Body.Close()
		server.Close()
		line := lines.FilterMessage("request").FilterField(zap.Int("status", http.StatusServiceUnavailable)).All()
		if len(line) != 1 || line[0].ContextMap()["code"] != "SlowDown" || line[0].ContextMap()["op"] != "GetObject" {
			t.Errorf("HTTP/2 %t: the log has %v", http2, line)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
