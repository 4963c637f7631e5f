package listing

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

func listAll(t testing.TB, s *gateway, b meta.BucketID) []string {
	t.Helper()
	keys, _, err := s.Scan(t.Context(), b, meta.ScanOptions{Limit: 1000, All: true})
	must(t, err)
	var got []string
	for _, k := range keys {
		if !k.HasOlderVersions {
			got = append(got, k.Key)
		} else {
			got = append(got, k.Key+"*")
		}
	}
	return got
}

// commitAndCrash commits c without its asynchronous part.
func commitAndCrash(t *testing.T, s *gateway, p meta.Pending, c meta.Change) {
	t.Helper()
	must(t, p.(pendingChange).confirm(t.Context(), p.(pendingChange).steps(c)))
	must(t, s.heads.Change(t.Context(), p.(pendingChange).bucket, p.(pendingChange).key, c))
}

func begin(t *testing.T, s *gateway, b meta.BucketID, key string, history bool) (meta.Pending, meta.Head, int64) {
	t.Helper()
	h, err := s.Read(t.Context(), b, key, meta.ReadOptions{Limit: 10})
	must(t, err)
	rev := meta.NextRev(h.Rev, time.Now())
	p, err := s.Begin(t.Context(), b, key, rev, history)
	must(t, err)
	return p, h, rev
}

func TestListingIsRightAfterWriterCrashes(t *testing.T) {
	stores, b := gateways(t, 2, Options{})
	s, other := stores[0], stores[1]
	for _, key := range []string{"begun-over", "put-over", "deleted", "marked"} {
		must(t, put(t.Context(), s, b.ID, key, "old"))
	}
	begin(t, s, b.ID, "begun", false)
	begin(t, s, b.ID, "begun-over", true)
	p, h, rev := begin(t, s, b.ID, "put", false)
	commitAndCrash(t, s, p, putChange(h, rev, "put", "new"))
	p, h, rev = begin(t, s, b.ID, "put-over", false)
	commitAndCrash(t, s, p, putChange(h, rev, "put-over", "new"))
	p, h, rev = begin(t, s, b.ID, "deleted", false)
	commitAndCrash(t, s, p, deleteChange(h, rev))
	p, h, rev = begin(t, s, b.ID, "marked", true)
	commitAndCrash(t, s, p, markerChange(h, rev))
	must(t, s.Flush(t.Context()))
	for _, limit := range []int{1, 2, 100} {
		sameStrings(t, "visible", list(t, other, b.ID, limit), []string{"begun-over=old", "put=new", "put-over=new"})
	}
	sameStrings(t, "all", listAll(t, other, b.ID), []string{"begun-over*", "marked*", "put", "put-over"})
}

func TestListingRepairsOldPendingRows(t *testing.T) {
	stores, b := gateways(t, 1, Options{RepairAfter: time.Nanosecond})
	s := stores[0]
	must(t, put(t.Context(), s, b.ID, "kept", "old"))
	must(t, s.Flush(t.Context()))
	sleeper, h, rev := begin(t, s, b.ID, "kept", false)
	begin(t, s, b.ID, "never", true)
	p, gone, goneRev := begin(t, s, b.ID, "put", false)
	commitAndCrash(t, s, p, putChange(gone, goneRev, "put", "new"))
	for range 2 {
		sameStrings(t, "visible", list(t, s, b.ID, 10), []string{"kept=old", "put=new"})
		must(t, s.Flush(t.Context()))
	}
	pg, err := s.readPage(t.Context(), b.ID, "", "", 100, []int8{visible, history})
	must(t, err)
	for _, r := range pg.rows {
		if r.state != stateLive {
			t.Errorf("row %q of kind %d was not repaired", r.key, r.kind)
		}
	}
	if len(pg.rows) != 2 {
		t.Errorf("%d rows, want 2", len(pg.rows))
	}
	if err := sleeper.Commit(t.Context(), putChange(h, rev, "kept", "late")); !errors.Is(err, meta.ErrConflict) {
		t.Errorf("a writer that was delayed until after a repair: %v, want ErrConflict", err)
	}
	must(t, put(t.Context(), s, b.ID, "kept", "newer"))
	sameStrings(t, "visible", list(t, s, b.ID, 10), []string{"kept=newer", "put=new"})
}

func TestWritersFollowUnknownSeals(t *testing.T) {
	stores, b := gateways(t, 3, Options{})
	s, other, fresh := stores[0], stores[1], stores[2]
	ctx := t.Context()
	for _, key := range []string{"a", "b", "c", "d"} {
		must(t, put(ctx, s, b.ID, key, "1"))
	}
	sleeper, h, rev := begin(t, other, b.ID, "c", false)
	must(t, s.Flush(ctx))
	sealed, err := s.seal(ctx, b.ID, rootShard, newSeal("c", meta.NewID(), meta.NewID()))
	must(t, err)
	want := []string{"a=1", "b=1", "c=1", "d=1"}
	sameStrings(t, "sealed, not copied", list(t, fresh, b.ID, 3), want)
	must(t, sleeper.Commit(ctx, putChange(h, rev, "c", "2"))) // forwarded
	must(t, put(ctx, other, b.ID, "b", "2"))
	must(t, remove(ctx, other, b.ID, "d"))
	must(t, put(ctx, s, b.ID, "e", "1"))
	want = []string{"a=1", "b=2", "c=2", "e=1"}
	sameStrings(t, "sealed, written", list(t, fresh, b.ID, 2), want)
	must(t, other.Flush(ctx))
	sameStrings(t, "sealed, written, flushed", list(t, fresh, b.ID, 2), want)
	must(t, s.copyShard(ctx, b.ID, shardRange{shard: rootShard}, sealed))
	sameStrings(t, "copied", list(t, other, b.ID, 2), want)
	must(t, remove(ctx, fresh, b.ID, "a"))
	must(t, s.split(ctx, b.ID, "a", "aa"))
	must(t, other.split(ctx, b.ID, "z", "d"))
	must(t, put(ctx, fresh, b.ID, "aa", "1"))
	want = []string{"aa=1", "b=2", "c=2", "e=1"}
	for _, g := range stores {
		must(t, g.Flush(ctx))
		sameStrings(t, "split twice", list(t, g, b.ID, 1), want)
	}
}

