package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// adminBody is the most bytes of a request's body that the port for operators
// reads.
const adminBody = 64 << 10

// guardAdmin refuses requests that a web page makes an operator's browser send to
// the port for operators, which trusts all clients that reach it.
//
// A page of another site can send simple requests, but the browser adds where
// they come from (Origin, Sec-Fetch-Site). A page whose name was made to resolve
// to this machine (DNS rebinding) has the same origin, but the browser sends that
// name as the host. So only hosts are answered that an attacker cannot have in
// the public DNS: addresses, names without a dot, the host of admin.listen, and
// those of admin.hosts.
func guardAdmin(listen string, hosts []string, next http.Handler) http.Handler {
	known := map[string]bool{}
	for _, h := range hosts {
		known[strings.ToLower(h)] = true
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		known[strings.ToLower(host)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !adminHost(r.Host, known):
			http.Error(w, "this host name is unknown here: name it in admin.hosts", http.StatusMisdirectedRequest)
		case foreignOrigin(r):
			http.Error(w, "requests of other sites' pages are refused", http.StatusForbidden)
		default:
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.MaxBytesHandler(next, adminBody).ServeHTTP(w, r)
		}
	})
}

// adminHost reports whether a Host is one that the port answers to.
func adminHost(host string, known map[string]bool) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "" {
		return false
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return !strings.Contains(host, ".") || known[host]
}

// foreignOrigin reports whether a browser sent r for a page of another origin.
func foreignOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return true
	}
	return slices.ContainsFunc(r.Header["Origin"], func(origin string) bool {
		u, err := url.Parse(origin)
		return err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host)
	})
}
