package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOperatorsPortRefusesWebPages(t *testing.T) {
	h := guardAdmin("admin.example.com:9100", []string{"Pithos.Example.net"}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		host    string
		headers [][2]string
		want    int
	}{
		{"127.0.0.1:9100", nil, 200},
		{"[::1]:9100", nil, 200},
		{"10.42.0.7:9100", nil, 200},
		{"localhost:9100", nil, 200},
		{"pithos:9100", nil, 200},
		{"pithos", nil, 200},
		{"admin.example.com:9100", nil, 200},
		{"pithos.example.net", nil, 200},
		{"PITHOS.example.net.:80", nil, 200},
		{"evil.example.org:9100", nil, 421},
		{"127.0.0.1.evil.example.org", nil, 421},
		{"localhost.evil.example.org", nil, 421},
		{"localhost.localdomain", nil, 421},
		{"", nil, 421},
		{".", nil, 421},
		{"evil.example.org", [][2]string{{"Origin", "http://evil.example.org"}}, 421},
		{"127.0.0.1:9100", [][2]string{{"Origin", "http://127.0.0.1:9100"}, {"Sec-Fetch-Site", "same-origin"}}, 200},
		{"127.0.0.1:9100", [][2]string{{"Sec-Fetch-Site", "none"}}, 200},
		{"127.0.0.1:9100", [][2]string{{"Origin", "https://evil.example.org"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Origin", "http://127.0.0.1:3000"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Origin", "http://127.0.0.1"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Origin", "null"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Origin", ""}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Origin", "http://127.0.0.1:9100"}, {"Origin", "http://evil.example.org"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Sec-Fetch-Site", "cross-site"}}, 403},
		{"127.0.0.1:9100", [][2]string{{"Sec-Fetch-Site", "same-site"}}, 403},
	} {
		for _, method := range []string{"GET", "PUT", "POST"} {
			r := httptest.NewRequest(method, "/", nil)
			r.Host = c.host
			for _, kv := range c.headers {
				r.Header.Add(kv[0], kv[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s to %q with %v: %d, want %d", method, c.host, c.headers, w.Code, c.want)
			}
		}
	}
}
