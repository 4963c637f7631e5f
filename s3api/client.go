package s3api

import (
	"context"
	"net/http"
	"net/netip"
)

// Client describes the client of a request. Policy conditions, the access log and
// all other code that depends on the client's address read it here, not in
// http.Request: RemoteAddr and TLS there describe the last hop, which may be a
// reverse proxy.
type Client struct {
	// Address is the client's address; invalid if it is not known.
	Address netip.Addr
	// Secure reports whether the client uses HTTPS.
	Secure bool
	// Proxy is the address of the trusted proxy that reported this; "" if the
	// client is connected directly.
	Proxy string
}

type clientKey struct{}

// WithClient returns a context for a request from c, which the gateway has found
// in the headers of trusted proxies. Without it the connection's address counts.
func WithClient(ctx context.Context, c Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientOf returns the client of r.
func ClientOf(r *http.Request) Client {
	if c, ok := r.Context().Value(clientKey{}).(Client); ok {
		return c
	}
	return Client{Address: peerAddress(r), Secure: r.TLS != nil}
}

// peerAddress returns the remote address of the connection; invalid if it has none.
func peerAddress(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}
