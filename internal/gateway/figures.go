package gateway

import (
	"context"
	"net/http"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
)

// meta is the metadata store, observed if somebody wants to.
func (o OpenOptions) meta(s meta.Store) meta.Store {
	if o.Observe == nil {
		return s
	}
	return o.Observe.Meta(s)
}

func (o OpenOptions) wrapMeta(s meta.Store, k meta.AccessKeys) (meta.Store, meta.AccessKeys) {
	if o.WrapMeta == nil {
		return s, k
	}
	return o.WrapMeta(s, k)
}

// blobs are the blob stores, observed if somebody wants to.
func (o OpenOptions) blobs(stores map[string]blob.Store) map[string]blob.Store {
	if o.Observe == nil {
		return stores
	}
	observed := make(map[string]blob.Store, len(stores))
	for name, s := range stores {
		observed[name] = o.Observe.Blob(s)
	}
	return observed
}

// driver is who hears of Cassandra's driver; nil for nobody.
func (o OpenOptions) driver() cassandra.Observer {
	if o.Observe == nil {
		return nil // and not an interface that holds a nil pointer
	}
	return o.Observe
}

// showPebble shows how a database stands until the function that it returns
// is called, which is a step of closing the engine.
func (o OpenOptions) showPebble(name string, read func() *pebble.Metrics) (remove func() error) {
	if o.Observe == nil {
		return func() error { return nil }
	}
	end := o.Observe.Pebble(name, read)
	return func() error {
		end()
		return nil
	}
}

// showMeta shows what the metadata store of a region does behind its answers.
func (o OpenOptions) showMeta(s *metacassandra.Store) (remove func() error) {
	if o.Observe == nil {
		return func() error { return nil }
	}
	end := o.Observe.Listings(func() metrics.Listings { return metrics.Listings(s.Counts()) })
	return func() error {
		end()
		return nil
	}
}

// show shows how the server and its admission stand.
func (s *Server) show(a *admission) {
	s.metrics.Gauge("pithos_ready", "1 while requests can be served, as /-/ready has it: the engine is open and answers, and the server is not stopping.", func() float64 {
		if status, _ := s.ready(context.Background()); status != http.StatusOK {
			return 0
		}
		return 1
	})
	s.metrics.Gauge("pithos_requests_limit", "Requests that are served at a time now: service.max-requests, less while the engine fails.", func() float64 {
		limit, _, _ := a.turns.state()
		return float64(limit)
	})
	s.metrics.Gauge("pithos_requests_running", "Requests that are being served.", func() float64 {
		_, running, _ := a.turns.state()
		return float64(running)
	})
	s.metrics.Gauge("pithos_requests_waiting", "Requests that wait for their turn.", func() float64 {
		_, _, waiting := a.turns.state()
		return float64(waiting)
	})
	s.metrics.Gauge("pithos_connections", "Connections that are open.", func() float64 {
		open, _ := s.connections.figures()
		return float64(open)
	})
	s.metrics.Counter("pithos_connections_refused_total", "Connections that were closed because there were too many, or because of the headers that they had begun.", func() float64 {
		_, refused := s.connections.figures()
		return float64(refused)
	})
}
