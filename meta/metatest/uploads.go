package metatest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

var uploadContracts = []contract{
	{"CreateKeepsEveryField", func(s *suite) {
		b := s.bucket()
		u := uploadOf(b.ID, "k\x00é")
		u.Doc = full[meta.UploadDoc]()
		u.Doc.Version.Seq, u.Doc.Version.Payload = 0, nil
		s.ok(s.CreateUpload(s.ctx, u))
		s.equal("upload", s.upload(u), u)
		list, err := s.ListUploads(s.ctx, b.ID, "", "", meta.UploadID{}, 10)
		s.ok(err)
		s.equal("listing", list, []meta.Upload{listed(u)})
	}},
	{"NotFoundElsewhere", func(s *suite) {
		u := s.newUpload(s.bucket().ID, "k")
		for _, c := range []struct {
			bucket meta.BucketID
			key    string
			id     meta.UploadID
		}{{s.bucket().ID, u.Key, u.ID}, {u.Bucket, "l", u.ID}, {u.Bucket, u.Key, meta.NewID()}} {
			_, err := s.Upload(s.ctx, c.bucket, c.key, c.id)
			s.is(err, meta.ErrNotFound)
			stray := meta.Upload{ID: c.id, Bucket: c.bucket, Key: c.key, Rev: u.Rev}
			s.is(s.PutPart(s.ctx, stray, part(1)), meta.ErrNotFound)
			_, err = s.SetUploadState(s.ctx, stray, meta.UploadAborted)
			s.is(err, meta.ErrNotFound)
		}
		s.equal("upload", s.upload(u), u)
	}},
	{"StateMovesFromItsRevision", testUploadState},
	{"StateRaceHasOneWinner", func(s *suite) {
		b := s.bucket()
		for range max(1, s.rounds/8) {
			u := s.newUpload(b.ID, "k")
			errs := race(6, func(i int) error {
				_, err := s.SetUploadState(s.ctx, u, []meta.UploadState{meta.UploadCompleting, meta.UploadAborted}[i%2])
				return err
			})
			if w := s.winners(errs, meta.ErrConflict); w != 1 {
				s.Fatalf("%d winners", w)
			}
		}
	}},
	{"PartsAreReplacedAndPaged", testParts},
	{"PartKeepsEveryField", func(s *suite) {
		u := s.newUpload(s.bucket().ID, "k")
		p := full[meta.Part]()
		p.Number = 10000
		s.ok(s.PutPart(s.ctx, u, p))
		got, err := s.Parts(s.ctx, u.ID, 9999, 10)
		s.ok(err)
		s.equal("parts", got, []meta.Part{p})
	}},
	{"ClosedUploadTakesNoParts", func(s *suite) {
		for _, state := range []meta.UploadState{meta.UploadCompleting, meta.UploadAborted} {
			u := s.newUpload(s.bucket().ID, "k")
			s.ok(s.PutPart(s.ctx, u, part(1)))
			now, err := s.SetUploadState(s.ctx, u, state)
			s.ok(err)
			s.is(s.PutPart(s.ctx, u, part(2)), meta.ErrUploadClosed)
			s.is(s.PutPart(s.ctx, now, part(2)), meta.ErrUploadClosed)
		}
	}},
	{"PartAgainstStateIsSeenOrRefused", testPartAgainstState},
	{"ListIsOrderedRangedAndPaged", testListUploads},
	{"OnlyOpenOnesAreListed", func(s *suite) {
		b := s.bucket()
		open := s.newUpload(b.ID, "k")
		for _, states := range [][]meta.UploadState{{meta.UploadAborted}, {meta.UploadCompleting}, {meta.UploadCompleting, meta.UploadDone}} {
			u := s.newUpload(b.ID, "k")
			for _, state := range states {
				var err error
				u, err = s.SetUploadState(s.ctx, u, state)
				s.ok(err)
			}
		}
		list, err := s.ListUploads(s.ctx, b.ID, "", "", meta.UploadID{}, 10)
		s.ok(err)
		s.equal("listing", list, []meta.Upload{listed(open)})
	}},
	{"ForgottenOnesLoseTheirParts", func(s *suite) {
		u := s.newUpload(s.bucket().ID, "k")
		s.ok(s.PutPart(s.ctx, u, part(1)))
		u, err := s.SetUploadState(s.ctx, u, meta.UploadAborted)
		s.ok(err)
		s.ok(s.ForgetUpload(s.ctx, u))
		s.ok(s.ForgetUpload(s.ctx, u))
		parts, err := s.Parts(s.ctx, u.ID, 0, 10)
		s.ok(err)
		s.equal("parts", len(parts), 0)
		s.equal("upload", s.upload(u), u)
		s.is(s.PutPart(s.ctx, u, part(2)), meta.ErrUploadClosed)
	}},
}

func uploadOf(bucket meta.BucketID, key string) meta.Upload {
	now := time.Now()
	return meta.Upload{
		ID: meta.NewID(), Bucket: bucket, Key: key, Rev: meta.NextRev(0, now), State: meta.UploadOpen,
		Doc: meta.UploadDoc{Initiated: now.UnixMicro(), Initiator: "someone"},
	}
}

func (s *suite) newUpload(bucket meta.BucketID, key string) meta.Upload {
	s.Helper()
	u := uploadOf(bucket, key)
	s.ok(s.CreateUpload(s.ctx, u))
	return u
}

