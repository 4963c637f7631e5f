package check

import (
	"context"
	"fmt"
	"slices"

	"github.com/pithos/pithos/meta"
)

// compareRecorded compares the references to a shared blob with their records. A
// reference without a record loses its bytes when the others are removed; a record
// without a reference keeps the blob forever.
func (c *checker) compareRecorded(ctx context.Context, g *group) error {
	for i := range g.versions {
		r := &g.versions[i]
		if !has(g.recorded, r.Ref) && (r.Ref != (meta.ID{}) || sharedRef(g.versions) != nil) {
			if err := c.confirmUnrecorded(ctx, g, r); err != nil {
				return err
			}
		}
	}
	if c.only != nil {
		return nil // other buckets may refer to the blob too
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

// sharedRef is a reference of a key that is not the blob's home; nil if there is
// none.
func sharedRef(refs []ref) *ref {
	for i := range refs {
		if refs[i].Ref != (meta.ID{}) {
			return &refs[i]
		}
	}
	return nil
}

// confirmUnrecorded checks a reference again that seems to have no record. That of
// the home needs one while there is another reference.
func (c *checker) confirmUnrecorded(ctx context.Context, g *group, r *ref) error {
	must := []*ref{r}
	if r.Ref == (meta.ID{}) {
		must = append(must, sharedRef(g.versions))
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
	f.Detail = "it shares its bytes with other objects and has no record: the bytes may be deleted with those objects"
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

// record records a reference. The entry stays in the queue: if the reference was
// removed since, the collector removes the record again.
func (c *checker) record(ctx context.Context, r *ref) error {
	e := c.entry(meta.QueueFresh, r.queued())
	if err := c.Meta.Enqueue(ctx, e); err != nil {
		return err
	}
	return c.Meta.AddReferences(ctx, []meta.QueueEntry{e}, nil)
}

// confirmStray checks a record again whose reference seems to be removed. Its key is
// known, so it is given to the collector, which proves that there is no reference.
func (c *checker) confirmStray(ctx context.Context, r *ref) error {
	// A copy that shares a blob has a queue entry until its version exists.
	// isStray reads twice: a version may be added and removed between two reads.
	if stray, err := c.isStray(ctx, r); err != nil || !stray {
		return err
	}
	f := c.about(Leftover, r.Bucket, r.Key)
	f.Store, f.Blob = r.Store, r.Blob.String()
	f.Detail = fmt.Sprintf("a reference to a shared blob is recorded (%s) and the key does not refer to it", r.Ref)
	f.Advice = "check with --repair has the collector remove it"
	if c.Repair {
		if err := c.Meta.Enqueue(ctx, c.entry(meta.QueueFreed, r.queued())); err != nil {
			return err
		}
		f.Repaired = true
	}
	return c.found(f)
}

// isStray reports whether a reference is recorded that neither its key nor a queue
// entry has.
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
	for part := range c.Shares { // a single query of the whole table takes too long
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
	return untilItFits(ctx, r, c.keyRefersOnce)
}

// keyRefersOnce returns ErrNotFound if a version changes while it is read.
func (c *checker) keyRefersOnce(ctx context.Context, r *ref) (bool, error) {
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
			if err := meta.Whole(ctx, c.Meta, r.Bucket, r.Key, &page[i]); err != nil {
				return false, err
			}
			if refersTo(page[i].Segments, r) {
				return true, nil
			}
		}
		if len(page) < bucketPage {
			return false, nil
		}
	}
}
