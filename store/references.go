package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pithos/pithos/meta"
)

// Blobs are shared between keys: a copy refers to the blobs of its source.
//
// A key that refers to another's blob does so under a Ref of its own, which
// is recorded as a reference ([meta.References]) before the change that makes
// it, and under the guard of a fresh queue entry, as if the blob had been
// written anew. Whoever records a reference looks at the source once more
// after that: if it still refers to the blob, then nobody has begun to end
// that reference, and whoever does will find the new one recorded.
//
// So each reference ends for itself: the collector finds that its key does not
// refer to the blob any more, removes what is recorded of it, and deletes the
// blob if nothing else is recorded then. Of two that end together the one that
// reads last finds nothing.
//
// A blob's first key, its home, is recorded when the blob is first shared. An
// entry of a reference that was never committed deletes nothing: nothing may
// have been recorded yet, and the lender alone knows of the blob.

// reference names one of the references to a blob.
type reference struct{ blob, ref meta.ID }

func referenceOf(seg meta.Segment) reference { return reference{seg.Blob, seg.Ref} }

// sharedBody is a body that consists of another version's blobs, recorded and not
// yet referred to.
type sharedBody struct {
	segments []meta.Segment
	guard    []meta.QueueEntry
}

// shareBlobs records that key of b is about to refer to the blobs of src, a
// version of srcKey of sb. The caller makes sure afterwards, and before it
// commits, that the source still is as it was. What is never committed the
// collector clears away.
func (s *Store) shareBlobs(ctx context.Context, sb *meta.Bucket, srcKey string, src *meta.Version, b *meta.Bucket, key string) (*sharedBody, error) {
	l := &sharedBody{segments: slices.Clone(src.Segments)}
	var owners []meta.QueuedBlob
	for i := range l.segments {
		seg := &l.segments[i]
		if seg.Blob == (meta.ID{}) {
			continue // inline
		}
		if seg.Ref == (meta.ID{}) {
			owners = append(owners, meta.QueuedBlob{Store: seg.Store, Blob: seg.Blob, Bucket: sb.ID, Key: srcKey, Upload: src.Upload})
		}
		lender := meta.Holder{Bucket: sb.ID, Key: srcKey, Upload: src.Upload, Ref: seg.Ref}
		seg.Ref = meta.NewID()
		e := s.newQueueEntry(meta.QueueFresh, b.ID, key, meta.UploadID{}, *seg)
		e.Blob.Source = lender
		l.guard = append(l.guard, e)
	}
	if len(l.guard) == 0 {
		return l, nil
	}
	if err := s.meta.Enqueue(ctx, l.guard...); err != nil {
		return nil, err
	}
	err := s.meta.AddReferences(ctx, l.guard, owners)
	if errors.Is(err, meta.ErrClaimed) {
		return nil, errUploadExpired(err)
	}
	return l, err
}

// sameBlobs reports whether two versions of a key refer to the same blobs by the
// same references. A version keeps its blobs as long as it is there, but for an
// append, which gives it another ETag.
func sameBlobs(a, b *meta.Version) bool { return a.Seq == b.Seq && a.ETag == b.ETag }

// dropReference ends a reference to a blob, whose key does not refer to it any more
// and never will again. last says that it was the last one: the blob is to be
// deleted. It may be repeated.
func (p *pass) dropReference(ctx context.Context, e meta.QueueEntry) (last bool, err error) {
	shared := e.Kind == meta.QueueFresh && e.Blob.Ref != (meta.ID{})
	others, err := p.endReference(ctx, e.Blob, shared)
	switch {
	case err != nil:
		return false, err
	case shared:
		// Whether it ever was recorded nobody knows, nor, if nothing is, whether
		// the lender still refers to the blob: that is asked of the lender.
		if err := p.requeue(ctx, e.Blob, e.Blob.Source); err != nil {
			return false, err
		}
	case len(others) == 0:
		return true, nil
	}
	if len(others) == 1 && others[0].Ref == (meta.ID{}) {
		// The home alone is recorded: perhaps after its reference had ended, by
		// a copy that was then given up.
		return false, p.requeue(ctx, e.Blob, meta.Holder{Bucket: others[0].Bucket, Key: others[0].Key, Upload: others[0].Upload})
	}
	return false, nil
}

// endReference removes what is recorded of a reference, and returns what else
// is recorded of the blob. It removes what is not there too where it may yet
// come.
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

// requeue has a key that had a blob looked at once more if it does not refer
// to it any more.
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
