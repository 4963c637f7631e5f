package metatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
)

// Random makes n random calls of the store that open returns, and compares
// each answer with that of a model in memory. The same seed makes the same
// calls. About half of the calls are conditional changes.
//
// Changes of keys may fail with ErrUnknownOutcome or ErrUnavailable (as they
// do through package metafault): then the key is read, and must be as before
// the change or as after it.
func Random(t *testing.T, open Open, seed uint64, n int) {
	t.Run(fmt.Sprint("Random-", seed), func(t *testing.T) {
		s := &suite{T: t, Store: open(t), ctx: t.Context()}
		r := newRandom(s, seed)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("seed %d, the last steps:", seed)
				for _, step := range r.trace[max(0, len(r.trace)-25):] {
					t.Log(step)
				}
			}
		})
		for range n {
			r.step()
		}
		r.checkAll()
	})
}

// random is a run of random calls, and the model that it compares with.
type random struct {
	*suite
	rng   *rand.Rand
	trace []string
	home  meta.BucketID
	names []string
	keys  map[string]*modelKey
	queue map[meta.ID]meta.QueueEntry
	uploadModel
}

// modelKey is the expected state of a key.
type modelKey struct {
	rev      int64 // at least
	versions []meta.Version
}

func newRandom(s *suite, seed uint64) *random {
	r := &random{
		suite: s, rng: rand.New(rand.NewPCG(seed, 1)), home: s.bucket().ID,
		names: []string{"a", "a/", "a/b", "a\x00", "b/\U0010ffff", "\x00", "\U0010ffff"},
		keys:  map[string]*modelKey{}, queue: map[meta.ID]meta.QueueEntry{},
	}
	for range 8 {
		r.names = append(r.names, r.names[r.rng.IntN(len(r.names))]+RandomText(r.rng, 2))
	}
	slices.Sort(r.names)
	r.names = slices.Compact(r.names)
	for _, name := range r.names {
		r.keys[name] = &modelKey{}
	}
	r.uploadModel = uploadModel{open: map[meta.UploadID]*modelUpload{}}
	return r
}

// note adds to the trace.
func (r *random) note(format string, args ...any) {
	r.trace = append(r.trace, fmt.Sprintf(format, args...))
}

func (r *random) name() string { return r.names[r.rng.IntN(len(r.names))] }

