package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gc are the metrics of the garbage collector.
type gc struct {
	passes  *prometheus.CounterVec
	entries *prometheus.CounterVec
	took    prometheus.Histogram
	last    prometheus.Gauge
	overdue prometheus.Gauge
	held    prometheus.Gauge
}

func newGC(r prometheus.Registerer) gc {
	c := gc{
		passes: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_gc_passes_total", Help: "Passes of the collector, by result (done, failed)."}, []string{"result"})),
		entries: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_gc_entries_total", Help: "Queue entries that the collector looked at, those whose blob it deleted, and those it postponed."}, []string{"what"})),
		took: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pithos_gc_pass_duration_seconds", Help: "Time of a pass of the collector.", Buckets: []float64{0.01, 0.1, 1, 10, 60, 600, 3600}})),
		last: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pithos_gc_last_success_timestamp_seconds", Help: "When the collector last went through its queue without an error; 0: never."})),
		overdue: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pithos_gc_queue_overdue_seconds", Help: "How long the entry was overdue that had waited longest, at the last pass."})),
		held: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pithos_gc_held_seconds", Help: "For how much longer backups keep blobs from being deleted unless they end or are renewed; 0: none does."})),
	}
	for _, result := range []string{"done", "failed"} {
		c.passes.WithLabelValues(result)
	}
	for _, what := range []string{"looked", "deleted", "postponed"} {
		c.entries.WithLabelValues(what)
	}
	return c
}

// Collected is the result of one pass of the collector.
type Collected struct {
	Looked, Deleted, Postponed int
	// Overdue is the time since the oldest entry was due.
	Overdue time.Duration
	Took    time.Duration
	Err     error
}

// Held sets for how much longer backups keep blobs from being deleted; 0 if none
// does.
func (m *Metrics) Held(left time.Duration) { m.gc.held.Set(left.Seconds()) }

// ShowCollected shows the last pass by any gateway: how long the entry was
// overdue that had waited longest, and the time of the last pass without an
// error.
func (m *Metrics) ShowCollected(overdue time.Duration, succeeded time.Time) {
	m.gc.overdue.Set(overdue.Seconds())
	m.gc.last.Set(unixSeconds(succeeded))
}

// Collected counts a pass.
func (m *Metrics) Collected(c Collected) {
	m.gc.took.Observe(c.Took.Seconds())
	m.gc.entries.WithLabelValues("looked").Add(float64(c.Looked))
	m.gc.entries.WithLabelValues("deleted").Add(float64(c.Deleted))
	m.gc.entries.WithLabelValues("postponed").Add(float64(c.Postponed))
	m.gc.overdue.Set(c.Overdue.Seconds())
	if c.Err != nil {
		m.gc.passes.WithLabelValues("failed").Inc()
		return
	}
	m.gc.passes.WithLabelValues("done").Inc()
	m.gc.last.SetToCurrentTime()
}
