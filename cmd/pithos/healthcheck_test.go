package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// healthServer answers as serve does when it is live but ready only at times.
func healthServer(ready bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/-/live", r.URL.Path == "/-/ready" && ready:
			writeBody(w, http.StatusOK, "fine")
		case r.URL.Path == "/-/ready":
			writeBody(w, http.StatusServiceUnavailable, "waiting for the engine")
		default:
			http.NotFound(w, r)
		}
	})
}

func writeBody(w http.ResponseWriter, code int, text string) {
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

func TestHealthcheckTellsReadyFromLive(t *testing.T) {
	for name, c := range map[string]struct {
		ready bool
		args  []string
		code  int
		want  string
	}{
		"ready":               {true, nil, exitOK, "fine"},
		"waiting":             {false, nil, exitFailure, "waiting for the engine"},
		"live while it waits": {false, []string{"--live"}, exitOK, "fine"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(healthServer(c.ready))
			defer server.Close()
			t.Setenv("PITHOS_LISTEN", server.Listener.Addr().String())
			code, out, errText := command(append([]string{"healthcheck"}, c.args...)...)
			if code != c.code || !strings.Contains(out+errText, c.want) {
				t.Errorf("exit code %d, want %d: %s%s", code, c.code, out, errText)
			}
		})
	}
}

func TestHealthcheckSpeaksTLSWhereServeDoes(t *testing.T) {
	server := httptest.NewTLSServer(healthServer(true))
	defer server.Close()
	t.Setenv("PITHOS_LISTEN", server.Listener.Addr().String())
	path := filepath.Join(t.TempDir(), "pithos.yaml")
	if err := os.WriteFile(path, []byte("service: {tls: {certificate: /nowhere.crt, key: /nowhere.key}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errText := command("healthcheck", "-f", path); code != exitOK {
		t.Errorf("exit code %d: %s%s", code, out, errText)
	}
}

func TestHealthcheckFailsWithoutAServer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	gone := server.Listener.Addr().String()
	server.Close()
	for name, c := range map[string]struct {
		listen string
		args   []string
		code   int
	}{
		"no listener":             {gone, nil, exitFailure},
		"port left to the system": {"127.0.0.1:0", nil, exitConfig},
		"no time":                 {gone, []string{"--timeout", "0s"}, exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PITHOS_LISTEN", c.listen)
			code, out, errText := command(append([]string{"healthcheck"}, c.args...)...)
			if code != c.code || errText == "" {
				t.Errorf("exit code %d, want %d: %s%s", code, c.code, out, errText)
			}
		})
	}
}