func (s *suite) upload(u meta.Upload) meta.Upload {
	s.Helper()
	got, err := s.Upload(s.ctx, u.Bucket, u.Key, u.ID)
	s.ok(err)
	return got
}

func part(number int) meta.Part {
	return meta.Part{Number: number, Size: int64(number), ETag: meta.NewID().String(), Modified: 1}
}

func testUploadState(s *suite) {
	u := s.newUpload(s.bucket().ID, "k")
	u.Doc.Completed, u.Doc.CompletedSeq = "etag", 5
	now, err := s.SetUploadState(s.ctx, u, meta.UploadCompleting)
	s.ok(err)
	if now.Rev <= u.Rev {
		s.Fatalf("revision %d after %d", now.Rev, u.Rev)
	}
	want := u
	want.Rev, want.State = now.Rev, meta.UploadCompleting
	s.equal("what is returned", now, want)
	s.equal("upload", s.upload(u), want)
	_, err = s.SetUploadState(s.ctx, u, meta.UploadAborted)
	s.is(err, meta.ErrConflict)
	s.equal("upload after a refused move", s.upload(u), want)
	now, err = s.SetUploadState(s.ctx, now, meta.UploadDone)
	s.ok(err)
	s.equal("state", s.upload(u).State, meta.UploadDone)
	s.equal("revision", s.upload(u).Rev, now.Rev)
}

func testParts(s *suite) {
	u := s.newUpload(s.bucket().ID, "k")
	var want []meta.Part
	for _, n := range []int{3, 10, 1, 2, 10000, 255, 256} {
		s.ok(s.PutPart(s.ctx, u, part(n)))
		p := part(n) // uploaded again
		s.ok(s.PutPart(s.ctx, u, p))
		want = append(want, p)
	}
	slices.SortFunc(want, func(a, b meta.Part) int { return cmp.Compare(a.Number, b.Number) })
	for limit := 1; limit <= 8; limit++ {
		var got []meta.Part
		for after := 0; ; {
			page, err := s.Parts(s.ctx, u.ID, after, limit)
			s.ok(err)
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				s.Fatalf("%d parts for a limit of %d", len(page), limit)
			}
			got = append(got, page...)
			after = page[len(page)-1].Number
		}
		s.equal(fmt.Sprint("parts by pages of ", limit), got, want)
	}
}

// testPartAgainstState closes an upload while parts are stored: each part is either
// refused or seen by the call that closed the upload.
func testPartAgainstState(s *suite) {
	b := s.bucket()
	for range s.rounds {
		u := s.newUpload(b.ID, "k")
		const parts = 4
		put := make([]error, parts+1)
		var seen []meta.Part
		errs := race(parts+1, func(i int) (err error) {
			if i > 0 {
				put[i] = s.PutPart(s.ctx, u, part(i))
				return nil
			}
			if _, err = s.SetUploadState(s.ctx, u, meta.UploadCompleting); err == nil {
				seen, err = s.Parts(s.ctx, u.ID, 0, 100)
			}
			return err
		})
		s.ok(errors.Join(errs...))
		s.winners(put[1:], meta.ErrUploadClosed)
		for n := 1; n <= parts; n++ {
			was := slices.ContainsFunc(seen, func(p meta.Part) bool { return p.Number == n })
			if put[n] == nil && !was {
				s.Fatalf("part %d was acknowledged and not seen", n)
			}
		}
	}
}

// listed is an upload as a listing returns it.
func listed(u meta.Upload) meta.Upload {
	u.Doc = u.Doc.Listed()
	return u
}

func testListUploads(s *suite) {
	b := s.bucket()
	var want []meta.Upload
	for _, key := range []string{"b", "a", "a\x00", "b", "a/b", "\U0010ffff", "b"} {
		want = append(want, listed(s.newUpload(b.ID, key)))
	}
	slices.SortFunc(want, func(x, y meta.Upload) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), bytes.Compare(x.ID[:], y.ID[:]))
	})
	for limit := 1; limit <= 8; limit++ {
		var got []meta.Upload
		from, after := "", meta.UploadID{}
		for {
			page, err := s.ListUploads(s.ctx, b.ID, from, "", after, limit)
			s.ok(err)
			if len(page) == 0 {
				break
			}
			if len(page) > limit {
				s.Fatalf("%d uploads for a limit of %d", len(page), limit)
			}
			got = append(got, page...)
			from, after = page[len(page)-1].Key, page[len(page)-1].ID
		}
		s.equal(fmt.Sprint("uploads by pages of ", limit), got, want)
	}
	for _, c := range []struct {
		from, to string
		want     []meta.Upload
	}{{"a\x00", "b", want[1:3]}, {"a", "a", nil}, {"b", "a", nil}, {"b", "", want[3:]}, {"b\x00", "", want[6:]}, {"", "b", want[:3]}} {
		got, err := s.ListUploads(s.ctx, b.ID, c.from, c.to, meta.UploadID{}, 100)
		s.ok(err)
		if len(got) != len(c.want) || len(got) > 0 && differs(got, c.want) != "" {
			s.Fatalf("uploads from %q to %q: %s", c.from, c.to, differs(got, c.want))
		}
	}
}
