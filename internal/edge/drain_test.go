package edge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

func TestDrainingHasClientsConnectAnew(t *testing.T) {
	cfg := config.Default()
	s := NewServer(&cfg, zap.NewNop(), nil)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		server := httptest.NewUnstartedServer(s)
		server.EnableHTTP2 = protocol == "HTTP/2.0"
		server.StartTLS()
		defer server.Close()
		s.draining.Store(false)
		ask(t, server, protocol)
		if answer := ask(t, server, protocol); answer.Close {
			t.Errorf("%s: connections do not last", protocol)
		}
		s.Drain()
		if answer := ask(t, server, protocol); protocol == "HTTP/1.1" && !answer.Close {
			t.Errorf("%s: the connection stays open for requests that would meet its end", protocol)
		}
		if answer := ask(t, server, protocol); answer.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: a request on a new connection gets %s", protocol, answer.Status)
		}
	}
}

// ask lists the buckets, which a server without an engine answers 503.
func ask(t *testing.T, server *httptest.Server, protocol string) *http.Response {
	t.Helper()
	answer, err := server.Client().Get(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	if answer.Proto != protocol {
		t.Fatalf("%s was spoken", answer.Proto)
	}
	return answer
}
