package check

import (
	"context"
	"fmt"
	"slices"

	"github.com/pithos/pithos/meta"
)

// compareRecorded compares the references to a shared blob with what is
// recorded of them. A reference that is not recorded will lose its bytes when
// the others end; a record without a reference keeps the blob for ever.
func (c *checker) compareRecorded(ctx context.Context, g *group) error {
	for i := range g.versions {
		r := &g.versions[i]
		if !has(g.recorded, r.Ref) && (r.Ref != (meta.ID{}) || borrowed(g.versions) != nil) {
			if err := c.confirmUnrecorded(ctx, g, r); err != nil {
				return err
			}
		}
	}
	if c.only != nil {
		return nil // only all versions tell
	}
	for i := range g.recorded {
		r := &g.recorded[i]
		if !has(g.versions, r.Ref) && len(g.queue) == 0 {
			if err := c.confirmStray(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func has(refs []ref, id meta.ID) bool {
	return slices.ContainsFunc(refs, func(r ref) bool { return r.Ref == id })
}

// borrowed is a reference of a key that is not the blob's home; nil if there
// is none.
func borrowed(refs []ref) *ref {
	for i := range refs {
		if refs[i].Ref != (meta.ID{}) {
			return &refs[i]
		}
	}
	return nil
}

// confirmUnrecorded looks at a reference that seems not to be recorded. That
// of the home has to be, while another one holds.
func (c *checker) confirmUnrecorded(ctx context.Context, g *group, r *ref) error {
	must := []*ref{r}
	if r.Ref == (meta.ID{}) {
		must = append(must, borrowed(g.versions))
	}
	hold := func() (bool, error) {
		for _, m := range must {
			if holds, err := c.holds(ctx, m); err != nil || !holds {
				return false, err
			}
		}
		return true, nil
	}
	unrecorded := func() (bool, error) {
		if holds, err := hold(); err != nil || !holds {
			return false, err
		}
		recorded, err := c.Meta.References(ctx, r.queued())
		if err != nil || slices.ContainsFunc(recorded, func(b meta.QueuedBlob) bool { return b.Ref == r.Ref }) {
			return false, err
		}
		return hold()
	}
	bad, err := unrecorded()
	if err != nil || !bad {
		return err
	}
	f := c.lost(r)
	f.Kind = Mismatched
	f.Detail = "it shares its bytes with other objects and is not on record: they may be deleted when those are"
	f.Advice = "check with --repair records it; or copy the object onto itself in another storage class and back"
	if c.Repair {
		if err := c.record(ctx, r); err != nil {
			return err
		}
		if bad, err = unrecorded(); err != nil {
			return err
		}
		f.Repaired = !bad
	}
	return c.found(f)
}

// record records a reference. The entry stays in the queue: should the
// reference have ended meanwhile, the collector takes the record away again.
func (c *checker) record(ctx context.Context, r *ref) error {
	e := c.entry(meta.QueueFresh, r.queued())
	if err := c.Meta.Enqueue(ctx, e); err != nil {
		return err
	}
	return c.Meta.AddReferences(ctx, []meta.QueueEntry{e}, nil)
}

// confirmStray looks at a record whose reference seems to be gone. Its key is
// known: so the collector, which proves what it does, is given it.
func (c *checker) confirmStray(ctx context.Context, r *ref) error {
	// Whoever shares a blob has an entry in the queue until the version is
	// there. Between the two looks a version may come and go; not twice.
	if stray, err := c.isStray(ctx, r); err != nil || !stray {
		return err
	}
	f := c.about(Leftover, r.Bucket, r.Key)
	f.Store, f.Blob = r.Store, r.Blob.String()
	f.Detail = fmt.Sprintf("a reference to a shared blob is on record (%s) and the key does not refer to it", r.Ref)
	f.Advice = "check with --repair has the collector take it away"
	if c.Repair {
		if err := c.Meta.Enqueue(ctx, c.entry(meta.QueueFreed, r.queued())); err != nil {
			return err
		}
		f.Repaired = true
	}
	return c.found(f)
}

// isStray reports whether a reference is recorded, and neither its key nor the
// queue knows of it.
func (c *checker) isStray(ctx context.Context, r *ref) (bool, error) {
	for range 2 {
		refers, err := c.keyRefers(ctx, r)
		if err != nil || refers {
			return false, err
		}
		queued, err := c.isQueued(ctx, r.Blob)
		if err != nil || queued {
			return false, err
		}
	}
	recorded, err := c.Meta.References(ctx, r.queued())
	return slices.ContainsFunc(recorded, func(b meta.QueuedBlob) bool { return b.Ref == r.Ref }), err
}

// isQueued reports whether any queue entry is about a blob.
func (c *checker) isQueued(ctx context.Context, id meta.ID) (queued bool, err error) {
	for part := range c.Shares { // each is a query of its own: one of the whole table takes too long
		err := c.Meta.Walk(ctx, meta.Share{Part: part, Of: c.Shares}, meta.Visitor{QueueEntry: func(e meta.QueueEntry) error {
			queued = queued || e.Blob.Blob == id
			return nil
		}})
		if err != nil || queued {
			return queued, err
		}
	}
	return false, nil
}

// keyRefers reports whether any version of a key refers to a blob by a Ref.
func (c *checker) keyRefers(ctx context.Context, r *ref) (bool, error) {
	for before := int64(0); ; {
		page, err := c.Meta.Versions(ctx, r.Bucket, r.Key, before, bucketPage)
		if goneBucket(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		for i := range page {
			before = page[i].Seq
			if refersTo(page[i].Segments, r) {
				return true, nil
			}
		}
		if len(page) < bucketPage {
			return false, nil
		}
	}
}
