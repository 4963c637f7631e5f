package metatest

import (
	"context"
	"errors"
	"time"

	"github.com/pithos/pithos/meta"
)

var fenceContracts = []contract{
	{"FailsEarlierChanges", testFenceFailsEarlier},
	{"OfAnUnknownKey", testFenceUnknown},
	{"RaisesAboveTheRevisionOfTheKey", func(s *suite) {
		b := s.bucket()
		v := s.add(b.ID, "k")
		h := s.fence(b.ID, "k", 1)
		if h.Rev <= v.Seq {
			s.Fatalf("fenced at %d, below the revision %d", h.Rev, v.Seq)
		}
		s.equal("head", s.read(b.ID, "k"), h)
	}},
	{"AgainstCommitIsNeverBoth", testFenceAgainstCommit},
}

func (s *suite) fence(bucket meta.BucketID, key string, rev int64) meta.Head {
	s.Helper()
	h, err := s.Fence(s.ctx, bucket, key, rev, all)
	s.ok(err)
	return h
}

func testFenceFailsEarlier(s *suite) {
	b := s.bucket()
	s.add(b.ID, "k")
	before := s.read(b.ID, "k")
	rev := meta.NextRev(before.Rev, time.Now())
	p := s.begin(b.ID, "k", rev)
	h := s.fence(b.ID, "k", rev)
	if h.Rev <= rev {
		s.Fatalf("fenced at %d, not above %d", h.Rev, rev)
	}
	s.equal("versions at the fence", h.Versions, before.Versions)
	s.is(p.Commit(s.ctx, plan("k", before, rev, []meta.Version{version(rev)})), meta.ErrConflict)
	// Nor does a revision above the fence help a condition below it.
	late := h.Rev + 1000
	s.is(commit(s.ctx, s.Store, b.ID, "k", plan("k", before, late, []meta.Version{version(late)})), meta.ErrConflict)
	s.equal("head", s.read(b.ID, "k"), h)
	s.equal("listing", s.keys(b.ID), []string{"k"})
	s.ok(commit(s.ctx, s.Store, b.ID, "k", plan("k", h, late, []meta.Version{version(late)})))
}

func testFenceUnknown(s *suite) {
	b := s.bucket()
	rev := meta.NextRev(0, time.Now())
	p := s.begin(b.ID, "k", rev)
	h := s.fence(b.ID, "k", rev)
	if h.Rev <= rev || len(h.Versions) != 0 {
		s.Fatalf("head at the fence: %+v", h)
	}
	s.is(p.Commit(s.ctx, plan("k", meta.Head{}, rev, []meta.Version{version(rev)})), meta.ErrConflict)
	s.equal("head", s.read(b.ID, "k"), h)
	s.equal("listing", s.keys(b.ID), []string(nil))
	keys, _, err := s.Scan(s.ctx, b.ID, meta.ScanOptions{Limit: 10, All: true})
	s.ok(err)
	s.noVersions(b.ID, keys)
	s.add(b.ID, "k")
	s.equal("listing", s.keys(b.ID), []string{"k"})
}

// noVersions holds that keys, which a scan of all returned, have no versions: a
// driver that is not sure may name such keys, as if they had older versions.
func (s *suite) noVersions(bucket meta.BucketID, keys []meta.Entry) {
	s.Helper()
	for _, k := range keys {
		versions, err := s.Versions(s.ctx, bucket, k.Key, 0, 1)
		s.ok(err)
		if !k.HasOlderVersions || len(versions) > 0 {
			s.Fatalf("a scan of all shows %+v, with the versions %+v", k, versions)
		}
	}
}

