package edge

import (
	"context"
	"net/http"
)

// registerGauges exports the state of the server and of its admission.
func (s *Server) registerGauges(a *admission) {
	s.metrics.Gauge("pithos_ready", "1 while requests can be served, as /-/ready has it: the engine is open and answers, and the server is not stopping.", func() float64 {
		if status, _ := s.ready(context.Background()); status != http.StatusOK {
			return 0
		}
		return 1
	})
	s.metrics.Gauge("pithos_requests_limit", "Requests that are served at a time now: service.max-requests, less while the engine fails.", func() float64 {
		limit, _, _ := a.limiter.state()
		return float64(limit)
	})
	s.metrics.Gauge("pithos_requests_running", "Requests that are being served.", func() float64 {
		_, running, _ := a.limiter.state()
		return float64(running)
	})
	s.metrics.Gauge("pithos_requests_waiting", "Requests that wait for their turn.", func() float64 {
		_, _, waiting := a.limiter.state()
		return float64(waiting)
	})
	s.metrics.Gauge("pithos_connections", "Connections that are open.", func() float64 {
		open, _ := s.connections.counts()
		return float64(open)
	})
	s.metrics.Counter("pithos_connections_refused_total", "Connections that were closed because there were too many, or because of the headers that they had begun.", func() float64 {
		_, refused := s.connections.counts()
		return float64(refused)
	})
}
