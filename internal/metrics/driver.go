package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// driver are the metrics of Cassandra's driver.
type driver struct {
	took     *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	connects *prometheus.CounterVec
	nodes    *nodes
}

func newDriver(r prometheus.Registerer) driver {
	d := driver{
		took: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pithos_cassandra_statement_duration_seconds", Help: "Time of Cassandra's answers, by kind of statement (cas: conditional) and table.", Buckets: shortSeconds,
		}, []string{"statement", "table"})),
		errors: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_cassandra_statement_errors_total", Help: "Statements that failed: timeout, unavailable, overloaded, connection, cancelled, other.",
		}, []string{"statement", "table", "error"})),
		connects: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pithos_cassandra_connects_total", Help: "Connections that were made to Cassandra, by result (done, failed).",
		}, []string{"result"})),
		nodes: &nodes{},
	}
	d.connects.WithLabelValues("done")
	d.connects.WithLabelValues("failed")
	r.MustRegister(d.nodes)
	return d
}

// Statement counts a statement. failure is the kind of failure; "" for none.
func (m *Metrics) Statement(kind, table string, took time.Duration, failure string) {
	m.driver.took.WithLabelValues(kind, table).Observe(took.Seconds())
	if failure != "" {
		m.driver.errors.WithLabelValues(kind, table, failure).Inc()
	}
}

// Connect counts an attempt to connect to a node.
func (m *Metrics) Connect(err error) {
	result := "done"
	if err != nil {
		result = "failed"
	}
	m.driver.connects.WithLabelValues(result).Inc()
}

// Node is the state of one node of Cassandra.
type Node struct {
	Address string
	// Connections is the number of open connections, Waiting the number of
	// requests without an answer yet.
	Connections, Waiting int
	// Silence is the time since the node last sent anything, while it has a
	// request to answer.
	Silence time.Duration
}

// Nodes adds nodes. read is called at each scrape, until the function that Nodes
// returns is called.
func (m *Metrics) Nodes(read func() []Node) (remove func()) { return m.driver.nodes.add(read) }

// nodes collects the figures of nodes. If several sessions have connections to a
// node, their figures are added.
type nodes struct {
	mu    sync.Mutex
	reads []*func() []Node
}

var (
	nodeConnections = prometheus.NewDesc("pithos_cassandra_connections", "Open connections to a node.", []string{"node"}, nil)
	nodeWaiting     = prometheus.NewDesc("pithos_cassandra_requests_waiting", "Requests that a node has not answered yet.", []string{"node"}, nil)
	nodeSilence     = prometheus.NewDesc("pithos_cassandra_node_silence_seconds", "How long a node has owed an answer and sent nothing.", []string{"node"}, nil)
)

func (n *nodes) add(read func() []Node) (remove func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reads = append(n.reads, &read)
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		for i, r := range n.reads {
			if r == &read {
				n.reads = append(n.reads[:i:i], n.reads[i+1:]...)
				return
			}
		}
	}
}

// Describe implements [prometheus.Collector].
func (n *nodes) Describe(out chan<- *prometheus.Desc) {
	out <- nodeConnections
	out <- nodeWaiting
	out <- nodeSilence
}

// Collect implements [prometheus.Collector].
func (n *nodes) Collect(out chan<- prometheus.Metric) {
	for _, node := range n.sum() {
		out <- prometheus.MustNewConstMetric(nodeConnections, prometheus.GaugeValue, float64(node.Connections), node.Address)
		out <- prometheus.MustNewConstMetric(nodeWaiting, prometheus.GaugeValue, float64(node.Waiting), node.Address)
		out <- prometheus.MustNewConstMetric(nodeSilence, prometheus.GaugeValue, node.Silence.Seconds(), node.Address)
	}
}

func (n *nodes) sum() map[string]Node {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]Node{}
	for _, read := range n.reads {
		for _, node := range (*read)() {
			have := all[node.Address]
			all[node.Address] = Node{node.Address, have.Connections + node.Connections, have.Waiting + node.Waiting, max(have.Silence, node.Silence)}
		}
	}
	return all
}
