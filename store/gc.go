package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pithos/pithos/meta"
)

// enqueueFreed queues the blobs that the key does not refer to any more after m.
// It is called before m is committed, so that no blob is lost if the gateway dies.
func (s *Store) enqueueFreed(ctx context.Context, bucket meta.BucketID, key string, m *mutation) ([]meta.QueueEntry, error) {
	kept := map[reference]bool{}
	for _, v := range m.put {
		for _, seg := range v.Segments {
			kept[referenceOf(seg)] = true
		}
	}
	var entries []meta.QueueEntry
	note := func(upload meta.UploadID, segments []meta.Segment) {
		for _, seg := range segments {
			if seg.Blob != (meta.ID{}) && !kept[referenceOf(seg)] {
				entries = append(entries, s.newQueueEntry(meta.QueueFreed, bucket, key, upload, seg))
			}
		}
	}
	for i := range m.remove {
		v, release, err := s.whole(ctx, bucket, key, &m.remove[i])
		if damage(err) != nil {
			segments, err := s.remains(ctx, bucket, key, &m.remove[i])
			if err != nil {
				return nil, err
			}
			note(m.remove[i].Upload, segments)
			continue
		}
		if errors.Is(err, errReplaced) {
			return nil, meta.ErrConflict // its key has changed since it was read
		}
		if err != nil {
			return nil, err
		}
		defer release()
		note(v.Upload, v.Segments)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return entries, s.meta.Enqueue(ctx, entries...)
}

// dropEntries removes queue entries whose blobs need no check any more. The
// collector does it if this fails.
func (s *Store) dropEntries(ctx context.Context, entries ...meta.QueueEntry) {
	if len(entries) == 0 {
		return
	}
	if err := s.meta.Drop(ctx, entries...); err != nil {
		s.log.Sugar().Debugf("%d queue entries could not be dropped; the collector does it: %v", len(entries), err)
	}
}

// Collected counts what one run of the collector has done.
type Collected struct {
	Looked, Deleted, Postponed int
	// Failed entries are tried again after a grace time; they count as postponed.
	Failed int
	// Overdue is how long ago the oldest entry became due.
	Overdue time.Duration
	// Held: a backup prevents the deletion of blobs.
	Held bool
}

// Collect processes every queue entry that is due, and deletes the blobs that no
// version refers to. Several gateways may collect at the same time.
//
// An entry says that a blob was about to be written (fresh), or that a key was
// about to end its reference to a blob (freed). Whether that happened, only the
// versions of the key tell:
//
//   - A fresh blob with a reference is in use, and a freed blob without one is
//     garbage. Both are final: a key never refers to a blob again after its
//     reference has ended.
//   - A fresh blob without a reference, or a freed one with a reference: perhaps a
//     writer has been paused for longer than the grace time, just before its
//     commit. So the collector claims the entry, which makes commits fail that are
//     guarded by it, and fences the key, which makes commits fail that have passed
//     the guard. Then the key is read again, and the result is final.
//
// Entries for parts of open uploads are postponed. While a backup holds blobs
// nothing is deleted: holds.go has the rule.
func (s *Store) Collect(ctx context.Context) (Collected, error) {
	s.collecting.Lock()
	defer s.collecting.Unlock()
	var total Collected
	for {
		// This check only saves work. The one that counts comes after the proofs,
		// in deleteUnreferenced.
		if may, err := s.mayDelete(ctx); err != nil || !may {
			total.Held = err == nil
			return total, err
		}
		entries, err := s.meta.Due(ctx, s.now(), maxScan)
		if err != nil || len(entries) == 0 {
			return total, err
		}
		p := &pass{store: s, heads: map[keyName]map[reference]bool{}}
		var failed error
		processed := 0
		fail := func(e meta.QueueEntry, err error) {
			total.Failed++
			failed = errors.Join(failed, fmt.Errorf("blob %s of key %q: %w", e.Blob.Blob, e.Blob.Key, err))
			if s.postpone(ctx, e) == nil {
				total.Postponed++ // so that it does not delay other entries
			}
		}
		for _, e := range entries {
			if ctx.Err() != nil {
				return total, ctx.Err()
			}
			total.Looked++
			total.Overdue = max(total.Overdue, s.now().Sub(e.Due))
			done, err := p.process(ctx, e)
			if err != nil {
				fail(e, err)
				continue
			}
			processed++
			if !done {
				total.Postponed++
			}
		}
		held, err := p.deleteUnreferenced(ctx, fail)
		total.Deleted += p.deleted
		total.Held = held
		if err = errors.Join(failed, err); err != nil || held || processed == 0 {
			return total, err
		}
	}
}

// deleteUnreferenced deletes the blobs that process has proven to have no
// reference, and drops their entries. If there is a hold, both stay.
func (p *pass) deleteUnreferenced(ctx context.Context, fail func(meta.QueueEntry, error)) (held bool, err error) {
	if len(p.unreferenced) == 0 {
		return false, nil
	}
	may, err := p.store.mayDelete(ctx)
	if err != nil || !may {
		return err == nil, err
	}
	for _, e := range p.unreferenced {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		err := p.deleteBlob(ctx, e.Blob)
		if err == nil {
			err = p.store.meta.Drop(ctx, e)
		}
		if err != nil {
			fail(e, err)
		}
	}
	return false, nil
}

// postpone makes an entry due again after another grace time. The new entry is
// stored before the old one is dropped, so a crash leaves both. It must not be
// called for an entry that guards a commit: the guard would be gone.
func (s *Store) postpone(ctx context.Context, e meta.QueueEntry) error {
	later := e
	later.Due, later.Entry = s.now().Add(s.grace).UTC().Truncate(time.Microsecond), meta.NewID()
	if err := s.meta.Enqueue(ctx, later); err != nil {
		return err
	}
	return s.meta.Drop(ctx, e)
}

// maxHeld is how many references of keys one pass remembers: an object may have
// 10,000.
const maxHeld = 100_000

// pass processes a number of entries.
type pass struct {
	store        *Store
	heads        map[keyName]map[reference]bool // the references of keys
	held         int                            // references in heads
	unreferenced []meta.QueueEntry              // entries whose blobs are to be deleted
	deleted      int
}

type keyName struct {
	bucket meta.BucketID
	key    string
}

// process processes one entry. done reports that the entry was dropped, or that
// deleteUnreferenced deletes its blob and drops it.
func (p *pass) process(ctx context.Context, e meta.QueueEntry) (done bool, err error) {
	s := p.store
	if e.Blob.Upload != (meta.UploadID{}) {
		open, err := s.uploadActive(ctx, e)
		if err != nil {
			return false, err
		}
		if open {
			return false, s.postpone(ctx, e)
		}
	}
	refers, err := p.isReferenced(ctx, e)
	if err != nil {
		return false, err
	}
	if sure := refers == (e.Kind == meta.QueueFresh); !sure {
		err := s.meta.Claim(ctx, e)
		if errors.Is(err, meta.ErrNotFound) {
			return true, nil // its writer has dropped it
		}
		if err != nil {
			return false, err
		}
		if _, err := s.meta.Fence(ctx, e.Blob.Bucket, e.Blob.Key, s.now().UnixMicro(), meta.ReadOptions{}); err != nil {
			return false, err
		}
		delete(p.heads, keyName{e.Blob.Bucket, e.Blob.Key})
		if refers, err = p.isReferenced(ctx, e); err != nil {
			return false, err
		}
	}
	if !refers {
		last, err := p.dropReference(ctx, e)
		if err != nil {
			return false, err
		}
		if last {
			p.unreferenced = append(p.unreferenced, e)
			return true, nil
		}
	}
	return true, s.meta.Drop(ctx, e)
}

// uploadActive reports whether the upload of a part is open or being completed.
//
// An upload whose Complete seems to have died is opened again. While it is being
// completed it is not listed, so that no client could find and abort it. If the
// Complete was only paused, it either finds the upload open, or has passed that
// check; then the object and the open upload share parts, as after any repeated
// Complete. Rows that are left of an ended upload, because the gateway that ended
// it died, are deleted.
func (s *Store) uploadActive(ctx context.Context, e meta.QueueEntry) (bool, error) {
	u, err := s.meta.Upload(ctx, e.Blob.Bucket, e.Blob.Key, e.Blob.Upload)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	if err == nil && u.State == meta.UploadCompleting && s.now().Sub(time.UnixMicro(u.Rev)) > s.grace {
		if _, err := s.meta.SetUploadState(ctx, u, meta.UploadOpen); err != nil && !errors.Is(err, meta.ErrConflict) {
			return false, err
		}
	}
	if err == nil && (u.State == meta.UploadDone || u.State == meta.UploadAborted) {
		return false, s.forgetEnded(ctx, u)
	}
	return err == nil && (u.State == meta.UploadOpen || u.State == meta.UploadCompleting), err
}

// forgetEnded deletes the rows of an ended upload's parts.
func (s *Store) forgetEnded(ctx context.Context, u meta.Upload) error {
	parts, err := s.meta.Parts(ctx, u.ID, 0, 1)
	if err != nil || len(parts) == 0 {
		return err
	}
	if err := s.meta.ForgetUpload(ctx, u); err != nil && !errors.Is(err, meta.ErrConflict) {
		return err
	}
	return nil
}

// isReferenced reports whether a version of the entry's key refers to its blob.
func (p *pass) isReferenced(ctx context.Context, e meta.QueueEntry) (bool, error) {
	name := keyName{e.Blob.Bucket, e.Blob.Key}
	own := reference{e.Blob.Blob, e.Blob.Ref}
	if blobs, ok := p.heads[name]; ok {
		return blobs[own], nil
	}
	blobs, err := p.store.referencesOf(ctx, name)
	if err != nil {
		return false, err
	}
	if p.held += len(blobs) + 1; p.held > maxHeld {
		clear(p.heads)
		p.held = len(blobs) + 1
	}
	p.heads[name] = blobs
	return blobs[own], nil
}

// referencesOf returns the references of a key's versions to blobs, all read at
// one revision of the key. Otherwise a reference that moves from one version to
// another, while they are read page by page, could be missed.
func (s *Store) referencesOf(ctx context.Context, name keyName) (map[reference]bool, error) {
	blobs, reads, err := s.referencesByPage(ctx, name)
	if err == nil && reads == 1 || err != nil && !errors.Is(err, errReplaced) {
		return blobs, err
	}
	for try := 0; ; try++ {
		h, err := s.meta.Read(ctx, name.bucket, name.key, meta.ReadOptions{})
		if err != nil {
			return nil, err
		}
		blobs, _, read := s.referencesByPage(ctx, name)
		if read != nil && !errors.Is(read, errReplaced) {
			return nil, read
		}
		after, err := s.meta.Read(ctx, name.bucket, name.key, meta.ReadOptions{})
		if err != nil || after.Rev == h.Rev {
			return blobs, cmp.Or(err, read)
		}
		if try == maxTries {
			return nil, fmt.Errorf("the key changed %d times while its versions were read", try)
		}
		if err := BackOff(ctx, try); err != nil {
			return nil, err
		}
	}
}

// referencesByPage is blobsOf, which may have been made of several reads.
func (s *Store) referencesByPage(ctx context.Context, name keyName) (blobs map[reference]bool, reads int, err error) {
	blobs = map[reference]bool{}
	for before := int64(0); ; {
		page, err := s.meta.Versions(ctx, name.bucket, name.key, before, maxScan)
		if err != nil {
			return nil, reads, err
		}
		reads++
		add := func(segments []meta.Segment) {
			for i := range segments {
				blobs[referenceOf(segments[i])] = true
			}
		}
		for i := range page {
			v := &page[i]
			before = v.Seq
			add(v.Segments)
			if v.Pages == nil {
				continue
			}
			reads++
			err := meta.EachPage(ctx, s.meta, name.bucket, name.key, v, 0, len(v.Pages.Index), func(p *meta.Page) { add(p.Segments) })
			if err != nil {
				return nil, reads, s.goneVersion(ctx, name.bucket, name.key, v, err)
			}
		}
		if len(page) < maxScan {
			return blobs, reads, nil
		}
	}
}
