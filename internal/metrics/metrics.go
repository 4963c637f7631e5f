package metrics

import (
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options bound the numbers of label values.
type Options struct {
	// Buckets is the number of buckets with metrics of their own; 0: none.
	Buckets int
	// AccessKeys is the number of access keys with metrics of their own; 0: none.
	AccessKeys int
}

// Metrics are all metrics of one process. All methods may be called
// concurrently.
type Metrics struct {
	registry *prometheus.Registry
	requests requests
	calls    calls
	driver   driver
	gc       gc
	jobs     jobs
	listings *listings
	reloads  *prometheus.CounterVec
}

// New returns new metrics.
func New(o Options) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.requests = newRequests(m.registry, o)
	m.calls = newCalls(m.registry)
	m.driver = newDriver(m.registry)
	m.gc = newGC(m.registry)
	m.jobs = newJobs(m.registry)
	m.listings = register(m.registry, &listings{})
	m.reloads = register(m.registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pithos_reloads_total", Help: "Reloads of configuration and certificates, by result (done, refused).",
	}, []string{"result"}))
	m.reloads.WithLabelValues("done")
	m.reloads.WithLabelValues("refused")
	return m
}

// register adds a collector, which must be a new one.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	r.MustRegister(c)
	return c
}

// Build sets the version of the binary.
func (m *Metrics) Build(version, commit string) {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "pithos_build_info", Help: "The running version; the value is always 1.",
	}, []string{"version", "commit", "go"})
	info.WithLabelValues(version, commit, runtime.Version()).Set(1)
	m.registry.MustRegister(info)
}

// Reloaded counts a reload of the configuration.
func (m *Metrics) Reloaded(err error) {
	result := "done"
	if err != nil {
		result = "refused"
	}
	m.reloads.WithLabelValues(result).Inc()
}

// Gauge adds a gauge that is read at each scrape. read may be called
// concurrently.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Counter is Gauge for values that only grow.
func (m *Metrics) Counter(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
}

// Handler serves /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Gatherer returns the source of the metrics, for tests and for other exporters.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Names returns the names of all metrics, sorted, also of those without a value
// yet. A histogram has its own name and those of its parts.
func (m *Metrics) Names() []string {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		m.registry.Describe(descriptions)
		close(descriptions)
	}()
	var names []string
	for d := range descriptions {
		// A description has its name in its text only.
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		names = append(names, name)
		if strings.HasSuffix(name, "_seconds") {
			names = append(names, name+"_bucket", name+"_count", name+"_sum")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
