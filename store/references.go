package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pithos/pithos/meta"
)

// Several keys can share a blob: a copy refers to the blobs of its source.
//
// The first key of a blob is its owner, whose reference has no Ref. Each other
// reference has a Ref of its own. It is recorded ([meta.References]) before the
// change that makes it, and guarded by a fresh queue entry, as if the blob were
// written now. The owner is recorded when the blob is first shared. After a
// reference is recorded, the source is read again: if it still refers to the
// blob, then its reference has not begun to end, and the process that ends it
// later finds the new reference recorded.
//
// So each reference ends on its own: the collector finds that the key does not
// refer to the blob any more, removes the record of the reference, and deletes
// the blob if no other reference is recorded. If two references end at the same
// time, the one that reads the records last finds none.
//
// The entry of a reference that was never committed deletes nothing: perhaps no
// reference has been recorded yet, and only the source knows of the blob.

// reference names one of the references to a blob.
type reference struct{ blob, ref meta.ID }

func referenceOf(seg meta.Segment) reference { return reference{seg.Blob, seg.Ref} }

// sharedBody is a body of another version's blobs: the references are recorded,
// and no version has them yet.
type sharedBody struct {
	segments []meta.Segment
	guard    []meta.QueueEntry
}

// shareBlobs records that key of b is about to refer to the blobs of src. Before
// the commit the caller makes sure that the source still refers to them. The
// collector removes references that are never committed. SlowDown if the
// collector has claimed one meanwhile.
func (s *Store) shareBlobs(ctx context.Context, src source, b *meta.Bucket, key string) (*sharedBody, error) {
	body := &sharedBody{segments: slices.Clone(src.version.Segments)}
	holder := meta.Holder{Bucket: src.bucket.ID, Key: src.key, Upload: src.version.Upload}
	var owners []meta.QueuedBlob
	for i := range body.segments {
		seg := &body.segments[i]
		if seg.Blob == (meta.ID{}) {
			continue // inline
		}
		if seg.Ref == (meta.ID{}) {
			owners = append(owners, meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: holder.Bucket, Key: holder.Key, Upload: holder.Upload})
		}
		holder.Ref = seg.Ref
		seg.Ref = meta.NewID()
		e := s.newQueueEntry(meta.QueueFresh, b.ID, key, meta.UploadID{}, *seg)
		e.Blob.Source = holder
		body.guard = append(body.guard, e)
	}
	if len(body.guard) == 0 {
		return body, nil
	}
	if err := s.meta.Enqueue(ctx, body.guard...); err != nil {
		return nil, err
	}
	err := s.meta.AddReferences(ctx, body.guard, owners)
	if errors.Is(err, meta.ErrClaimed) {
		return nil, errUploadExpired(err)
	}
	return body, err
}

// sameBlobs reports whether two versions of a key refer to the same blobs by the
// same references. A version keeps its blobs as long as it is there, but for an
// append, which gives it another ETag.
func sameBlobs(a, b *meta.Version) bool { return a.Seq == b.Seq && a.ETag == b.ETag }

// dropReference ends the reference of a queue entry. The entry's key does not
// have it any more and never will again. last reports that no other reference to
// the blob is left: it is to be deleted. It may be repeated.
func (p *pass) dropReference(ctx context.Context, e meta.QueueEntry) (last bool, err error) {
	shared := e.Kind == meta.QueueFresh && e.Blob.Ref != (meta.ID{})
	others, err := p.endReference(ctx, e.Blob, shared)
	switch {
	case err != nil:
		return false, err
	case shared:
		// It is not known whether the reference was ever recorded, nor, if no
		// other is recorded, whether the source still refers to the blob.
		if err := p.requeue(ctx, e.Blob, e.Blob.Source); err != nil {
			return false, err
		}
	case len(others) == 0:
		return true, nil
	}
	if len(others) == 1 && others[0].Ref == (meta.ID{}) {
		// Only the owner is recorded. A copy that was given up may have recorded it
		// after the owner's reference had ended.
		return false, p.requeue(ctx, e.Blob, meta.Holder{Bucket: others[0].Bucket, Key: others[0].Key, Upload: others[0].Upload})
	}
	return false, nil
}

// endReference removes the record of a reference, and returns the other
// references to the blob. If mayCome, the record may still be written, so it is
// removed even if it is not there.
func (p *pass) endReference(ctx context.Context, b meta.QueuedBlob, mayCome bool) ([]meta.QueuedBlob, error) {
	recorded, err := p.store.meta.References(ctx, b)
	if err != nil {
		return nil, err
	}
	own := func(r meta.QueuedBlob) bool { return r.Ref == b.Ref }
	if mayCome || slices.ContainsFunc(recorded, own) {
		if err := p.store.meta.RemoveReference(ctx, b); err != nil {
			return nil, err
		}
		if recorded, err = p.store.meta.References(ctx, b); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(recorded, own), nil
}

// requeue queues a blob of the key h again if the key does not refer to it any
// more.
func (p *pass) requeue(ctx context.Context, b meta.QueuedBlob, h meta.Holder) error {
	refers, err := p.store.referencesOf(ctx, keyName{h.Bucket, h.Key})
	if err != nil || refers[reference{b.Blob, h.Ref}] {
		return err
	}
	return p.store.meta.Enqueue(ctx, p.store.newQueueEntry(meta.QueueFreed, h.Bucket, h.Key, h.Upload, meta.Segment{Store: b.Store, Blob: b.Blob, Ref: h.Ref}))
}

func (p *pass) deleteBlob(ctx context.Context, b meta.QueuedBlob) error {
	store := p.store.blobs[b.Store]
	if store == nil {
		return fmt.Errorf("blob store %q is not configured", b.Store)
	}
	if err := store.Delete(ctx, b.Blob); err != nil {
		return err
	}
	p.deleted++
	return nil
}
