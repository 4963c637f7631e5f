//go:build unix

package cassandratest

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// daemon answers on a unix socket as a Docker daemon's /_ping would.
func daemon(t *testing.T, status int) (host string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}))
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return "unix://" + socket
}

// silentDaemon accepts connections and never answers.
func silentDaemon(t *testing.T) (host string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "unix://" + socket
}

func TestOnlyADaemonThatAnswersCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		host string
		ok   bool
	}{
		"answers":    {daemon(t, http.StatusOK), true},
		"refuses":    {daemon(t, http.StatusInternalServerError), false},
		"silent":     {silentDaemon(t), false},
		"no socket":  {"unix:///no/such/docker.sock", false},
		"no daemon":  {"tcp://127.0.0.1:1", false},
		"not a host": {"docker", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_HOST", tc.host)
			if err := probeDocker(t.Context()); (err == nil) != tc.ok {
				t.Errorf("%s: %v", tc.host, err)
			}
		})
	}
}
