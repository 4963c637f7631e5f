package listing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
	"github.com/pithos/pithos/meta/metatest"
)

var schedules = flag.Int("schedules", 300, "how many random schedules of the listing protocol to run")

// schedule is one run of writers, splitters, repairers and listings over a fake database, in
// an order that its seed decides: the driver's own code, with crashes at every step, clocks
// that disagree and stale caches. What a listing shows of a key must be a state that the
// key's head had between the listing's start and its end.
type schedule struct {
	rnd      *rand.Rand
	db       *historyDB
	gateways []*gateway
	keys     []string
	done     chan error
	empty    bool // the bucket was found empty while it was being deleted
	failures []error
}

func TestListingsAreExplainedByHeadsInEverySchedule(t *testing.T) {
	first := rand.Uint64()
	for i := range *schedules {
		seed := first + uint64(i)
		if failures := runSchedule(t, seed, noRule); len(failures) > 0 {
			t.Fatalf("schedule %d: %v", seed, errors.Join(failures...))
		}
	}
}

// runSchedule runs the schedule of a seed with one rule broken, and returns what
// went wrong.
func runSchedule(t *testing.T, seed uint64, broken rule) (failures []error) {
	synctest.Test(t, func(*testing.T) { failures = newSchedule(seed, broken).run() })
	return failures
}

func newSchedule(seed uint64, broken rule) *schedule {
	rnd := rand.New(rand.NewPCG(seed, 0))
	db := newHistoryDB(seed)
	db.LostResults = .05
	s := &schedule{rnd: rnd, db: db, done: make(chan error)}
	for range 1 + rnd.IntN(5) {
		s.keys = append(s.keys, []string{"k", ""}[rnd.IntN(2)]+metatest.RandomText(rnd, 2)+"x")
	}
	slices.Sort(s.keys)
	s.keys = slices.Compact(s.keys)
	for range 3 {
		skew := time.Duration(rnd.IntN(2000)-1000) * time.Microsecond
		g := newGateway(cqltest.Default(db), Options{
			Now: func() time.Time { return time.Now().Add(skew) }, RepairAfter: time.Millisecond,
			ShardRows: 1 + rnd.IntN(8), FinishAfter: 5 * time.Millisecond, broken: broken,
		})
		g.copyPage = 1 + rnd.IntN(3)
		s.gateways = append(s.gateways, g)
	}
	return s
}

// run runs all actors, lets the gateways finish, and lists the bucket once more
// through each. It returns what went wrong.
func (s *schedule) run() []error {
	s.act()
	if err := s.noneLeft(); err != nil {
		s.failures = append(s.failures, err)
	}
	ctx := cqltest.WithActor(context.Background(), &cqltest.Actor{Immortal: true})
	for _, g := range s.gateways {
		if err := errors.Join(s.list(ctx, g, "", true, 2), s.list(ctx, g, "", false, 2)); err != nil {
			s.failures = append(s.failures, fmt.Errorf("at the end: %w", err))
		}
	}
	for _, g := range s.gateways {
		if err := g.Close(); err != nil {
			s.failures = append(s.failures, err)
		}
	}
	return s.failures
}

// act starts all actors, each after some time, and waits for them.
func (s *schedule) act() {
	n := 0
	start := func(f func(context.Context, *gateway) error) {
		n++
		wait := time.Duration(s.rnd.IntN(8000)) * time.Microsecond
		g := s.gateways[s.rnd.IntN(len(s.gateways))]
		a := &cqltest.Actor{Slow: s.rnd.IntN(5) == 0}
		go func() {
			time.Sleep(wait)
			s.done <- f(cqltest.WithActor(context.Background(), a), g)
		}()
	}
	for range 2 + s.rnd.IntN(8) {
		key, kind := s.keys[s.rnd.IntN(len(s.keys))], s.rnd.IntN(4)
		start(func(ctx context.Context, g *gateway) error { return s.change(ctx, g, key, kind) })
	}
	for range s.rnd.IntN(4) {
		key, at := s.keys[s.rnd.IntN(len(s.keys))], s.keys[s.rnd.IntN(len(s.keys))]
		start(func(ctx context.Context, g *gateway) error { _ = g.split(ctx, s.db.bucket, key, at); return nil })
	}
	for range s.rnd.IntN(4) {
		key, more, cut := s.keys[s.rnd.IntN(len(s.keys))], s.rnd.IntN(4), s.rnd.IntN(2) == 0
		start(func(ctx context.Context, g *gateway) error { return s.replace(ctx, g, key, more, cut) })
	}
	for range 1 + s.rnd.IntN(5) {
		all, limit, prefix := s.rnd.IntN(2) == 0, 1+s.rnd.IntN(4), ""
		if s.rnd.IntN(2) == 0 {
			key := []rune(s.keys[s.rnd.IntN(len(s.keys))])
			prefix = string(key[:s.rnd.IntN(len(key))])
		}
		start(func(ctx context.Context, g *gateway) error { return s.list(ctx, g, prefix, all, limit) })
	}
	if s.rnd.IntN(3) == 0 {
		start(s.deleteBucket)
	}
	for range n {
		if err := <-s.done; err != nil && !errors.Is(err, cqltest.ErrDead) {
			s.failures = append(s.failures, err)
		}
	}
}

