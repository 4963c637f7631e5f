package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// shortSeconds are the bounds of the histograms of single calls and
// statements.
var shortSeconds = []float64{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// calls are the metrics of calls of the engine.
type calls struct {
	took   *prometheus.HistogramVec
	errors *prometheus.CounterVec
	bytes  *prometheus.CounterVec
}

func newCalls(r prometheus.Registerer) calls {
	c := calls{
		took: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pithos_engine_call_duration_seconds", Help: "Time of calls of the engine: of its metadata (meta) and its bytes (blob).", Buckets: shortSeconds,
		}, []string{"store", "call"})),
		errors: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_engine_call_errors_total", Help: "Calls of the engine that failed: unavailable, unknown_outcome, corrupt, full, other.",
		}, []string{"store", "call", "error"})),
		bytes: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_blob_bytes_total", Help: "Bytes of blobs that were read and written.",
		}, []string{"direction"})),
	}
	c.bytes.WithLabelValues("read")
	c.bytes.WithLabelValues("written")
	return c
}

// Call counts a call of the engine. store is "meta" or "blob"; failure is the
// kind of failure, "" if the call succeeded.
func (m *Metrics) Call(store, call string, took time.Duration, failure string) {
	m.calls.took.WithLabelValues(store, call).Observe(took.Seconds())
	if failure != "" {
		m.calls.errors.WithLabelValues(store, call, failure).Inc()
	}
}

// BlobBytes counts bytes of blobs.
func (m *Metrics) BlobBytes(read, written int) {
	if read > 0 {
		m.calls.bytes.WithLabelValues("read").Add(float64(read))
	}
	if written > 0 {
		m.calls.bytes.WithLabelValues("written").Add(float64(written))
	}
}
