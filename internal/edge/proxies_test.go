package edge

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pithos/pithos/config"
)

func TestClientBehindProxies(t *testing.T) {
	const xff, fwd = "x-forwarded-for", "forwarded"
	cases := []struct {
		name, header, peer, headers string
		tls                         bool
		address                     string
		secure                      bool
		malformed                   bool
	}{
		{"no proxy", xff, "203.0.113.9:1", "X-Forwarded-For: 10.0.0.1\nX-Forwarded-Proto: https", false, "203.0.113.9", false, false},
		{"no proxy, HTTPS", xff, "203.0.113.9:1", "X-Forwarded-Proto: http", true, "203.0.113.9", true, false},
		{"a proxy", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7\nX-Forwarded-Proto: https", false, "198.51.100.7", true, false},
		{"a proxy that is one address", xff, "192.0.2.44:1", "X-Forwarded-For: 198.51.100.7", false, "198.51.100.7", false, false},
		{"an IPv6 proxy", xff, "[2001:db8::5]:1", "X-Forwarded-For: 2001:db9::1", false, "2001:db9::1", false, false},
		{"a mapped proxy", xff, "[::ffff:10.0.0.1]:1", "X-Forwarded-For: ::ffff:198.51.100.7", false, "198.51.100.7", false, false},
		{"two proxies", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7, 10.0.0.2", false, "198.51.100.7", false, false},
		{"what the client forged", xff, "10.0.0.1:1", "X-Forwarded-For: 127.0.0.1, 10.0.0.9, 198.51.100.7, 10.0.0.2", false, "198.51.100.7", false, false},
		{"forged in a line of its own", xff, "10.0.0.1:1", "X-Forwarded-For: 127.0.0.1\nX-Forwarded-For: 198.51.100.7", false, "198.51.100.7", false, false},
		{"forged garbage", xff, "10.0.0.1:1", "X-Forwarded-For: \"'<>, 198.51.100.7", false, "198.51.100.7", false, false},
		{"only proxies", xff, "10.0.0.1:1", "X-Forwarded-For: 10.0.0.3, 10.0.0.2", false, "10.0.0.3", false, false},
		{"unknown", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7, unknown", false, "10.0.0.1", false, false},
		{"empty", xff, "10.0.0.1:1", "X-Forwarded-For: ", false, "10.0.0.1", false, false},
		{"with ports", xff, "10.0.0.1:1", "X-Forwarded-For: [2001:db9::1]:80, 10.0.0.2:5", false, "2001:db9::1", false, false},
		{"a zone", xff, "10.0.0.1:1", "X-Forwarded-For: fe80::1%eth0", false, "fe80::1", false, false},
		{"the other header is the client's", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7\nForwarded: for=127.0.0.1;proto=https", false, "198.51.100.7", false, false},
		{"forged protocol, appended to", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7\nX-Forwarded-Proto: https, http", false, "198.51.100.7", false, false},
		{"HTTP in front, HTTPS inside", xff, "10.0.0.1:1", "X-Forwarded-For: 198.51.100.7\nX-Forwarded-Proto: http", true, "198.51.100.7", false, false},
		{"an odd protocol", xff, "10.0.0.1:1", "X-Forwarded-Proto: httpss", true, "10.0.0.1", false, false},
		{"sixty thousand commas", xff, "10.0.0.1:1", "X-Forwarded-For: 1.2.3.4" + strings.Repeat(",", 60_000) + "198.51.100.7", false, "198.51.100.7", false, false},

		{"RFC 7239", fwd, "10.0.0.1:1", "Forwarded: for=198.51.100.7;proto=https;by=203.0.113.43", false, "198.51.100.7", true, false},
		{"RFC 7239, IPv6", fwd, "10.0.0.1:1", `Forwarded: For="[2001:db9:cafe::17]:4711" ; Proto=HTTPS`, false, "2001:db9:cafe::17", true, false},
		{"RFC 7239, two proxies", fwd, "10.0.0.1:1", "Forwarded: for=198.51.100.7;proto=https, for=10.0.0.2;proto=http", false, "198.51.100.7", true, false},
		{"RFC 7239, forged", fwd, "10.0.0.1:1", "Forwarded: for=127.0.0.1;proto=https\nForwarded: for=198.51.100.7;proto=http", false, "198.51.100.7", false, false},
		{"RFC 7239, hidden", fwd, "10.0.0.1:1", "Forwarded: for=198.51.100.7, for=_secret;proto=https", false, "10.0.0.1", true, false},
		{"RFC 7239, escapes", fwd, "10.0.0.1:1", `Forwarded: for="\1\9\8.51.100.7"`, false, "198.51.100.7", false, false},
		{"RFC 7239, an open quote", fwd, "10.0.0.1:1", `Forwarded: for="127.0.0.1, for=198.51.100.7`, false, "", false, true},
		{"RFC 7239, a quote that closes later", fwd, "10.0.0.1:1", `Forwarded: for="1.2.3.4, for="198.51.100.7"`, false, "", false, true},
		{"RFC 7239, twice the same", fwd, "10.0.0.1:1", "Forwarded: for=127.0.0.1;for=198.51.100.7", false, "", false, true},
		{"RFC 7239, no pair", fwd, "10.0.0.1:1", "Forwarded: 198.51.100.7", false, "", false, true},
		{"RFC 7239, without end", fwd, "10.0.0.1:1", "Forwarded: " + strings.Repeat("for=1.2.3.4,", 5000) + "for=198.51.100.7", false, "", false, true},
		{"X-Forwarded-For is the client's", fwd, "10.0.0.1:1", "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: https\nForwarded: for=198.51.100.7", false, "198.51.100.7", false, false},
		{"malformed, of a stranger", fwd, "203.0.113.9:1", `Forwarded: for="`, false, "203.0.113.9", false, false},
		{"a socket", xff, "@", "X-Forwarded-For: 127.0.0.1", false, "invalid IP", false, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := newProxies(&config.Service{TrustedProxies: []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.44"}, ForwardedHeader: c.header})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.peer
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			for line := range strings.SplitSeq(c.headers, "\n") {
				name, value, _ := strings.Cut(line, ": ")
				r.Header.Add(name, value)
			}
			got, err := p.client(r)
			if (err != nil) != c.malformed {
				t.Fatalf("error %v", err)
			}
			if err == nil && (got.Address.String() != c.address || got.Secure != c.secure) {
				t.Errorf("got %v secure=%t, want %s %t", got.Address, got.Secure, c.address, c.secure)
			}
		})
	}
}

func TestNobodyIsAProxyUnlessConfigured(t *testing.T) {
	cfg := config.Default()
	p, err := newProxies(&cfg.Service)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "127.0.0.1:5"
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	if c, err := p.client(r); err != nil || c.Address.String() != "127.0.0.1" || c.Secure || c.Proxy != "" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestSharesAreOfAddressesAndNetworks(t *testing.T) {
	p := proxies{}
	for peer, want := range map[string]callers{
		"192.0.2.1:80": {"192.0.2.1"}, "[2001:db8:1:2:3::4]:80": {"2001:db8:1:2::/64", "", "2001:db8:1::/48"},
		"[::ffff:192.0.2.1]:80": {"192.0.2.1"}, "@": {},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = peer
		if got := p.share(r); got != want {
			t.Errorf("%s counts for %q, want %q", peer, got, want)
		}
	}
	p, err := newProxies(&config.Service{TrustedProxies: []string{"192.0.2.1"}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.1:5"
	if got := p.share(r); got != (callers{}) {
		t.Errorf("a trusted proxy is capped as %q", got)
	}
}
