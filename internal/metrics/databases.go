package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Database are the figures of an embedded database.
type Database struct {
	// DiskBytes is its size on disk, MemTableBytes that of its memtables.
	DiskBytes, MemTableBytes uint64
	// Tables is the number of its sorted files, L0 the number of those of the
	// level that new data are flushed to.
	Tables, L0 int64
	// ReadAmplification is the number of files that a read may need.
	ReadAmplification int
	// CompactionDebt is the number of bytes that are still to be compacted.
	CompactionDebt uint64
	// Compactions and Flushes are the numbers of those that have ended, Failed
	// that of failed compactions; CompactionTime is the time of all compactions.
	Compactions, Flushes, Failed int64
	CompactionTime               time.Duration
	// CacheBytes is the size of the block cache, which has the hits and misses.
	CacheBytes, CacheHits, CacheMisses int64
	// WALBytes is the number of bytes written to the log.
	WALBytes uint64
	// SyncCount is the number of fsyncs of the log, SyncSeconds the time of all
	// of them, in seconds.
	SyncCount   uint64
	SyncSeconds float64
}

// Database adds a database under a name. read is called at each scrape, until
// the function that Database returns is called.
func (m *Metrics) Database(name string, read func() Database) (remove func()) {
	d := &database{read: read}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"database": name}, m.registry)
	r.MustRegister(d)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.read = nil
		r.Unregister(d)
	}
}

type database struct {
	mu   sync.Mutex
	read func() Database
}

// databaseFigures are the metrics of a database.
var databaseFigures = []databaseFigure{
	figure("disk_bytes", "Bytes on disk.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.DiskBytes) }),
	figure("memtable_bytes", "Bytes of changes that are in memory (and in the log).", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.MemTableBytes) }),
	figure("tables", "Sorted files.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.Tables) }),
	figure("l0_tables", "Sorted files of level 0: many mean that compactions lag.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.L0) }),
	figure("read_amplification", "Files that one read may look at.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.ReadAmplification) }),
	figure("compaction_debt_bytes", "Bytes that are still to be compacted.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.CompactionDebt) }),
	figure("compactions_total", "Compactions that have ended.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.Compactions) }),
	figure("compactions_failed_total", "Compactions that failed.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.Failed) }),
	figure("compaction_seconds_total", "Time of all compactions together.", prometheus.CounterValue, func(d *Database) float64 { return d.CompactionTime.Seconds() }),
	figure("flushes_total", "Flushes of memory to a sorted file.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.Flushes) }),
	figure("cache_bytes", "Size of the block cache.", prometheus.GaugeValue, func(d *Database) float64 { return float64(d.CacheBytes) }),
	figure("cache_hits_total", "Blocks that were found in the cache.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.CacheHits) }),
	figure("cache_misses_total", "Blocks that were not found in the cache.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.CacheMisses) }),
	figure("wal_bytes_total", "Bytes that were written to the log.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.WALBytes) }),
	figure("wal_syncs_total", "Times that the log was synced to disk.", prometheus.CounterValue, func(d *Database) float64 { return float64(d.SyncCount) }),
	figure("wal_sync_seconds_total", "Time of all syncs of the log together.", prometheus.CounterValue, func(d *Database) float64 { return d.SyncSeconds }),
}

type databaseFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*Database) float64
}

func figure(name, help string, kind prometheus.ValueType, of func(*Database) float64) databaseFigure {
	return databaseFigure{prometheus.NewDesc("pithos_pebble_"+name, help, nil, nil), kind, of}
}

// Describe implements [prometheus.Collector].
func (d *database) Describe(out chan<- *prometheus.Desc) {
	for _, f := range databaseFigures {
		out <- f.desc
	}
}

// Collect implements [prometheus.Collector].
func (d *database) Collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.read == nil {
		return
	}
	now := d.read()
	for _, f := range databaseFigures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(&now))
	}
}
