package observe

import (
	"github.com/cockroachdb/pebble/v2"
	dto "github.com/prometheus/client_model/go"

	"github.com/pithos/pithos/internal/metrics"
)

// Pebble adds the metrics of a Pebble database under a name. Call remove before
// the database is closed.
func (o *Observer) Pebble(name string, read func() *pebble.Metrics) (remove func()) {
	return o.metrics.Database(name, func() metrics.Database { return fromPebble(read()) })
}

// Listings adds the metrics of the maintenance of Cassandra's listings.
func (o *Observer) Listings(read func() metrics.Listings) (remove func()) {
	return o.metrics.Listings(read)
}

func fromPebble(m *pebble.Metrics) metrics.Database {
	d := metrics.Database{
		DiskBytes: m.DiskSpaceUsage(), MemTableBytes: m.MemTable.Size,
		L0: m.Levels[0].TablesCount, ReadAmplification: m.ReadAmp(),
		CompactionDebt: m.Compact.EstimatedDebt, Compactions: m.Compact.Count, Failed: m.Compact.FailedCount,
		CompactionTime: m.Compact.Duration, Flushes: m.Flush.Count,
		CacheBytes: m.BlockCache.Size, CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		WALBytes: m.WAL.BytesWritten,
	}
	for i := range m.Levels {
		d.Tables += m.Levels[i].TablesCount
	}
	var syncs dto.Metric
	if h := m.LogWriter.FsyncLatency; h != nil && h.Write(&syncs) == nil && syncs.Histogram != nil {
		d.SyncCount = syncs.Histogram.GetSampleCount()
		d.SyncSeconds = syncs.Histogram.GetSampleSum() / 1e9 // Pebble observes nanoseconds
	}
	return d
}
