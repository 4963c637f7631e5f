package edge

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/httpconn"
	"github.com/pithos/pithos/internal/s3err"
)

// Listen returns a listener above l for h to serve, and sets the hooks of h that
// belong to it: they count connections, see [Connections], and follow their
// framing, see package httpconn. With t it serves HTTPS; h must not have t too.
func (s *Server) Listen(h *http.Server, l net.Listener, t *tls.Config) net.Listener {
	h.ConnState = s.connections.State
	h.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return httpconn.Context(s.connections.Context(ctx, c), c)
	}
	return httpconn.New(s.connections.Listen(l), httpconn.Options{
		MaxHeader: h.MaxHeaderBytes, HeaderTimeout: h.ReadHeaderTimeout, TLS: t,
		Failed: func(remote net.Addr, err error) {
			s.log.Named("http").Warn("TLS handshake failed", zap.Stringer("remote", remote), zap.Error(err))
		},
	})
}

// refused answers a request that package httpconn refuses.
func (s *Server) refused(w http.ResponseWriter, r *http.Request, why *httpconn.Refusal) {
	s.observe(w, r, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, s3err.Newf(s3err.Code(why.Code), "%s", why.Message))
	}))
}
