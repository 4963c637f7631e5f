package metatest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

var whole = meta.Share{Of: 1}

var walkContracts = []contract{
	{"VersionsOfEveryKeyAreVisitedNewestFirst", testWalkVersions},
	{"PayloadsAreReadIfAskedFor", testWalkPayloads},
	{"KeysWithoutVersionsAreNot", func(s *suite) {
		b := s.bucket()
		s.add(b.ID, "gone")
		s.remove(b.ID, "gone")
		s.equal("versions", len(s.walked(b.ID, false, 1)), 0)
	}},
	{"UploadsAreVisitedInEveryState", testWalkUploads},
	{"EveryQueueEntryIsVisited", func(s *suite) {
		mine := map[meta.ID]meta.QueueEntry{}
		for _, due := range []time.Duration{-time.Hour, 0, 30 * time.Hour} {
			e := s.enqueue(time.Now().Add(due))
			mine[e.Entry] = e
		}
		for part := range 5 {
			s.ok(s.Walk(s.ctx, meta.Share{Part: part, Of: 5}, meta.Visitor{QueueEntry: func(e meta.QueueEntry) error {
				if want, ok := mine[e.Entry]; ok {
					s.equal("entry", e, want)
					delete(mine, e.Entry)
				}
				return nil
			}}))
		}
		s.equal("entries that were not visited", len(mine), 0)
	}},
	{"VisitedQueueEntriesMayBeDropped", func(s *suite) {
		e := s.enqueue(time.Now())
		s.ok(s.Walk(s.ctx, whole, meta.Visitor{QueueEntry: func(found meta.QueueEntry) error {
			if found.Entry != e.Entry {
				return nil
			}
			return s.Drop(s.ctx, found)
		}}))
		s.equal("due", len(s.due(e.Due, e)), 0)
	}},
	{"OneWalkVisitsSeveralKinds", func(s *suite) {
		b := s.bucket()
		s.add(b.ID, "k")
		u := uploadOf(b.ID, "k")
		s.ok(s.CreateUpload(s.ctx, u))
		e := s.enqueue(time.Now())
		home, shared := s.sharedBlob()
		s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{shared}, []meta.QueuedBlob{home}))
		var found []string
		note := func(kind string, is bool) error {
			if is && !slices.Contains(found, kind) {
				found = append(found, kind)
			}
			return nil
		}
		s.ok(s.Walk(s.ctx, whole, meta.Visitor{
			Version:    func(r meta.VersionRow) error { return note("version", r.Bucket == b.ID) },
			Upload:     func(got meta.Upload, _ []meta.Part) error { return note("upload", got.ID == u.ID) },
			QueueEntry: func(got meta.QueueEntry) error { return note("entry", got.Entry == e.Entry) },
			Reference:  func(r meta.QueuedBlob) error { return note("reference", r.Blob == home.Blob) },
		}))
		slices.Sort(found) // a store of several regions visits one after another
		s.equal("kinds", found, []string{"entry", "reference", "upload", "version"})
	}},
	{"EveryReferenceIsVisited", func(s *suite) {
		home, e := s.sharedBlob()
		s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{e}, []meta.QueuedBlob{home}))
		mine := map[meta.ID]meta.QueuedBlob{}
		for part := range 3 {
			s.ok(s.Walk(s.ctx, meta.Share{Part: part, Of: 3}, meta.Visitor{Reference: func(b meta.QueuedBlob) error {
				if b.Blob == home.Blob {
					mine[b.Ref] = b
				}
				return nil
			}}))
		}
		s.equal("references", mine, map[meta.ID]meta.QueuedBlob{home.Ref: home, e.Blob.Ref: e.Blob})
	}},
	{"NothingIsLeftOfADroppedListing", testDropListing},
	{"TheVisitorsErrorEndsAWalk", func(s *suite) {
		b := s.bucket()
		s.add(b.ID, "k")
		s.enqueue(time.Now())
		s.ok(s.CreateUpload(s.ctx, uploadOf(b.ID, "k")))
		enough, visits := errors.New("enough"), 0
		s.is(s.Walk(s.ctx, whole, meta.Visitor{Version: func(meta.VersionRow) error { return enough }}), enough)
		s.is(s.Walk(s.ctx, whole, meta.Visitor{Upload: func(meta.Upload, []meta.Part) error { return enough }}), enough)
		s.is(s.Walk(s.ctx, whole, meta.Visitor{QueueEntry: func(meta.QueueEntry) error { visits++; return enough }}), enough)
		s.equal("queue entries visited", visits, 1)
	}},
	{"SharesThatCannotBeAreRefused", func(s *suite) {
		for _, share := range []meta.Share{{}, {Part: -1, Of: 2}, {Part: 2, Of: 2}} {
			if err := s.Walk(s.ctx, share, meta.Visitor{Version: func(meta.VersionRow) error { return nil }}); err == nil {
				s.Errorf("%+v is walked", share)
			}
		}
	}},
}

