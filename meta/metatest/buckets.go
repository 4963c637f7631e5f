package metatest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

var bucketContracts = []contract{
	{"NotFound", func(s *suite) {
		_, err := s.Bucket(s.ctx, "none-"+meta.NewID().String())
		s.is(err, meta.ErrNotFound)
		s.is(s.UpdateBucket(s.ctx, bucketOf("none-"+meta.NewID().String(), "o"), 1), meta.ErrNotFound)
		s.is(s.RemoveBucket(s.ctx, bucketOf("none-"+meta.NewID().String(), "o")), meta.ErrNotFound)
	}},
	{"KeepsEveryField", testBucketKeepsEveryField},
	{"CreateReturnsTheExistingOne", func(s *suite) {
		old := s.bucket()
		got, err := s.CreateBucket(s.ctx, bucketOf(old.Name, "another owner"))
		s.is(err, meta.ErrExists)
		s.equal("existing bucket", got, old)
		got, err = s.Bucket(s.ctx, old.Name)
		s.ok(err)
		s.equal("bucket", got, old)
	}},
	{"CreateRaceHasOneWinner", testCreateRace},
	{"UpdateNeedsTheRevision", testUpdateNeedsTheRevision},
	{"RacingUpdatesLoseNothing", testRacingUpdates},
	{"RemoveNeedsRevisionAndID", testRemoveNeedsRevision},
	{"RecreatedShowsNothingOld", testRecreatedBucket},
	{"ListIsByOwnerAndPaged", testListBuckets},
	{"EmptyTellsVersionsAndMarkers", testEmpty},
	{"EmptyShutsOutChangesBegunBefore", testEmptyShutsOut},
	{"StateCanGoBackToActive", testStateGoesBack},
	{"ChangesNeedTheBucket", func(s *suite) {
		id := meta.NewID()
		s.is(commit(s.ctx, s.Store, id, "k", plan("k", meta.Head{}, 100, []meta.Version{version(100)})), meta.ErrBucketGone)
	}},
	{"DeleteAgainstPutIsNeverBoth", testDeleteAgainstPut},
}

func testBucketKeepsEveryField(s *suite) {
	b := bucketOf("full-"+meta.NewID().String(), "owner é\U0010ffff")
	b.Config = full[meta.BucketConfig]()
	got, err := s.CreateBucket(s.ctx, b)
	s.ok(err)
	s.equal("created", got, b)
	got, err = s.Bucket(s.ctx, b.Name)
	s.ok(err)
	s.equal("read", got, b)
	list, err := s.ListBuckets(s.ctx, b.Owner, b.Name[:len(b.Name)-1], 1000)
	s.ok(err)
	s.equal("listed", list[0], b.Listed())
	rev := b.Rev
	b.Rev, b.Config = rev+2, meta.BucketConfig{Versioning: "Suspended"}
	s.ok(s.UpdateBucket(s.ctx, b, rev))
	got, err = s.Bucket(s.ctx, b.Name)
	s.ok(err)
	s.equal("with its configuration cleared", got, b)
}

func testCreateRace(s *suite) {
	const n = 8
	for range max(1, s.rounds/8) {
		name := "race-" + meta.NewID().String()
		got := make([]meta.Bucket, n)
		errs := race(n, func(i int) (err error) {
			got[i], err = s.CreateBucket(s.ctx, bucketOf(name, fmt.Sprint("tenant-", i)))
			return err
		})
		if w := s.winners(errs, meta.ErrExists); w != 1 {
			s.Fatalf("%d winners", w)
		}
		b, err := s.Bucket(s.ctx, name)
		s.ok(err)
		for i := range got {
			s.equal("what a racer was told", got[i], b)
		}
	}
}

func testUpdateNeedsTheRevision(s *suite) {
	old := s.bucket()
	b := old
	b.Rev, b.Config.Versioning = old.Rev+10, "Enabled"
	s.is(s.UpdateBucket(s.ctx, b, old.Rev-1), meta.ErrConflict)
	other := b
	other.ID = meta.NewID()
	s.is(s.UpdateBucket(s.ctx, other, old.Rev), meta.ErrConflict)
	got, err := s.Bucket(s.ctx, b.Name)
	s.ok(err)
	s.equal("after refused updates", got, old)

	s.ok(s.UpdateBucket(s.ctx, b, old.Rev))
	got, err = s.Bucket(s.ctx, b.Name)
	s.ok(err)
	s.equal("after the update", got, b)
	b.Rev++
	s.is(s.UpdateBucket(s.ctx, b, old.Rev), meta.ErrConflict)
}

