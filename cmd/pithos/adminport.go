package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"go.uber.org/zap"
)

// adminPort is the port for operators (admin.listen). It has no authentication: a
// client that reaches it may read metrics and profiles, set the log level and
// reload the configuration. It shows no secrets. Web pages in an operator's
// browser can reach it too: see guardAdmin.
type adminPort struct {
	server *http.Server
	log    *zap.Logger
}

// adminRoutes are the requests that the port answers:
//
//	GET  /metrics        metrics for Prometheus
//	GET  /-/live, /-/ready   as on the public port
//	GET  /-/level        the log level; PUT {"level":"debug"} sets it
//	POST /-/reload       as SIGHUP; 200, or 422 with the mistake
//	GET  /debug/pprof/   profiles of the Go runtime
func (s *serving) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.gateway.Metrics().Handler())
	mux.Handle("/-/live", s.gateway)
	mux.Handle("/-/ready", s.gateway)
	mux.Handle("/-/level", s.logs.Level)
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.reload.now(); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintln(w, "reloaded")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// openAdminPort opens the port, if it is configured or systemd has passed it.
func (s *serving) openAdminPort(activated net.Listener) error {
	listener := activated
	switch address := s.cfg.Admin.Listen; {
	case listener == nil && address == "":
		return nil
	case listener == nil:
		var err error
		if listener, err = net.Listen("tcp", address); err != nil {
			return fmt.Errorf("listen on %s (admin.listen): %w", address, err)
		}
	}
	if s.cfg.AdminBeyondLoopback() {
		s.log.Warn("admin listener has no authentication and is reachable from other hosts; restrict access to it",
			zap.String("admin.listen", s.cfg.Admin.Listen))
	}
	// The client says how long a profile takes, so only headers have a limit.
	server := &http.Server{Handler: guardAdmin(s.cfg.Admin.Listen, s.cfg.Admin.Hosts, s.adminRoutes()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	s.admin = &adminPort{server: server, log: s.log}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the admin listener failed", zap.Error(err))
		}
	}()
	s.log.Info("admin listener is open", zap.String("address", "http://"+listener.Addr().String()))
	return nil
}

// close ends the port. Running requests have a second.
func (a *adminPort) close() {
	if a == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close() // a profile was still being taken
	}
}
