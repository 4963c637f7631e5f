package metatest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

var referenceContracts = []contract{
	{"OfABlobThatIsNotSharedAreNone", func(s *suite) {
		found, err := s.References(s.ctx, meta.QueuedBlob{Blob: meta.NewID(), Bucket: s.bucket().ID})
		s.ok(err)
		s.equal("references", len(found), 0)
	}},
	{"AreFoundWithTheirHomes", testReferencesFound},
	{"MayBeAddedAgain", func(s *suite) {
		home, e := s.sharedBlob()
		for range 2 {
			s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{e}, []meta.QueuedBlob{home}))
		}
		s.equal("references", s.references(home), []meta.QueuedBlob{home, e.Blob})
	}},
	{"AreRemovedOneByOne", func(s *suite) {
		home, e := s.sharedBlob()
		s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{e}, []meta.QueuedBlob{home}))
		s.ok(s.RemoveReference(s.ctx, home))
		s.equal("references", s.references(home), []meta.QueuedBlob{e.Blob})
		s.ok(s.RemoveReference(s.ctx, e.Blob))
		s.ok(s.RemoveReference(s.ctx, e.Blob))
		s.equal("references", len(s.references(home)), 0)
	}},
	{"DoNotComeBackOnceTheirEntryIsClaimed", testReferenceComesLate},
	{"OfOneBlobAreNotAnothers", func(s *suite) {
		a, ea := s.sharedBlob()
		b, eb := s.sharedBlob()
		s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{ea, eb}, []meta.QueuedBlob{a, b}))
		s.ok(s.RemoveReference(s.ctx, a))
		s.equal("references of the other", s.references(b), []meta.QueuedBlob{b, eb.Blob})
	}},
}

// sharedBlob is a blob with its home, and the queued entry of another key that
// is about to refer to it.
func (s *suite) sharedBlob() (home meta.QueuedBlob, e meta.QueueEntry) {
	s.Helper()
	b := s.bucket()
	home = meta.QueuedBlob{Store: "s", Blob: meta.NewID(), Bucket: b.ID, Key: "home", Upload: meta.NewID()}
	return home, s.sharer(home)
}

func (s *suite) sharer(home meta.QueuedBlob) meta.QueueEntry {
	s.Helper()
	e := entryOf(home.Bucket, "copy")
	e.Due = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	e.Blob.Blob, e.Blob.Ref = home.Blob, meta.NewID()
	s.ok(s.Enqueue(s.ctx, e))
	s.dropAfter(e)
	store := s.Store
	s.Cleanup(func() {
		_ = store.RemoveReference(context.Background(), home)
		_ = store.RemoveReference(context.Background(), e.Blob)
	})
	return e
}

func (s *suite) references(b meta.QueuedBlob) []meta.QueuedBlob {
	s.Helper()
	found, err := s.References(s.ctx, b)
	s.ok(err)
	return found
}

func testReferencesFound(s *suite) {
	home, e := s.sharedBlob()
	entries := []meta.QueueEntry{e}
	for range 20 {
		entries = append(entries, s.sharer(home))
	}
	s.ok(s.AddReferences(s.ctx, entries, []meta.QueuedBlob{home}))
	want := []meta.QueuedBlob{home}
	for _, e := range entries {
		want = append(want, e.Blob)
	}
	slices.SortFunc(want, func(a, b meta.QueuedBlob) int { return bytes.Compare(a.Ref[:], b.Ref[:]) })
	s.equal("references", s.references(home), want)
}

// testReferenceComesLate: the collector claims an entry before it removes the
// reference; a call that adds the reference after that must leave no row.
func testReferenceComesLate(s *suite) {
	home, e := s.sharedBlob()
	s.ok(s.AddReferences(s.ctx, []meta.QueueEntry{e}, nil))
	s.ok(s.Claim(s.ctx, e))
	s.ok(s.RemoveReference(s.ctx, e.Blob))
	err := s.AddReferences(s.ctx, []meta.QueueEntry{e}, nil)
	if err != nil && !errors.Is(err, meta.ErrClaimed) {
		s.Fatalf("a reference that comes late: %v", err)
	}
	s.equal("references", len(s.references(home)), 0)
}