func testRacingUpdates(s *suite) {
	b := s.bucket()
	const workers, each = 4, 3
	errs := race(workers, func(i int) error {
		for n := range each {
			if err := s.addTag(b.Name, fmt.Sprint(i, "-", n)); err != nil {
				return err
			}
		}
		return nil
	})
	s.ok(errors.Join(errs...))
	got, err := s.Bucket(s.ctx, b.Name)
	s.ok(err)
	if len(got.Config.Tags) != workers*each {
		s.Fatalf("%d of %d updates are there", len(got.Config.Tags), workers*each)
	}
}

func (s *suite) addTag(name, tag string) error {
	for {
		b, err := s.Bucket(s.ctx, name)
		if err != nil {
			return err
		}
		rev := b.Rev
		b.Rev = meta.NextRev(rev, time.Now())
		b.Config.Tags = append(b.Config.Tags, meta.Tag{Key: tag})
		if err = s.UpdateBucket(s.ctx, b, rev); !errors.Is(err, meta.ErrConflict) {
			return err
		}
	}
}

// setState sets the state of b and returns the bucket as it then is.
func (s *suite) setState(b meta.Bucket, state meta.BucketState) meta.Bucket {
	s.Helper()
	rev := b.Rev
	b.Rev, b.State = meta.NextRev(rev, time.Now()), state
	s.ok(s.UpdateBucket(s.ctx, b, rev))
	return b
}

func testRemoveNeedsRevision(s *suite) {
	old := s.bucket()
	b := s.setState(old, meta.BucketDeleting)
	empty, err := s.Empty(s.ctx, b.ID)
	s.ok(err)
	s.equal("empty", empty, true)
	s.is(s.RemoveBucket(s.ctx, old), meta.ErrConflict)
	other := b
	other.ID = meta.NewID()
	if err := s.RemoveBucket(s.ctx, other); !errors.Is(err, meta.ErrConflict) && !errors.Is(err, meta.ErrNotFound) {
		s.Fatalf("removing another life of the bucket: %v", err)
	}
	s.ok(s.RemoveBucket(s.ctx, b))
	s.is(s.RemoveBucket(s.ctx, b), meta.ErrNotFound)
	_, err = s.Bucket(s.ctx, b.Name)
	s.is(err, meta.ErrNotFound)
}

func testRecreatedBucket(s *suite) {
	b := s.bucket()
	s.add(b.ID, "old")
	s.remove(b.ID, "old")
	b = s.setState(b, meta.BucketDeleting)
	empty, err := s.Empty(s.ctx, b.ID)
	s.ok(err)
	s.equal("empty", empty, true)
	s.ok(s.RemoveBucket(s.ctx, b))

	again, err := s.CreateBucket(s.ctx, bucketOf(b.Name, "another tenant"))
	s.ok(err)
	list, err := s.ListBuckets(s.ctx, b.Owner, "", 10)
	s.ok(err)
	s.equal("buckets of the old owner", len(list), 0)
	keys, _, err := s.Scan(s.ctx, again.ID, meta.ScanOptions{Limit: 10, All: true})
	s.ok(err)
	s.equal("keys", len(keys), 0)
	h := s.read(b.ID, "old")
	c := plan("old", h, meta.NextRev(h.Rev, time.Now()), nil)
	c = plan("old", h, c.Rev, []meta.Version{version(c.Rev)})
	s.is(commit(s.ctx, s.Store, b.ID, "old", c), meta.ErrBucketGone)
	s.is(s.CreateUpload(s.ctx, uploadOf(b.ID, "k")), meta.ErrBucketGone)
	s.add(again.ID, "new")
}

func testListBuckets(s *suite) {
	owner := "owner-" + meta.NewID().String()
	prefix := "l-" + meta.NewID().String()
	var want []string
	for _, end := range []string{"-c", "-a", "", "-b", "-a-1"} {
		_, err := s.CreateBucket(s.ctx, bucketOf(prefix+end, owner))
		s.ok(err)
		_, err = s.CreateBucket(s.ctx, bucketOf(prefix+end+"-other", owner+"-other"))
		s.ok(err)
		want = append(want, prefix+end)
	}
	slices.Sort(want)
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for after := ""; ; {
			page, err := s.ListBuckets(s.ctx, owner, after, limit)
			s.ok(err)
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				s.Fatalf("%d buckets for a limit of %d", len(page), limit)
			}
			got = append(got, names(page)...)
			after = page[len(page)-1].Name
		}
		s.equal(fmt.Sprint("buckets by pages of ", limit), got, want)
	}
	ofAll, err := s.ListBuckets(s.ctx, "", prefix, 9)
	s.ok(err)
	for _, listed := range append(ofAll, s.owned(owner)...) {
		whole, err := s.Bucket(s.ctx, listed.Name)
		s.ok(err)
		s.equal("a listed bucket", listed, whole.Listed())
	}
	found := names(ofAll)
	if !slices.IsSorted(found) || len(found) != 9 || found[0] != prefix+"-a" || found[8] != prefix+"-other" {
		s.Fatalf("buckets of all owners after %q are %q", prefix, found)
	}
}

