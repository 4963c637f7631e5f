package s3api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestAClientThatHangsUpIsNoFailure: a client may disconnect early on purpose.
func TestAClientThatHangsUpIsNoFailure(t *testing.T) {
	s := newServer(t)
	b := s.bucket(t)
	const size = 32 << 20 // more than the buffers of both ends take
	s.signed(t, "alice", "PUT", "/"+b+"/k", strings.Repeat("x", size)).want(t, 200, "")
	r := s.request(t, "GET", "/"+b+"/k", "")
	s.sign(t, r, "alice", "")
	response, err := (&http.Transport{}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close() // and the connection with it
	s.Close()                 // waits for the request
	lines := s.logs.FilterMessage("request").FilterField(zap.String("op", "GetObject")).All()
	if len(lines) != 1 {
		t.Fatalf("%d requests in the log, want one", len(lines))
	}
	line := lines[0].ContextMap()
	if sent, _ := line["bytes"].(int64); sent >= size || line["status"] != int64(200) {
		t.Fatalf("the answer was not cut: %v", line)
	}
	if code, is := line["code"]; is {
		t.Errorf("the log has code %v", code)
	}
}
