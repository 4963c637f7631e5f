package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Listings are the figures of the maintenance of Cassandra's listings.
type Listings struct {
	// Splits is the number of shards that were replaced by two, Repairs that of
	// pending rows that were repaired since their writer did not finish them.
	Splits, Repairs int64
	// Behind is the number of rows that are being written asynchronously.
	Behind int64
}

// Listings adds a store; the figures of all stores are added. read is called at
// each scrape, until the function that Listings returns is called; after that
// the counters keep the store's last values.
func (m *Metrics) Listings(read func() Listings) (remove func()) { return m.listings.add(read) }

type listings struct {
	mu    sync.Mutex
	reads []*func() Listings
	past  Listings // of closed stores
}

var (
	shardSplits    = prometheus.NewDesc("pithos_shard_splits_total", "Shards of listings that this gateway replaced by two.", nil, nil)
	listingRepairs = prometheus.NewDesc("pithos_listing_repairs_total", "Pending rows of listings that were settled because their writer did not.", nil, nil)
	listingBehind  = prometheus.NewDesc("pithos_listing_rows_behind", "Rows of listings that are being written behind the answers.", nil, nil)
)

func (l *listings) add(read func() Listings) (remove func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads = append(l.reads, &read)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, r := range l.reads {
			if r == &read {
				last := read()
				l.past.Splits += last.Splits
				l.past.Repairs += last.Repairs
				l.reads = append(l.reads[:i:i], l.reads[i+1:]...)
				return
			}
		}
	}
}

// Describe implements [prometheus.Collector].
func (l *listings) Describe(out chan<- *prometheus.Desc) {
	out <- shardSplits
	out <- listingRepairs
	out <- listingBehind
}

// Collect implements [prometheus.Collector].
func (l *listings) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.past
	for _, read := range l.reads {
		now := (*read)()
		sum.Splits += now.Splits
		sum.Repairs += now.Repairs
		sum.Behind += now.Behind
	}
	out <- prometheus.MustNewConstMetric(shardSplits, prometheus.CounterValue, float64(sum.Splits))
	out <- prometheus.MustNewConstMetric(listingRepairs, prometheus.CounterValue, float64(sum.Repairs))
	out <- prometheus.MustNewConstMetric(listingBehind, prometheus.GaugeValue, float64(sum.Behind))
}