func (r *random) step() {
	steps := []struct {
		weight int
		do     func()
	}{
		{14, func() { r.put(r.name(), true) }},
		{10, func() { r.put(r.name(), false) }},
		{6, func() { r.marker(r.name()) }},
		{10, func() { r.deleteSome(r.name()) }},
		{5, func() { r.deleteAll(r.name()) }},
		{4, func() { r.rewrite(r.name()) }},
		{4, func() { r.stale(r.name()) }},
		{4, func() { r.abandon(r.name()) }},
		{3, func() { r.fenceKey(r.name()) }},
		{10, func() { r.checkKey(r.name()) }},
		{6, func() { r.checkVersions(r.name()) }},
		{8, r.checkScan},
		{8, r.checkScanAll},
		{12, r.stepUpload},
		{8, r.stepQueue},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	pick := r.rng.IntN(total)
	for _, s := range steps {
		if pick -= s.weight; pick < 0 {
			s.do()
			return
		}
	}
}

// head reads a key for a change, and checks it on the way.
func (r *random) head(name string) meta.Head {
	r.Helper()
	h := r.read(r.home, name)
	m := r.keys[name]
	if !sameVersions(h.Versions, m.versions) {
		r.Fatalf("versions of %q: %s", name, differs(h.Versions, m.versions))
	}
	if h.Rev < m.rev && (h.Rev != 0 || len(m.versions) > 0) {
		r.Fatalf("revision of %q is %d after %d", name, h.Rev, m.rev)
	}
	r.equal(fmt.Sprintf("null version of %q", name), h.NullSeq, nullSeq(m.versions))
	m.rev = max(m.rev, h.Rev)
	return h
}

func nullSeq(versions []meta.Version) int64 {
	for _, v := range versions {
		if v.Null {
			return v.Seq
		}
	}
	return 0
}

// next is the revision of the next change, sometimes far in the future, as from a
// wrong clock.
func (r *random) next(h meta.Head) int64 {
	rev := meta.NextRev(h.Rev, time.Now())
	if r.rng.IntN(20) == 0 {
		rev += int64(r.rng.IntN(1_000_000))
	}
	return rev
}

// try commits c and updates the model. After a listing, a driver asynchronously
// repairs the rows of changes that were begun and not made: the repair fences the
// key, and then try retries above the fence.
func (r *random) try(name string, h meta.Head, c meta.Change) {
	r.Helper()
	err := r.commit(name, c)
	for errors.Is(err, meta.ErrConflict) {
		now := r.read(r.home, name)
		if now.Rev <= c.IfRev || !sameVersions(now.Versions, h.Versions) {
			r.Fatalf("change of %q: %v, and its head is %s, which was %s", name, err, show(now), show(h))
		}
		c.IfRev, c.Rev, c.ID = now.Rev, max(c.Rev, meta.NextRev(now.Rev, time.Now())), meta.NewID()
		err = r.commit(name, c)
	}
	unknown := errors.Is(err, meta.ErrUnknownOutcome) || errors.Is(err, meta.ErrUnavailable)
	if err != nil && !unknown {
		r.Fatalf("change of %q: %v", name, err)
	}
	after := versionsAfter(h.Versions, c.Put, c.Delete)
	// The revision does not tell whether it was made: it may be that of a fence.
	if unknown && !sameVersions(r.read(r.home, name).Versions, after) {
		return // the next read of the key compares it with the old model
	}
	r.keys[name] = &modelKey{rev: c.Rev, versions: after}
}

func (r *random) commit(name string, c meta.Change) error {
	err := commit(r.ctx, r.Store, r.home, name, c)
	r.note("change %q: rev %d to %d, put %v, delete %v: %v", name, c.IfRev, c.Rev, seqs(c.Put), c.Delete, err)
	return err
}

func sameVersions(a, b []meta.Version) bool {
	return len(a) == len(b) && (len(a) == 0 || differs(a, b) == "")
}

func (r *random) put(name string, null bool) {
	h := r.head(name)
	v := version(r.next(h))
	v.Null = null
	if r.rng.IntN(4) == 0 {
		v.Inline, v.Payload = false, nil
		v.Segments = []meta.Segment{{Blob: meta.NewID(), Bytes: 5, Size: 5}}
	}
	var del []int64
	if null && h.NullSeq != 0 {
		del = []int64{h.NullSeq}
	}
	r.try(name, h, plan(name, h, v.Seq, []meta.Version{v}, del...))
}

func (r *random) marker(name string) {
	h := r.head(name)
	v := meta.Version{Seq: r.next(h), DeleteMarker: true, Owner: "o"}
	r.try(name, h, plan(name, h, v.Seq, []meta.Version{v}))
}

func (r *random) deleteSome(name string) {
	h := r.head(name)
	if len(h.Versions) == 0 {
		return
	}
	del := []int64{h.Versions[r.rng.IntN(len(h.Versions))].Seq}
	if other := h.Versions[0].Seq; r.rng.IntN(3) == 0 && other != del[0] {
		del = append(del, other)
	}
	r.try(name, h, plan(name, h, r.next(h), nil, del...))
}

func (r *random) deleteAll(name string) {
	if h := r.head(name); len(h.Versions) > 0 {
		r.try(name, h, plan(name, h, r.next(h), nil, seqs(h.Versions)...))
	}
}

// rewrite changes a version in its place.
func (r *random) rewrite(name string) {
	h := r.head(name)
	if len(h.Versions) == 0 {
		return
	}
	v := h.Versions[r.rng.IntN(len(h.Versions))]
	v.Tags = []meta.Tag{{Key: "n", Value: fmt.Sprint(r.rng.IntN(100))}}
	if v.Inline && r.rng.IntN(4) == 0 { // its body goes into a blob
		v.Inline, v.Payload = false, nil
	}
	r.try(name, h, plan(name, h, r.next(h), []meta.Version{v}))
}

// stale makes a change on a condition that does not hold.
func (r *random) stale(name string) {
	h := r.head(name)
	old := h
	old.Rev += int64(1 + r.rng.IntN(5))
	if h.Rev > 10 && r.rng.IntN(2) == 0 {
		old.Rev = h.Rev - 1
	}
	v := version(old.Rev + 1000)
	err := commit(r.ctx, r.Store, r.home, name, plan(name, old, v.Seq, []meta.Version{v}))
	r.note("stale change of %q: %v", name, err)
	if !errors.Is(err, meta.ErrConflict) && !errors.Is(err, meta.ErrUnknownOutcome) && !errors.Is(err, meta.ErrUnavailable) {
		r.Fatalf("a stale change of %q: %v", name, err)
	}
}

// abandon begins a change and does not make it.
func (r *random) abandon(name string) {
	h := r.head(name)
	p := r.begin(r.home, name, meta.NextRev(h.Rev, time.Now()))
	cancel := r.rng.IntN(2) == 0
	r.note("begin %q, cancel: %v", name, cancel)
	if cancel {
		p.Cancel(r.ctx)
	}
}

func (r *random) fenceKey(name string) {
	m := r.keys[name]
	rev := m.rev + int64(r.rng.IntN(10))
	h := r.fence(r.home, name, rev)
	r.note("fence %q above %d: %d", name, rev, h.Rev)
	if h.Rev <= rev {
		r.Fatalf("fence above %d of %q is at %d", rev, name, h.Rev)
	}
	m.rev = h.Rev
	r.equal("versions at the fence", seqs(h.Versions), seqs(m.versions))
	r.checkKey(name)
}

// checkKey reads a key with random options.
func (r *random) checkKey(name string) {
	r.Helper()
	m := r.keys[name]
	o := meta.ReadOptions{Limit: r.rng.IntN(4), Payload: r.rng.IntN(2) == 0, Null: r.rng.IntN(2) == 0}
	if !o.Null && len(m.versions) > 0 {
		o.Seq = m.versions[r.rng.IntN(len(m.versions))].Seq
	}
	h, err := r.Read(r.ctx, r.home, name, o)
	r.ok(err)
	want := m.versions[:min(len(m.versions), max(o.Limit, 1))]
	named := slices.IndexFunc(m.versions, func(v meta.Version) bool { return o.Null && v.Null || o.Seq == v.Seq })
	if !o.Payload {
		want = bare(want...)
	}
	if len(h.Versions) != len(want) || len(want) > 0 && differs(h.Versions, want) != "" {
		r.Fatalf("read %q with %+v: %s", name, o, differs(h.Versions, want))
	}
	if (h.Named == nil) != (named < 0) {
		r.Fatalf("read %q with %+v names %+v", name, o, h.Named)
	}
	if named >= 0 {
		v := m.versions[named]
		if !o.Payload {
			v.Payload = nil
		}
		r.equal(fmt.Sprintf("named by %+v", o), *h.Named, v)
	}
}

func (r *random) checkVersions(name string) {
	m := r.keys[name]
	before, limit := int64(0), 1+r.rng.IntN(4)
	want := bare(m.versions...)
	if len(want) > 0 && r.rng.IntN(2) == 0 {
		i := r.rng.IntN(len(want))
		before, want = want[i].Seq, want[i+1:]
	}
	want = want[:min(len(want), limit)]
	got, err := r.Versions(r.ctx, r.home, name, before, limit)
	r.ok(err)
	if len(got) != len(want) || len(want) > 0 && differs(got, want) != "" {
		r.Fatalf("%d versions of %q below %d: %s", limit, name, before, differs(got, want))
	}
	entries, err := r.ListVersions(r.ctx, r.home, name, before, limit)
	r.ok(err)
	if shown := entriesOf(name, want); len(entries) != len(shown) || len(shown) > 0 && differs(entries, shown) != "" {
		r.Fatalf("%d listed versions of %q below %d: %s", limit, name, before, differs(entries, shown))
	}
}

// span is a random range, as those of listings are, and the model's keys in it, in order.
func (r *random) span() (from, to string, names []string) {
	if r.rng.IntN(3) > 0 {
		from = r.name()
	}
	switch r.rng.IntN(4) {
	case 0:
		to = r.name()
	case 1: // those with a prefix
		prefix := []rune(r.name())
		from = string(prefix[:1+r.rng.IntN(len(prefix))])
		to = meta.Successor(from)
	case 2: // from a marker on
		from += "\x00"
	}
	for name := range r.keys {
		if name >= from && (to == "" || name < to) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return from, to, names
}

func (r *random) checkScan() {
	from, to, names := r.span()
	limit := 1 + r.rng.IntN(6)
	var want []meta.Entry
	for _, name := range names {
		if m := r.keys[name]; len(m.versions) > 0 && !m.versions[0].DeleteMarker {
			want = append(want, *meta.EntryOf(name, &m.versions[0]))
		}
	}
	got, more, err := r.Scan(r.ctx, r.home, meta.ScanOptions{From: from, To: to, Limit: limit})
	r.ok(err)
	page := want[:min(len(want), limit)]
	if len(got) != len(page) || len(page) > 0 && differs(got, page) != "" {
		r.Fatalf("%d keys from %q to %q: %s", limit, from, to, differs(got, page))
	}
	if len(want) > limit && !more {
		r.Fatalf("%d keys from %q to %q: there are %d and it says no more", limit, from, to, len(want))
	}
}

func (r *random) checkScanAll() {
	from, to, names := r.span()
	names = slices.DeleteFunc(names, func(name string) bool { return len(r.keys[name].versions) == 0 })
	got, err := scanAllKeys(r.suite, r.home, from, to, 1+r.rng.IntN(6))
	r.ok(err)
	var found []string
	for _, k := range got {
		m := r.keys[k.Key]
		if len(m.versions) > 0 {
			found = append(found, k.Key)
		}
		if k.HasOlderVersions {
			r.equal("entry of a key with several versions", k, meta.Entry{Key: k.Key, HasOlderVersions: true})
			continue
		}
		if len(m.versions) != 1 {
			r.Fatalf("%q has %d versions and the entry %+v", k.Key, len(m.versions), k)
		}
		r.equal("entry of the only version", k, *meta.EntryOf(k.Key, &m.versions[0]))
	}
	r.equal(fmt.Sprintf("all keys from %q to %q", from, to), found, slices.Clip(append([]string(nil), names...)))
}

func (r *random) checkAll() {
	for _, name := range r.names {
		r.head(name)
	}
	for range 10 {
		r.checkScan()
		r.checkScanAll()
	}
	r.checkUploads()
	r.checkQueue()
}
