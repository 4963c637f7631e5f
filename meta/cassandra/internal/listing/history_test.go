package listing

import (
	"sync"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// historyDB is a database in memory with one bucket. It records the history of each
// key's head.
type historyDB struct {
	*cqltest.DB
	bucket meta.BucketID

	mu   sync.Mutex
	past map[string][]moment
}

// moment says which version was current from a time on (negative: a delete marker), and
// how many versions there were.
type moment struct {
	at    time.Time
	seq   int64
	count int
}

func newHistoryDB(seed uint64) *historyDB {
	d := &historyDB{DB: cqltest.New(seed), bucket: meta.NewID(), past: map[string][]moment{}}
	d.Apply(putBucketID, d.bucket[:], "bucket")
	d.Apply(putBucketState, "bucket", string(meta.BucketActive))
	d.AfterCAS = d.record
	return d
}

func (d *historyDB) record(table string, partition []any) {
	if table != "object" {
		return
	}
	now := moment{at: time.Now()}
	for _, r := range d.Peek(`SELECT seq, doc FROM @.object WHERE bucket_id = ? AND key = ?`, partition...) {
		seq, ok := r[0].(int64)
		if !ok {
			continue // no version
		}
		if now.count++; now.count > 1 {
			continue
		}
		now.seq = seq
		v := meta.Version{}
		if err := meta.Unmarshal(r[1].([]byte), &v); err != nil || v.DeleteMarker {
			now.seq = -seq
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := partition[1].(string)
	past := d.past[key]
	if n := len(past); n == 0 || past[n-1].seq != now.seq || past[n-1].count != now.count {
		d.past[key] = append(past, now)
	}
}
