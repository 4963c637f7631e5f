package engine

import (
	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/cassandra"
	"github.com/pithos/pithos/internal/metrics"
	"github.com/pithos/pithos/meta"
	metacassandra "github.com/pithos/pithos/meta/cassandra"
)

// observedMeta decorates the metadata store, if there is an observer.
func (o *OpenOptions) observedMeta(s meta.Store) meta.Store {
	if o.Observe == nil {
		return s
	}
	return o.Observe.Meta(s)
}

// observedBlobs decorates the blob stores, if there is an observer.
func (o *OpenOptions) observedBlobs(stores map[string]blob.Store) map[string]blob.Store {
	if o.Observe == nil {
		return stores
	}
	observed := make(map[string]blob.Store, len(stores))
	for name, s := range stores {
		observed[name] = o.Observe.Blob(s)
	}
	return observed
}

// driverObserver observes the driver of Cassandra; nil if there is no observer.
func (o *OpenOptions) driverObserver() cassandra.Observer {
	if o.Observe == nil {
		return nil // not an interface that holds a nil pointer
	}
	return o.Observe
}

// showPebble exports the metrics of a Pebble database until the engine closes.
func (op *opening) showPebble(name string, read func() *pebble.Metrics) {
	if observer := op.options.Observe; observer != nil {
		op.closeLater(ended(observer.Pebble(name, read)))
	}
}

// showListings exports the counters of the listing's asynchronous work until the
// engine closes.
func (op *opening) showListings(s *metacassandra.Store) {
	if observer := op.options.Observe; observer != nil {
		op.closeLater(ended(observer.Listings(func() metrics.Listings { return metrics.Listings(s.Counts()) })))
	}
}

func ended(end func()) func() error {
	return func() error {
		end()
		return nil
	}
}
