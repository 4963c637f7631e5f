package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pithos/pithos/internal/pause"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

const (
	// maxTries bounds how often a change is decided again because another one
	// was committed first. Each try backs off longer: this is half a minute.
	maxTries = 60
	// deletionTries is how many tries a write waits for a DeleteBucket.
	deletionTries = 8
	// headVersions is how many versions of a key a change reads: the current one,
	// and the one that becomes current when that is removed.
	headVersions = 2
)

// mutation is what a decider wants to change of a key.
type mutation struct {
	// put are versions to add or replace. Those with Seq 0 are new, and get the
	// revision of the change.
	put []*meta.Version
	// remove are versions to remove.
	remove []meta.Version
	// guard: see meta.Change.
	guard []meta.QueueEntry
}

// decider reads a key's head and returns what to change, or nil to leave the key
// as it is. It is called again after each conflict with another change.
type decider func(h *meta.Head) (*mutation, error)

// change makes one atomic change of a key:
//
//  1. Read the key's head, unless it was read while the body arrived.
//  2. End a rename of one of its versions (renameresolve.go).
//  3. Call decide. Conditions belong there: decide gets exactly the state that
//     the change replaces.
//  4. End the upload that made the version which is replaced (endUpload), and
//     renames whose note is lost with it (removeSources).
//  5. Commit, on condition that the head is still as it was read.
//
// If another change was committed since step 1, change waits for a random time
// and starts again. prepared is nil if nothing was prepared.
//
// Errors: those of decide, NoSuchBucket, [ErrBucketRecreated], OperationAborted
// after maxTries conflicts, SlowDown if the collector has claimed the new blob.
func (s *Store) change(ctx context.Context, b *meta.Bucket, key string, read meta.ReadOptions, prepared *preparedWrite, decide decider) error {
	read.Limit = headVersions
	w := prepared.wait()
	for try := 0; ; try++ {
		err := s.changeOnce(ctx, b, key, read, w, decide)
		if err == nil {
			return nil
		}
		predicted := w.predicted
		w = &preparedWrite{}
		if predicted && errors.Is(err, meta.ErrConflict) {
			continue // the prediction was wrong: there is no other writer to wait for
		}
		if err := s.awaitRetry(ctx, b, try, err); err != nil {
			return err
		}
	}
}

// changeOnce is steps 1 to 5 of change.
func (s *Store) changeOnce(ctx context.Context, b *meta.Bucket, key string, read meta.ReadOptions, w *preparedWrite, decide decider) error {
	committing := false
	defer func() {
		if !committing {
			w.cancel(ctx)
		}
	}()
	if w.head == nil {
		h, err := s.meta.Read(ctx, b.ID, key, read)
		if err != nil {
			return err
		}
		w.head = &h
	}
	if inRename(w.head) {
		var err error
		if w.head, err = s.endRenames(ctx, b.ID, key, read, w.head); err != nil {
			return err
		}
	}
	m, err := decide(w.head)
	if err != nil || m == nil {
		return err
	}
	if err := s.endUpload(ctx, b.ID, key, w.head, m); err != nil {
		return err
	}
	if err := s.removeSources(ctx, b.ID, w.head, m); err != nil {
		return err
	}
	committing = true
	return s.commit(ctx, b.ID, key, w, m)
}

// commit makes the change m of a key on condition that its head is still w.head:
//
//  1. Queue the blobs whose last reference m removes (gc.go).
//  2. Write the pending listing row, unless that is prepared.
//  3. Commit. Where that is known to have failed, the pending row and the queue
//     entries are removed.
//
// Errors are those of the driver: [meta.ErrConflict] if the head has changed.
func (s *Store) commit(ctx context.Context, bucket meta.BucketID, key string, w *preparedWrite, m *mutation) (err error) {
	defer func() {
		if err != nil && !unknown(err) {
			w.cancel(ctx)
		}
	}()
	rev := w.rev
	if w.pending == nil {
		rev = max(rev, s.now().UnixMicro())
	}
	c := s.toChange(key, w.head, m, max(rev, w.head.Rev+2))
	queued, err := s.enqueueFreed(ctx, bucket, key, m)
	if err != nil {
		return err
	}
	if w.pending == nil {
		if w.pending, err = s.meta.Begin(ctx, bucket, key, c.Rev, c.History); err != nil {
			return err
		}
	}
	err = w.pending.Commit(ctx, *c)
	if err != nil && !unknown(err) {
		s.async(func(ctx context.Context) { s.dropEntries(ctx, queued...) })
	}
	return err
}

