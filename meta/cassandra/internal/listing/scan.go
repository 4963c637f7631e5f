package listing

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// maxSparseShards is how many shards with less than half a page of keys one page may
// read completely before they are checked for a merge.
const maxSparseShards = 2

// Scan implements [meta.Listings].
func (s *Index) Scan(ctx context.Context, bucket meta.BucketID, o meta.ScanOptions) (entries []meta.Entry, more bool, err error) {
	kinds := []int8{visible}
	if o.All {
		kinds = append(kinds, history)
	}
	err = s.walk(ctx, bucket, o.From, o.To, min(o.Limit, cql.MaxLimit)+1, kinds, func(keys []resolved, end bool) bool {
		for _, k := range keys {
			several := o.All && k.several
			if k.entry == nil && !several {
				continue
			}
			if len(entries) >= o.Limit {
				more = true
				return false
			}
			if entries == nil {
				entries = make([]meta.Entry, 0, min(o.Limit, len(keys)))
			}
			if several {
				entries = append(entries, meta.Entry{Key: k.key, HasOlderVersions: true})
			} else {
				entries = append(entries, *k.entry)
			}
		}
		more = len(entries) >= o.Limit && !end
		return !more
	})
	if err != nil {
		return nil, false, cql.Wrap(err, "scan bucket")
	}
	return entries, more, nil
}

// resolved is the final result for one key.
type resolved struct {
	key   string
	entry *meta.Entry
	// several reports that the key has, or may have, more versions than entry.
	several bool
}

// walk passes the keys from from on, below to, to visit, about n at a time, until
// visit returns false or the range ends (end is true then).
func (s *Index) walk(ctx context.Context, bucket meta.BucketID, from, to string, n int, kinds []int8, visit func(keys []resolved, end bool) bool) error {
	if err := meta.CheckText(from, to); err != nil {
		return err
	}
	if n <= 1 || to != "" && from >= to {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var ahead *readahead
	defer func() {
		cancel()
		ahead.wait() // its page is not needed
	}()
	short := 0
	for low := from; ; {
		var p page
		var err error
		r := s.shards.rangeOf(bucket, low)
		if ahead != nil && ahead.low == low {
			p, err = ahead.wait()
			ahead = nil
		} else {
			ahead.wait()
			ahead = s.readAhead(ctx, bucket, low, to, n, kinds)
			p, err = s.readPage(ctx, bucket, low, to, n, kinds)
		}
		if err != nil {
			return err
		}
		whole := len(p.rows) == 0 || low <= r.low
		if whole && p.bound != to && len(p.rows) < min(n, cql.MaxPageRows)/2 {
			short++
		}
		s.shards.markSparse(bucket, r.shard, whole && p.bound != to && len(p.rows) < min(n, cql.MaxPageRows)/4)
		if short == maxSparseShards {
			s.maintainer.recordSparse(bucket, low, s.shards.rangeOf(bucket, low).shard)
		}
		keys, err := s.resolve(ctx, bucket, p.rows)
		if err != nil {
			return err
		}
		if end := p.bound == to; !visit(keys, end) || end {
			return nil
		}
		low = p.bound
	}
}

// readahead is a page that is read concurrently with the page before it.
type readahead struct {
	low  string
	p    page
	err  error
	done chan struct{}
}

func (a *readahead) wait() (page, error) {
	if a == nil {
		return page{}, nil
	}
	<-a.done
	return a.p, a.err
}

// readAhead begins to read what follows the shard of low, if that shard was sparse
// when it was last read. It returns nil otherwise.
func (s *Index) readAhead(ctx context.Context, bucket meta.BucketID, low, to string, n int, kinds []int8) *readahead {
	r := s.shards.rangeOf(bucket, low)
	if r.high == "" || to != "" && r.high >= to || !s.shards.lastSeen(bucket, r.shard).sparse {
		return nil
	}
	a := &readahead{low: r.high, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.p, a.err = s.readPage(ctx, bucket, a.low, to, n, kinds)
	}()
	return a
}

// resolve returns the results of a page's rows. It reads the heads of keys whose
// rows do not tell them.
func (s *Index) resolve(ctx context.Context, bucket meta.BucketID, rows []readRow) ([]resolved, error) {
	keys := make([]resolved, 0, len(rows))
	entries := make([]meta.Entry, len(rows))
	var asked []int
	for i, r := range rows {
		if n := len(keys); n > 0 && keys[n-1].key == r.key {
			keys[n-1].several = true // the history row: visible rows sort first
			continue
		}
		k, known, err := r.resolved(&entries[i])
		if err != nil {
			return nil, err
		}
		if !known {
			s.repairIfOld(bucket, r)
			asked = append(asked, len(keys))
		}
		keys = append(keys, k)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cql.ConcurrentReads)
	for _, i := range asked {
		g.Go(func() error { return s.resolveAtHead(gctx, bucket, &keys[i]) })
	}
	return keys, g.Wait()
}

// resolved returns the result of a row alone, if that is known. It decodes the
// entry into e.
func (r *readRow) resolved(e *meta.Entry) (k resolved, known bool, err error) {
	k = resolved{key: r.key, several: r.kind == history}
	if r.kind == history {
		return k, true, nil
	}
	switch r.state {
	case stateLive:
	case stateGone:
		return k, true, nil
	default:
		return k, false, nil
	}
	k.entry = e
	if err := meta.Unmarshal(r.doc, e); err != nil {
		return k, false, fmt.Errorf("listing row of %q: %w", r.key, err)
	}
	k.entry.Key = r.key
	k.several, k.entry.HasOlderVersions = k.several || k.entry.HasOlderVersions, false
	return k, true, nil
}

// resolveAtHead resolves a key at its head, by a read with Paxos: a change may be
// decided that a plain read does not show yet, and that another reader saw.
func (s *Index) resolveAtHead(ctx context.Context, bucket meta.BucketID, k *resolved) error {
	h, err := s.heads.ReadSerial(ctx, bucket, k.key, 2)
	if err != nil {
		return err
	}
	v := h.Current()
	if v != nil && !v.DeleteMarker {
		k.entry = meta.EntryOf(k.key, v)
	}
	if len(h.Versions) > 1 || v != nil && v.DeleteMarker {
		k.several = true
	}
	return nil
}
