package listing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

var (
	loadKeys  = flag.Int("load", 1500, "how many keys the load test puts into a bucket")
	loadShard = flag.Int("load-shard", 200, "Options.ShardRows of the load test")
	loadBulk  = flag.Bool("load-bulk", false, "let the load test change 100 keys at a time, their heads by plain writes: the listing is written as ever, without Paxos")
)

// loadWorkers is how many keys a gateway is given concurrently.
const loadWorkers = 32

// load is a bucket that is being filled through several gateways.
type load struct {
	stores []*gateway
	bucket meta.BucketID
	names  []string // of all keys, in order
	order  []int    // in which the keys are put
	next   atomic.Int64

	mu    sync.Mutex
	acked []bool
}

// TestEveryKeyIsListedOnceWhileABucketIsFilled fills a bucket through two gateways under
// concurrent listings: each key that was acknowledged before a listing began is in it
// exactly once, and the keys are in order. A long run:
//
//	go test ./meta/cassandra/internal/listing -run BucketIsFilled -load 1000000 -load-shard 50000 -timeout 3h -v
func TestEveryKeyIsListedOnceWhileABucketIsFilled(t *testing.T) {
	for _, order := range []string{"sequential", "random"} {
		t.Run(order, func(t *testing.T) {
			c, keyspace := cqltest.NewKeyspace(t)
			l := newLoad(*loadKeys, order == "random")
			for range 3 {
				l.stores = append(l.stores, openGateway(t, cqltest.NewSession(t, c, keyspace), keyspace, Options{ShardRows: *loadShard}))
			}
			l.bucket = newBucket(t, l.stores[0], "load").ID
			l.run(t)
		})
	}
}

func newLoad(n int, random bool) *load {
	l := &load{acked: make([]bool, n)}
	for i := range n {
		l.names = append(l.names, fmt.Sprintf("logs/2026/%09d", i))
		l.order = append(l.order, i)
	}
	if random {
		rand.Shuffle(n, func(i, j int) { l.order[i], l.order[j] = l.order[j], l.order[i] })
	}
	return l
}

func (l *load) run(t *testing.T) {
	start := time.Now()
	filling, ctx := errgroup.WithContext(t.Context())
	for i := range 2 * loadWorkers {
		filling.Go(func() error { return l.fill(ctx, l.stores[i%2]) })
	}
	var lists, listed int
	filled := make(chan error, 1)
	go func() { filled <- filling.Wait() }()
	for ended := false; !ended; lists++ {
		select {
		case err := <-filled:
			must(t, err)
			t.Logf("%d keys in %v", len(l.names), time.Since(start).Round(time.Millisecond))
			ended = true // and one more listing
		default:
		}
		began := time.Now()
		n, err := l.list(t.Context(), l.stores[lists%3])
		must(t, err)
		listed += n
		if testing.Verbose() {
			t.Logf("%v: %d keys begun; a listing of %d took %v", time.Since(start).Round(time.Second), min(int(l.next.Load()), len(l.order)), n, time.Since(began).Round(time.Millisecond))
		}
	}
	must(t, errors.Join(l.stores[0].Flush(t.Context()), l.stores[1].Flush(t.Context())))
	waitIdle(t, l.stores...)
	if n, err := l.list(t.Context(), l.stores[2]); err != nil || n != len(l.names) {
		t.Errorf("at the end %d of %d keys are listed, %v", n, len(l.names), err)
	}
	t.Logf("%d listings showed %d keys; %d shards", lists, listed, len(shardBounds(t, l.stores[2], l.bucket))+1)
}

// fill puts keys until there is none left.
func (l *load) fill(ctx context.Context, s *gateway) error {
	some := 1
	if *loadBulk {
		some = 100
	}
	for {
		from := int(l.next.Add(int64(some))) - some
		if from >= len(l.order) {
			return nil
		}
		these := l.order[from:min(from+some, len(l.order))]
		err := retryUnavailable(ctx, func() error {
			if !*loadBulk {
				return cqltest.PutInline(ctx, s, l.bucket, l.names[these[0]], nil)
			}
			keys := make([]string, len(these))
			for n, i := range these {
				keys[n] = l.names[i]
			}
			return changeMany(ctx, s, l.bucket, keys, true)
		})
		// A conflict: an earlier attempt with an unknown outcome was applied.
		if err != nil && !errors.Is(err, meta.ErrConflict) {
			return err
		}
		l.mu.Lock()
		for _, i := range these {
			l.acked[i] = true
		}
		l.mu.Unlock()
	}
}

