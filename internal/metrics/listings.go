package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Listings is what Cassandra's listings cost beside the answers.
type Listings struct {
	// Splits are the shards that were replaced by two, Repairs the pending
	// rows that were settled because nobody else did.
	Splits, Repairs int64
	// Behind is how many rows are being written behind the answers.
	Behind int64
}

// Listings adds a store to those that are shown, all together. read is called
// whenever somebody asks, until the function that is returned was: from then
// on what it counted last goes on counting.
func (m *Metrics) Listings(read func() Listings) (remove func()) { return m.listings.add(read) }

type listings struct {
	mu    sync.Mutex
	reads []*func() Listings
	past  Listings // of stores that are closed
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