// replace replaces the shard of key, and some of its neighbours, by one. The last may be
// split in place.
func (s *schedule) replace(ctx context.Context, g *gateway, key string, more int, cut bool) error {
	r, seal, err := g.leaf(ctx, s.db.bucket, key)
	run := []shardRange{r}
	for ; err == nil && !seal.sealed && more > 0 && r.high != ""; more-- {
		if r, seal, err = g.leaf(ctx, s.db.bucket, r.high); r.low == run[len(run)-1].high {
			run = append(run, r)
		}
	}
	if err == nil && !seal.sealed {
		_ = g.replace(ctx, s.db.bucket, run, s.splitKeyIn(run[len(run)-1], cut))
	}
	return nil
}

// splitKeyIn returns the last key at which a shard can be split in place; "" if there is none, or
// none is wanted.
func (s *schedule) splitKeyIn(r shardRange, wanted bool) (at string) {
	for _, key := range s.keys {
		if wanted && key > r.low && r.covers(key) {
			at = key
		}
	}
	return at
}

// change makes a random change of a key, once.
func (s *schedule) change(ctx context.Context, g *gateway, key string, kind int) error {
	err := edit(ctx, g, s.db.bucket, key, kind == 3, func(h meta.Head, rev int64) meta.Change {
		rev = max(h.Rev+2, rev)
		switch kind {
		case 0:
			return deleteChange(h, rev)
		case 3:
			return markerChange(h, rev)
		}
		c := putChange(h, rev, key, "etag")
		c.History = kind == 2 && len(h.Versions) > 0
		if c.History {
			c.Delete = nil
		}
		return c
	})
	if errors.Is(err, meta.ErrUnknownOutcome) || errors.Is(err, meta.ErrBucketDeleting) {
		return nil
	}
	return err
}

// deleteBucket does what precedes the removal of a bucket. Once it has been
// found empty, no version may come.
func (s *schedule) deleteBucket(ctx context.Context, g *gateway) error {
	if err := s.db.Exec(ctx, putBucketState, "bucket", string(meta.BucketDeleting)); err != nil {
		return err
	}
	s.empty, _ = g.Empty(ctx, s.db.bucket)
	return nil
}

// noneLeft tells whether an empty bucket stayed so.
func (s *schedule) noneLeft() error {
	for key, past := range s.db.past {
		if s.empty && past[len(past)-1].count > 0 {
			return fmt.Errorf("%q is in a bucket that was found empty; its past: %v", key, past)
		}
	}
	return nil
}

// list lists the keys with prefix, by pages of limit, and compares.
func (s *schedule) list(ctx context.Context, g *gateway, prefix string, all bool, limit int) error {
	start := time.Now()
	shown := map[string]int64{} // the Seq, or 1 for "ask the versions"
	for from, more := prefix, true; more; {
		var err error
		var entries []meta.Entry
		entries, more, err = g.Scan(ctx, s.db.bucket, meta.ScanOptions{From: from, To: meta.Successor(prefix), Limit: limit, All: all})
		if err != nil {
			return err
		}
		for _, e := range entries {
			shown[e.Key] = 1
			if !e.HasOlderVersions {
				shown[e.Key] = e.Seq
			}
			from = e.Key + "\x00"
		}
	}
	return s.compare(shown, prefix, all, start, time.Now())
}

func (s *schedule) compare(shown map[string]int64, prefix string, all bool, start, end time.Time) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	for _, key := range s.keys {
		if !strings.HasPrefix(key, prefix) {
			if shown[key] != 0 {
				return fmt.Errorf("a listing of %q shows %q", prefix, key)
			}
			continue
		}
		past := append([]moment{{}}, s.db.past[key]...)
		if !explained(past, shown[key], all, start, end) {
			return fmt.Errorf("a listing (all %v) from %v to %v shows %q as %d; its past: %v", all, start, end, key, shown[key], past)
		}
	}
	return nil
}

// explained tells whether seq was shown rightly at some time from start to end.
func explained(past []moment, seq int64, all bool, start, end time.Time) bool {
	if seq == 1 {
		return true // may say so of any key
	}
	for i, m := range past {
		over := i+1 < len(past) && past[i+1].at.Before(start)
		if over || m.at.After(end) {
			continue
		}
		if m.seq == seq && (!all || m.count <= 1) || m.seq < 0 && seq == 0 && !all {
			return true
		}
	}
	return false
}
