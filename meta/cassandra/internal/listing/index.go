package listing

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// Options of an Index. Now and Log must be set.
type Options struct {
	// Now is the clock. No answer depends on it.
	Now func() time.Time
	// RepairAfter is the age at which a pending row that a listing reads is
	// repaired; default one minute.
	RepairAfter time.Duration
	// ShardRows is about how many rows a shard may have before it is split;
	// default 50,000.
	ShardRows int
	// FinishAfter is how long a gateway waits for another one to finish the
	// replacement of a shard before it does that itself; default 30 s.
	FinishAfter time.Duration
	// Log gets the failures of asynchronous work.
	Log *zap.Logger

	broken rule // set only by tests of this package
}

// Heads is what listings need of the heads of keys.
type Heads interface {
	// ReadSerial reads the newest versions of a key by Paxos.
	ReadSerial(ctx context.Context, bucket meta.BucketID, key string, limit int) (meta.Head, error)
	// Fence is that of [meta.Objects].
	Fence(ctx context.Context, bucket meta.BucketID, key string, rev int64, o meta.ReadOptions) (meta.Head, error)
}

// Index has the listings of all buckets.
type Index struct {
	cql.DB
	heads Heads
	o     Options

	shards     shardCache
	writer     *indexWriter
	maintainer *shardMaintainer
	lateWrites *lateWriteRepairer
	repairs    repairs
	counts     counters

	// Requests of concurrent changes in one shard are coalesced.
	announcer  *cql.Coalescer[shardName, []listingRow, struct{}]
	sealReader *cql.Coalescer[shardName, struct{}, seal]

	copyPage int // rows that a copy of a shard reads at once
}

// New returns the listings of a keyspace, and starts their maintenance.
func New(db cql.DB, heads Heads, o Options) *Index {
	if o.RepairAfter <= 0 {
		o.RepairAfter = time.Minute
	}
	if o.ShardRows <= 0 {
		o.ShardRows = 50_000
	}
	if o.FinishAfter <= 0 {
		o.FinishAfter = 30 * time.Second
	}
	s := &Index{DB: db, heads: heads, o: o, copyPage: 1000}
	s.maintainer = newShardMaintainer(s)
	s.lateWrites = newLateWriteRepairer(s)
	s.shards.onChange = s.lateWrites.onSeal
	s.writer = newIndexWriter(s)
	s.announcer = cql.NewCoalescer(s.announceRows)
	s.sealReader = cql.NewCoalescer(func(ctx context.Context, in shardName, _ []struct{}) (seal, error) {
		seal, err := s.readSeal(ctx, in.bucket, in.shard)
		if err == nil && !seal.copied {
			s.shards.touch(in.bucket, in.shard)
		}
		return seal, err
	})
	return s
}

// Flush waits until all final rows are written.
func (s *Index) Flush(ctx context.Context) error { return s.writer.flush(ctx) }

// Close stops the asynchronous work, after the final rows are written or ctx has
// ended. Other gateways finish what the maintenance was doing.
func (s *Index) Close(ctx context.Context) error {
	s.lateWrites.close()
	s.maintainer.close()
	err := s.writer.flush(ctx)
	s.writer.stop()
	return err
}