// walked returns what n shares visit of a bucket's versions, as key and Seq.
func (s *suite) walked(bucket meta.BucketID, payload bool, n int) []meta.VersionRow {
	s.Helper()
	var rows []meta.VersionRow
	seen := map[string]bool{}
	for part := range n {
		s.ok(s.Walk(s.ctx, meta.Share{Part: part, Of: n}, meta.Visitor{Payload: payload, Version: func(r meta.VersionRow) error {
			name := fmt.Sprint(r.Key, r.Seq)
			if r.Bucket == bucket && !seen[name] {
				rows, seen[name] = append(rows, r), true
			}
			return nil
		}}))
	}
	return rows
}

func testWalkVersions(s *suite) {
	b := s.bucket()
	want := map[string][]meta.Version{}
	revs := map[string]int64{}
	for _, key := range []string{"a", "a\x00", "a\x00b", "é/\xf4\x8f\xbf\xbf", "z"} {
		for range 2 {
			want[key] = append(bare(s.add(b.ID, key)), want[key]...)
		}
		revs[key] = s.read(b.ID, key).Rev
	}
	marker := s.mark(b.ID, "z")
	revs["z"] = marker
	for _, shares := range []int{1, 7} {
		got, last := map[string][]meta.Version{}, ""
		for _, r := range s.walked(b.ID, false, shares) {
			if r.Key != last && got[r.Key] != nil {
				s.Fatalf("the versions of %q are not visited one after another", r.Key)
			}
			last = r.Key
			s.equal("revision of "+r.Key, r.Rev, revs[r.Key])
			if r.Seq == marker {
				s.equal("delete marker", r.DeleteMarker, true)
				continue
			}
			got[r.Key] = append(got[r.Key], r.Version)
		}
		s.equal(fmt.Sprintf("versions in %d shares", shares), got, want)
	}
}

func testWalkPayloads(s *suite) {
	b := s.bucket()
	v := s.add(b.ID, "k")
	rows := s.walked(b.ID, true, 3)
	s.equal("versions", len(rows), 1)
	s.equal("version", rows[0].Version, v)
}

func testWalkUploads(s *suite) {
	b := s.bucket()
	uploads := map[meta.UploadID]meta.Upload{}
	parts := map[meta.UploadID]int{}
	for i, state := range []meta.UploadState{meta.UploadOpen, meta.UploadCompleting, meta.UploadDone, meta.UploadAborted} {
		u := uploadOf(b.ID, "key of "+string(state))
		s.ok(s.CreateUpload(s.ctx, u))
		for n := range i {
			s.ok(s.PutPart(s.ctx, u, meta.Part{Number: n + 1, Size: 5, ETag: "e", Modified: 1}))
		}
		if state != meta.UploadOpen {
			var err error
			u, err = s.SetUploadState(s.ctx, u, state)
			s.ok(err)
		}
		uploads[u.ID], parts[u.ID] = u, i
	}
	for part := range 4 {
		s.ok(s.Walk(s.ctx, meta.Share{Part: part, Of: 4}, meta.Visitor{Upload: func(u meta.Upload, p []meta.Part) error {
			if want, ok := uploads[u.ID]; ok {
				s.equal("upload", u, want)
				s.equal("parts of the one that is "+string(u.State), len(p), parts[u.ID])
				delete(uploads, u.ID)
			}
			return nil
		}}))
	}
	s.equal("uploads that were not visited", len(uploads), 0)
}

func testDropListing(s *suite) {
	kept, b := s.bucket(), s.bucket()
	s.add(kept.ID, "k")
	s.add(b.ID, "k")
	s.remove(b.ID, "k")
	_, err := s.Begin(s.ctx, b.ID, "never committed", 100, true)
	s.ok(err)
	b = s.setState(b, meta.BucketDeleting)
	empty, err := s.Empty(s.ctx, b.ID)
	s.ok(err)
	s.equal("empty", empty, true)
	s.ok(s.RemoveBucket(s.ctx, b))
	for range 2 { // the second time there is nothing to drop
		s.ok(s.DropListing(s.ctx, meta.ListingPart{Bucket: b.ID}))
	}
	_, _ = s.Begin(s.ctx, b.ID, "late", 200, false) // may be refused, and must leave nothing
	for part := range 3 {
		s.ok(s.Walk(s.ctx, meta.Share{Part: part, Of: 3}, meta.Visitor{ListingPart: func(p meta.ListingPart) error {
			if p.Bucket == b.ID {
				s.Errorf("part %s of the listing is left", p.Part)
			}
			return nil
		}}))
	}
	entries, _, err := s.Scan(s.ctx, kept.ID, meta.ScanOptions{Limit: 10})
	s.ok(err)
	s.equal("keys of another bucket", len(entries), 1)
}