// changeMany does what PUTs of new keys do, or DELETEs, step by step for all of them
// together, but changes the heads by plain writes.
func changeMany(ctx context.Context, s *gateway, bucket meta.BucketID, keys []string, put bool) error {
	rev := meta.NextRev(0, time.Now())
	shards := map[meta.ID][]*Pending{}
	var all []*Pending
	for _, key := range keys {
		p := &Pending{s: s.Index, bucket: bucket, key: key, rev: rev, shard: s.shards.locate(bucket, key)}
		all, shards[p.shard] = append(all, p), append(shards[p.shard], p)
	}
	for len(shards) > 0 {
		sealed := map[meta.ID][]*Pending{}
		for shard, ps := range shards {
			if err := announceMany(ctx, s, bucket, shard, ps); err != nil {
				return err
			}
			seal, err := s.readSeal(ctx, bucket, shard)
			if err != nil {
				return err
			}
			for _, p := range ps {
				if seal.sealed {
					p.shard = s.shardAfterSeal(ctx, bucket, shard, seal, p.key)
					sealed[p.shard] = append(sealed[p.shard], p)
				}
			}
		}
		shards = sealed
	}
	return commitMany(ctx, s, bucket, all, put)
}

func announceMany(ctx context.Context, s *gateway, bucket meta.BucketID, shard meta.ID, ps []*Pending) error {
	var rows []listingRow
	for _, p := range ps {
		rows = append(rows, listingRow{kind: visible, key: p.key, rev: p.rev, state: statePending})
	}
	return s.putRows(ctx, bucket, shard, rows)
}

func commitMany(ctx context.Context, s *gateway, bucket meta.BucketID, all []*Pending, put bool) error {
	var heads []gocql.BatchEntry
	var rows []shardRow
	for _, p := range all {
		if !put {
			heads = append(heads, cql.Statement(`DELETE FROM @.object WHERE bucket_id = ? AND key = ?`, bucket[:], p.key))
			rows = append(rows, p.resultRows(meta.Change{Rev: p.rev}, nil)...)
			continue
		}
		c := putChange(meta.Head{}, p.rev, p.key, "0123456789abcdef0123456789abcdef")
		version, err := meta.Marshal(c.Put[0])
		if err != nil {
			return err
		}
		doc, err := encodeEntry(c.Entry, false)
		if err != nil {
			return err
		}
		heads = append(heads, cql.Statement(`INSERT INTO @.object (bucket_id, key, rev, null_seq, commit_id, seq, doc, listed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			bucket[:], p.key, c.Rev, c.NullSeq, c.ID[:], p.rev, version, doc))
		rows = append(rows, p.resultRows(c, doc)...)
	}
	if err := s.ExecBatch(ctx, heads); err != nil {
		return err
	}
	s.writer.add(ctx, rows...)
	return nil
}

// lastTrue returns the index of the last true; -1 if there is none.
func lastTrue(all []bool) int {
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] {
			return i
		}
	}
	return -1
}

// list lists the bucket and compares it with what was acknowledged before.
func (l *load) list(ctx context.Context, s *gateway) (n int, err error) {
	l.mu.Lock()
	before := slices.Clone(l.acked)
	l.mu.Unlock()
	// Up to the last of them: a listing would never reach the end of keys that are
	// written in order.
	to := ""
	if last := lastTrue(before); last+1 < len(before) {
		to = l.names[last+1]
	}
	missing := 0 // the first key that has not been checked
	for from, more := "", true; more; {
		var entries []meta.Entry
		if err := retryUnavailable(ctx, func() (err error) {
			entries, more, err = s.Scan(ctx, l.bucket, meta.ScanOptions{From: from, To: to, Limit: 1000})
			return err
		}); err != nil {
			return n, err
		}
		for _, e := range entries {
			i, ok := slices.BinarySearch(l.names, e.Key)
			if !ok || i < missing {
				return n, fmt.Errorf("%q after %q: unknown, twice, or out of order", e.Key, from)
			}
			if at := slices.Index(before[missing:i], true); at >= 0 {
				return n, fmt.Errorf("%q was acknowledged and is not listed: %q follows %q", l.names[missing+at], e.Key, from)
			}
			missing, from, n = i+1, e.Key+"\x00", n+1
		}
	}
	if at := slices.Index(before[missing:], true); at >= 0 {
		return n, fmt.Errorf("%q was acknowledged and is not listed: the listing ends at the key %d", l.names[missing+at], missing)
	}
	return n, nil
}