// owned are up to nine buckets of an owner, one of them with large settings.
func (s *suite) owned(owner string) []meta.Bucket {
	list, err := s.ListBuckets(s.ctx, owner, "", 9)
	s.ok(err)
	b, err := s.Bucket(s.ctx, list[0].Name)
	s.ok(err)
	was := b.Rev
	b.Rev = meta.NextRev(was, time.Now())
	b.Config.Documents = map[string][]byte{"cors": make([]byte, 64<<10)}
	s.ok(s.UpdateBucket(s.ctx, b, was))
	list, err = s.ListBuckets(s.ctx, owner, "", 9)
	s.ok(err)
	return list
}

func names(buckets []meta.Bucket) []string {
	var out []string
	for _, b := range buckets {
		out = append(out, b.Name)
	}
	return out
}

func testEmpty(s *suite) {
	for _, c := range []struct {
		name  string
		fill  func(bucket meta.BucketID)
		empty bool
	}{
		{"new", func(meta.BucketID) {}, true},
		{"a version", func(b meta.BucketID) { s.add(b, "k") }, false},
		{"a delete marker alone", func(b meta.BucketID) { s.mark(b, "k") }, false},
		{"a key that is gone", func(b meta.BucketID) { s.add(b, "k"); s.remove(b, "k") }, true},
		{"a change that was only begun", func(b meta.BucketID) { s.begin(b, "k", 100) }, true},
		{"a fence", func(b meta.BucketID) { s.fence(b, "k", 100) }, true},
	} {
		b := s.bucket()
		c.fill(b.ID)
		s.setState(b, meta.BucketDeleting)
		empty, err := s.Empty(s.ctx, b.ID)
		s.ok(err)
		s.equal("empty with "+c.name, empty, c.empty)
	}
}

func testEmptyShutsOut(s *suite) {
	b := s.bucket()
	c := plan("k", meta.Head{}, meta.NextRev(0, time.Now()), nil)
	c = plan("k", meta.Head{}, c.Rev, []meta.Version{version(c.Rev)})
	p := s.begin(b.ID, "k", c.Rev)
	s.setState(b, meta.BucketDeleting)
	empty, err := s.Empty(s.ctx, b.ID)
	s.ok(err)
	s.equal("empty", empty, true)
	s.is(p.Commit(s.ctx, c), meta.ErrBucketDeleting)
	s.is(s.CreateUpload(s.ctx, uploadOf(b.ID, "k")), meta.ErrBucketDeleting)
	s.equal("versions", len(s.read(b.ID, "k").Versions), 0)
	s.equal("listing", s.keys(b.ID), []string(nil))
}

func testStateGoesBack(s *suite) {
	b := s.bucket()
	s.add(b.ID, "k")
	b = s.setState(b, meta.BucketDeleting)
	empty, err := s.Empty(s.ctx, b.ID)
	s.ok(err)
	s.equal("empty", empty, false)
	s.setState(b, meta.BucketActive)
	s.add(b.ID, "l")
	s.equal("listing", s.keys(b.ID), []string{"k", "l"})
}

// testDeleteAgainstPut races the deletion of a bucket against a PUT: either
// the bucket was not empty, or the PUT was refused.
func testDeleteAgainstPut(s *suite) {
	for range s.rounds {
		b := s.bucket()
		var empty bool
		var putErr error
		errs := race(2, func(i int) (err error) {
			if i == 0 {
				c := plan("k", meta.Head{}, 100, []meta.Version{version(100)})
				putErr = commit(s.ctx, s.Store, b.ID, "k", c)
				return nil
			}
			rev, d := b.Rev, b
			d.Rev, d.State = rev+2, meta.BucketDeleting
			if err = s.UpdateBucket(s.ctx, d, rev); err == nil {
				empty, err = s.Empty(s.ctx, b.ID)
			}
			return err
		})
		s.ok(errors.Join(errs...))
		s.winners([]error{putErr}, meta.ErrBucketDeleting)
		if empty == (putErr == nil) {
			s.Fatalf("the PUT ended with %v, and the bucket was empty: %v", putErr, empty)
		}
		s.equal("versions", len(s.read(b.ID, "k").Versions) == 0, empty)
	}
}