func TestSplitKeyMustBeInsideTheShard(t *testing.T) {
	stores, b := gateways(t, 1, Options{})
	s := stores[0]
	must(t, s.split(t.Context(), b.ID, "a", "m"))
	for _, c := range []struct{ key, at string }{{"a", "m"}, {"a", "x"}, {"z", "m"}, {"z", "b"}, {"a", ""}} {
		if err := s.split(t.Context(), b.ID, c.key, c.at); err == nil {
			t.Errorf("the shard of %q was split at %q", c.key, c.at)
		}
	}
}

// churn has writers put and remove keys through all stores; after each answer another
// store's listing must show it. Concurrently it calls disturb. It retries while the
// database is unavailable.
func churn(t *testing.T, stores []*gateway, b meta.Bucket, disturb func(ctx context.Context) error) {
	t.Helper()
	const keys = 12
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	done := make(chan error, keys+1)
	for k := range keys {
		go func() { done <- churnKey(ctx, stores[k%2], stores[(k+1)%2], b.ID, fmt.Sprintf("k%02d", k)) }()
	}
	go func() { done <- disturb(ctx) }()
	for range keys + 1 {
		must(t, <-done)
	}
	sameStrings(t, "after all were removed", list(t, stores[0], b.ID, 5), nil)
	for _, s := range stores {
		must(t, s.Flush(ctx))
	}
	sameStrings(t, "and flushed", list(t, stores[1], b.ID, 5), nil)
}

func churnKey(ctx context.Context, s, other *gateway, b meta.BucketID, key string) error {
	for round := range 6 {
		etag := fmt.Sprint(round)
		if err := retryUnavailable(ctx, func() error { return put(ctx, s, b, key, etag) }); err != nil {
			return err
		}
		var entries []meta.Entry
		err := retryUnavailable(ctx, func() (err error) {
			entries, _, err = other.Scan(ctx, b, meta.ScanOptions{From: key, To: key + "\x00", Limit: 1})
			return err
		})
		if err == nil && (len(entries) != 1 || entries[0].ETag != etag) {
			err = fmt.Errorf("%s after round %d: %v", key, round, entries)
		}
		if err != nil {
			return err
		}
	}
	return retryUnavailable(ctx, func() error { return remove(ctx, s, b, key) })
}

func TestListingsAreRightWhileShardsSplitUnderWriters(t *testing.T) {
	stores, b := gateways(t, 2, Options{})
	churn(t, stores, b, func(ctx context.Context) error {
		for _, at := range []string{"k06", "k03", "k09", "k01"} {
			if err := stores[0].split(ctx, b.ID, at, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestEmptyFailsChangesThatBeganBefore(t *testing.T) {
	stores, b := gateways(t, 2, Options{})
	s, other := stores[0], stores[1]
	ctx := t.Context()
	must(t, put(ctx, s, b.ID, "gone", "1"))
	must(t, remove(ctx, s, b.ID, "gone"))
	p, h, rev := begin(t, other, b.ID, "late", false)
	late := p.(pendingChange)
	must(t, late.confirm(ctx, late.steps(meta.Change{}))) // has seen the bucket active, and is delayed
	must(t, s.Exec(ctx, putBucketState, b.Name, string(meta.BucketDeleting)))
	empty, err := s.Empty(ctx, b.ID)
	must(t, err)
	if !empty {
		t.Fatal("a bucket without versions is not empty")
	}
	if err := other.heads.Change(ctx, b.ID, "late", putChange(h, rev, "late", "1")); !errors.Is(err, meta.ErrConflict) {
		t.Errorf("a change that was delayed until after Empty: %v, want ErrConflict", err)
	}
	if err := put(ctx, other, b.ID, "later", "1"); !errors.Is(err, meta.ErrBucketDeleting) {
		t.Errorf("a change that began after: %v, want ErrBucketDeleting", err)
	}
}

func TestEmptyResolvesPendingRows(t *testing.T) {
	stores, b := gateways(t, 1, Options{})
	s := stores[0]
	p, h, rev := begin(t, s, b.ID, "died", false)
	commitAndCrash(t, s, p, putChange(h, rev, "died", "1"))
	if empty, err := s.Empty(t.Context(), b.ID); err != nil || empty {
		t.Errorf("a bucket whose only row is pending over a version: empty %v, %v", empty, err)
	}
	must(t, remove(t.Context(), s, b.ID, "died"))
	must(t, edit(t.Context(), s, b.ID, "marked", true, markerChange))
	must(t, s.Flush(t.Context()))
	if empty, err := s.Empty(t.Context(), b.ID); err != nil || empty {
		t.Errorf("a bucket with a delete marker: empty %v, %v", empty, err)
	}
	must(t, edit(t.Context(), s, b.ID, "marked", false, deleteChange))
	must(t, s.Flush(t.Context()))
	if empty, err := s.Empty(t.Context(), b.ID); err != nil || !empty {
		t.Errorf("a bucket whose delete marker was removed: empty %v, %v", empty, err)
	}
	sameStrings(t, "all", listAll(t, s, b.ID), nil)
}