// toChange returns what m makes of a key with the head h, as the driver wants it:
// the versions with their revision, and the key's listing entry.
func (s *Store) toChange(key string, h *meta.Head, m *mutation, rev int64) *meta.Change {
	c := &meta.Change{IfRev: h.Rev, Rev: rev, ID: meta.NewID(), NullSeq: h.NullSeq, Guard: m.guard}
	left := slices.Clone(h.Versions)
	for _, v := range m.remove {
		c.Delete = append(c.Delete, v.Seq)
		left = slices.DeleteFunc(left, func(l meta.Version) bool { return l.Seq == v.Seq })
		if v.Seq == c.NullSeq {
			c.NullSeq = 0
		}
	}
	for _, v := range m.put {
		if v.Seq == 0 {
			v.Seq = rev
			if v.Modified == 0 {
				v.Modified = s.now().UnixMicro()
			}
		}
		if v.Null {
			c.NullSeq = v.Seq
		}
		c.Put = append(c.Put, v.Paged())
		left = slices.DeleteFunc(left, func(l meta.Version) bool { return l.Seq == v.Seq })
		left = append(left, *v)
	}
	// A version that is replaced in its place may be older than those in h: only
	// the order tells which version is current.
	slices.SortFunc(left, func(a, b meta.Version) int { return int(min(max(b.Seq-a.Seq, -1), 1)) })
	switch {
	case len(left) == 0:
		c.RemovesKey = true
	case left[0].DeleteMarker:
		c.History = true
	default:
		c.Entry = meta.EntryOf(key, &left[0])
		// A head of headVersions may not have all versions of the key.
		c.History = len(h.Versions) >= headVersions || len(left) > 1
	}
	return c
}

// awaitRetry returns nil, after a wait, if a change that ended with err is to be
// decided again. Otherwise it returns the error for the caller of change.
func (s *Store) awaitRetry(ctx context.Context, b *meta.Bucket, try int, err error) error {
	switch {
	case errors.Is(err, meta.ErrBucketGone):
		return s.bucketGone(ctx, b)
	case errors.Is(err, meta.ErrBucketDeleting):
		return s.awaitDeletion(ctx, b, try)
	case errors.Is(err, meta.ErrClaimed):
		return errUploadExpired(err)
	case !errors.Is(err, meta.ErrConflict):
		return err
	case finalDamage(err, try) != nil:
		return finalDamage(err, try)
	case try >= maxTries:
		return tooManyChanges(err)
	}
	return BackOff(ctx, try)
}

// tooManyChanges is the error of an operation that other changes of its key have
// overtaken maxTries times.
func tooManyChanges(cause error) error {
	return &s3err.Error{Code: s3err.OperationAborted, Message: "Too many others are changing this key; please try again", Err: cause}
}

// BackOff sleeps for a random time that grows with try, up to half a second.
func BackOff(ctx context.Context, try int) error {
	limit := min(time.Millisecond<<min(try+1, 9), 500*time.Millisecond)
	return pause.For(ctx, rand.N(limit)+time.Millisecond)
}

// async runs f asynchronously, for a minute at most. Flush waits for it.
func (s *Store) async(f func(ctx context.Context)) {
	s.background.Add(1)
	go func() {
		defer s.background.Done()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		f(ctx)
	}()
}