func testFenceAgainstCommit(s *suite) {
	b := s.bucket()
	for range s.rounds {
		before := s.read(b.ID, "k")
		rev := meta.NextRev(before.Rev, time.Now())
		c := plan("k", before, rev, []meta.Version{version(rev)}, seqs(before.Versions)...)
		var at meta.Head
		var committed error
		errs := race(2, func(i int) (err error) {
			if i == 0 {
				committed = commit(s.ctx, s.Store, b.ID, "k", c)
				return nil
			}
			at, err = s.Fence(s.ctx, b.ID, "k", rev, all)
			return err
		})
		s.ok(errors.Join(errs...))
		s.winners([]error{committed}, meta.ErrConflict)
		seen := len(at.Versions) == 1 && at.Versions[0].Seq == rev
		if seen != (committed == nil) {
			s.Fatalf("the fence saw the change: %v; it ended with %v", seen, committed)
		}
	}
}

var guardContracts = []contract{
	{"ClaimedEntryFailsTheChange", func(s *suite) {
		s.testGuard(meta.ErrClaimed, func(e meta.QueueEntry) error { return s.Claim(s.ctx, e) })
	}},
	{"DroppedEntryFailsTheChange", func(s *suite) {
		s.testGuard(meta.ErrClaimed, func(e meta.QueueEntry) error { return s.Drop(s.ctx, e) })
	}},
	{"UnclaimedEntriesLetItThrough", func(s *suite) {
		s.testGuard(nil, func(meta.QueueEntry) error { return nil })
	}},
	{"ClaimAgainstCommitIsNeverBoth", testClaimAgainstCommit},
}

// entryOf is a queue entry for a blob of key that was due a moment ago.
func entryOf(bucket meta.BucketID, key string) meta.QueueEntry {
	return meta.QueueEntry{
		Due:   time.Now().UTC().Truncate(time.Microsecond).Add(-time.Second),
		Entry: meta.NewID(), Kind: meta.QueueFresh,
		Blob: meta.QueuedBlob{Store: "s", Blob: meta.NewID(), Bucket: bucket, Key: key},
	}
}

// testGuard commits a change guarded by two entries after what was done to
// the second one.
func (s *suite) testGuard(want error, done func(meta.QueueEntry) error) {
	b := s.bucket()
	guard := []meta.QueueEntry{entryOf(b.ID, "k"), entryOf(b.ID, "k")}
	s.ok(s.Enqueue(s.ctx, guard...))
	s.Cleanup(func() { s.ok(s.Drop(context.Background(), guard...)) })
	rev := meta.NextRev(0, time.Now())
	p := s.begin(b.ID, "k", rev)
	s.ok(done(guard[1]))
	c := plan("k", meta.Head{}, rev, []meta.Version{version(rev)})
	c.Guard = guard
	s.is(p.Commit(s.ctx, c), want)
	wantKeys := []string{"k"}
	if want != nil {
		wantKeys = nil
	}
	s.equal("listing", s.keys(b.ID), wantKeys)
	s.equal("versions", len(s.read(b.ID, "k").Versions), len(wantKeys))
}

// testClaimAgainstCommit does what the collector does, claim and then fence,
// against a change that the entry guards: if the collector does not see the
// change at its fence, the change fails.
func testClaimAgainstCommit(s *suite) {
	b := s.bucket()
	for range s.rounds {
		before := s.read(b.ID, "k")
		rev := meta.NextRev(before.Rev, time.Now())
		c := plan("k", before, rev, []meta.Version{version(rev)}, seqs(before.Versions)...)
		e := entryOf(b.ID, "k")
		c.Guard = []meta.QueueEntry{e}
		s.ok(s.Enqueue(s.ctx, e))
		var at meta.Head
		var committed error
		errs := race(2, func(i int) (err error) {
			if i == 0 {
				committed = commit(s.ctx, s.Store, b.ID, "k", c)
				return nil
			}
			if err = s.Claim(s.ctx, e); err == nil {
				at, err = s.Fence(s.ctx, b.ID, "k", rev, all)
			}
			return err
		})
		s.ok(errors.Join(errs...))
		s.ok(s.Drop(s.ctx, e))
		s.winners([]error{committed}, meta.ErrConflict, meta.ErrClaimed)
		seen := len(at.Versions) == 1 && at.Versions[0].Seq == rev
		if seen != (committed == nil) {
			s.Fatalf("the collector saw the change: %v; it ended with %v", seen, committed)
		}
	}
}
