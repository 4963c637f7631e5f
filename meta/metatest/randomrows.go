package metatest

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/pithos/pithos/meta"
)

// uploadModel is the expected state of the uploads of a random run.
type uploadModel struct {
	open   map[meta.UploadID]*modelUpload
	closed []meta.Upload
}

type modelUpload struct {
	meta.Upload
	parts map[int]meta.Part
}

func (m uploadModel) sorted() []*modelUpload {
	return slices.SortedFunc(maps.Values(m.open), func(x, y *modelUpload) int {
		return cmp.Or(cmp.Compare(x.Key, y.Key), bytes.Compare(x.ID[:], y.ID[:]))
	})
}

// stepUpload makes one call about an upload.
func (r *random) stepUpload() {
	open := r.sorted()
	if len(open) == 0 || len(open) < 5 && r.rng.IntN(6) == 0 {
		u := r.newUpload(r.home, r.name())
		r.note("upload %s of %q", u.ID, u.Key)
		r.open[u.ID] = &modelUpload{u, map[int]meta.Part{}}
		return
	}
	u := open[r.rng.IntN(len(open))]
	switch n := r.rng.IntN(10); {
	case n < 5:
		p := part(1 + r.rng.IntN(5))
		r.note("part %d of %s", p.Number, u.ID)
		r.ok(r.PutPart(r.ctx, u.Upload, p))
		u.parts[p.Number] = p
	case n < 8:
		r.checkUploads()
	default:
		r.closeUpload(u)
	}
	for _, c := range r.closed {
		if err := r.PutPart(r.ctx, c, part(1)); !errors.Is(err, meta.ErrUploadClosed) {
			r.Fatalf("part of the closed upload %s: %v", c.ID, err)
		}
	}
}

func (r *random) closeUpload(u *modelUpload) {
	states := []meta.UploadState{meta.UploadAborted}
	if r.rng.IntN(2) == 0 {
		states = []meta.UploadState{meta.UploadCompleting, meta.UploadDone}
	}
	now := u.Upload
	for _, state := range states {
		var err error
		now, err = r.SetUploadState(r.ctx, now, state)
		r.ok(err)
		r.equal("state", now.State, state)
	}
	r.note("upload %s is %s", u.ID, now.State)
	r.checkParts(u)
	r.ok(r.ForgetUpload(r.ctx, now))
	delete(r.open, u.ID)
	r.closed = append(r.closed, now)[max(0, len(r.closed)-1):]
}

func (r *random) checkParts(u *modelUpload) {
	got, err := r.Parts(r.ctx, u.ID, 0, 100)
	r.ok(err)
	want := slices.SortedFunc(maps.Values(u.parts), func(a, b meta.Part) int { return cmp.Compare(a.Number, b.Number) })
	if len(got) != len(want) || len(want) > 0 && differs(got, want) != "" {
		r.Fatalf("parts of %s: %s", u.ID, differs(got, want))
	}
}

func (r *random) checkUploads() {
	var want []meta.Upload
	for _, u := range r.sorted() {
		want = append(want, listed(u.Upload))
		r.checkParts(u)
		r.equal("upload", r.upload(u.Upload), u.Upload)
	}
	got, err := r.ListUploads(r.ctx, r.home, "", "", meta.UploadID{}, 100)
	r.ok(err)
	if len(got) != len(want) || len(want) > 0 && differs(got, want) != "" {
		r.Fatalf("uploads: %s", differs(got, want))
	}
}

// stepQueue makes one call about the queue.
func (r *random) stepQueue() {
	n := r.rng.IntN(10)
	ids := slices.SortedFunc(maps.Keys(r.queue), func(a, b meta.ID) int { return bytes.Compare(a[:], b[:]) })
	if len(ids) == 0 || n < 4 {
		e := r.enqueue(time.Now().Add(time.Duration(r.rng.IntN(7200)-3600) * time.Second))
		r.queue[e.Entry] = e
		return
	}
	e := r.queue[ids[r.rng.IntN(len(ids))]]
	switch {
	case n < 6:
		r.ok(r.Claim(r.ctx, e))
		e.Claimed = true
		r.queue[e.Entry] = e
	case n < 8:
		r.ok(r.Drop(r.ctx, e))
		delete(r.queue, e.Entry)
	default:
		r.checkQueue()
	}
}

func (r *random) checkQueue() {
	mine := slices.Collect(maps.Values(r.queue))
	now := time.Now().Add(time.Duration(r.rng.IntN(7200)-3600) * time.Second)
	found := r.due(now, mine...)
	slices.SortFunc(found, byEntry)
	want := slices.DeleteFunc(mine, func(e meta.QueueEntry) bool { return e.Due.After(now) })
	slices.SortFunc(want, byEntry)
	if len(found) != len(want) || len(want) > 0 && differs(found, want) != "" {
		r.Fatalf("due entries: %s", differs(found, want))
	}
}

func byEntry(a, b meta.QueueEntry) int { return bytes.Compare(a.Entry[:], b.Entry[:]) }
