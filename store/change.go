package store

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

const (
	// maxTries bounds how often a change that others keep overtaking is
	// decided anew. Each try backs off longer, so this is half a minute.
	maxTries = 60
	// deletionTries is how many tries a write waits for a DeleteBucket.
	deletionTries = 8
)

// BackOff sleeps for a random while that grows with try, up to half a second.
func BackOff(ctx context.Context, try int) error {
	limit := min(time.Millisecond<<min(try+1, 9), 500*time.Millisecond)
	t := time.NewTimer(rand.N(limit) + time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// mutation is what a decider wants to become of a key.
type mutation struct {
	// put are versions to add or replace; those with Seq 0 are new, and are
	// given the revision of the change.
	put []*meta.Version
	// remove are versions that go.
	remove []meta.Version
	// guard: see meta.Change.
	guard []meta.QueueEntry
}

// decider looks at a key and says what to change, or nil to leave it as it is.
// It is called again when somebody else's change came first.
type decider func(h *meta.Head) (*mutation, error)

// preparation is a change that was announced, and a head that was read, while a
// body was still coming in. Either may be missing. Without a pending change
// rev is the least revision of the one to be made.
type preparation struct {
	rev     int64
	pending meta.Pending
	head    *meta.Head
	// predicted says that head is that of a key that was taken for new.
	predicted bool
}

// change makes one atomic change to a key. Conditions belong into decide: it
// sees exactly the state that the change will replace.
func (s *Store) change(ctx context.Context, b *meta.Bucket, key string, read meta.ReadOptions, prep *preparation, decide decider) error {
	if read.Limit < 2 {
		read.Limit = 2 // the current version, and what comes to light when it goes
	}
	if prep == nil {
		prep = &preparation{}
	}
	for try := 0; ; try++ {
		err := s.changeOnce(ctx, b, key, read, prep, decide)
		predicted := prep.predicted
		*prep = preparation{}
		if err == nil {
			return nil
		}
		if predicted && errors.Is(err, meta.ErrConflict) {
			continue // nobody is in the way: the key was not new
		}
		if err := s.awaitRetry(ctx, b, try, err); err != nil {
			return err
		}
	}
}

// awaitRetry returns nil, after a while, where a change that ended with err is
// to be decided anew, and otherwise the error that it ends with.
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
	case try >= maxTries:
		return &s3err.Error{Code: s3err.OperationAborted, Message: "Too many others are changing this key; please try again", Err: err}
	}
	return BackOff(ctx, try)
}

// changeOnce reads, decides and commits once.
func (s *Store) changeOnce(ctx context.Context, b *meta.Bucket, key string, read meta.ReadOptions, prep *preparation, decide decider) error {
	m, head, err := s.decided(ctx, b, key, read, prep.head, decide)
	if err != nil || m == nil {
		if prep.pending != nil {
			prep.pending.Cancel(context.WithoutCancel(ctx))
		}
		return err
	}
	return s.commit(ctx, b.ID, key, head, len(head.Versions) >= read.Limit, m, prep)
}

// decided asks the decider what is to become of the key, whose head may have
// been read already.
func (s *Store) decided(ctx context.Context, b *meta.Bucket, key string, read meta.ReadOptions, head *meta.Head, decide decider) (m *mutation, _ *meta.Head, err error) {
	if head == nil {
		head, err = s.readResolved(ctx, b, key, read)
	} else {
		head, err = s.resolveRename(ctx, b, key, read, head)
	}
	if err != nil {
		return nil, nil, err
	}
	if m, err = decide(head); err != nil || m == nil {
		return nil, nil, err
	}
	if err := s.endUpload(ctx, b.ID, key, head, m); err != nil {
		return nil, nil, err
	}
	return m, head, s.removeSources(ctx, b.ID, head, m)
}

// commit makes the change m of a key, if its head is as it was read. more
// says that the key may have older versions than those in head.
func (s *Store) commit(ctx context.Context, bucket meta.BucketID, key string, head *meta.Head, more bool, m *mutation, prep *preparation) (err error) {
	pending, rev := prep.pending, prep.rev
	defer func() {
		if err != nil && pending != nil && !errors.Is(err, meta.ErrUnknownOutcome) {
			pending.Cancel(context.WithoutCancel(ctx))
		}
	}()
	if pending == nil {
		rev = max(rev, s.now().UnixMicro())
	}
	c := s.toChange(key, head, more, m, max(rev, head.Rev+2))
	queued, err := s.enqueueFreed(ctx, bucket, key, m)
	if err != nil {
		return err
	}
	if pending == nil {
		if pending, err = s.meta.Begin(ctx, bucket, key, c.Rev, c.History); err != nil {
			return err
		}
	}
	err = pending.Commit(ctx, *c)
	if err != nil && !errors.Is(err, meta.ErrUnknownOutcome) {
		s.async(func(ctx context.Context) { s.dropEntries(ctx, queued...) })
	}
	return err
}

// toChange works out what the change m, at the revision rev, makes of a key. more
// says that the key may have older versions than those in h.
func (s *Store) toChange(key string, h *meta.Head, more bool, m *mutation, rev int64) *meta.Change {
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
		c.Put = append(c.Put, stored(v))
		left = slices.DeleteFunc(left, func(l meta.Version) bool { return l.Seq == v.Seq })
		left = append(left, *v)
	}
	// What replaces an older version in its place may lie below those read:
	// only order tells which one is current.
	slices.SortFunc(left, func(a, b meta.Version) int { return int(min(max(b.Seq-a.Seq, -1), 1)) })
	switch {
	case len(left) == 0:
		c.RemovesKey = true
	case left[0].DeleteMarker:
		c.History = true
	default:
		c.Entry = meta.EntryOf(key, &left[0])
		c.History = more || len(left) > 1
	}
	return c
}

// stored returns v as it is stored.
func stored(v *meta.Version) meta.Version {
	if len(v.Segments) <= pagedAbove {
		return *v
	}
	return v.Paged()
}

// pagedAbove is how many segments a version may have beside the rest of it. This
// version of the program reads pages, and the next one writes them: so two that
// serve together understand each other.
const pagedAbove = math.MaxInt

// async runs f after the answer; Flush waits for it.
func (s *Store) async(f func(ctx context.Context)) {
	s.background.Add(1)
	go func() {
		defer s.background.Done()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		f(ctx)
	}()
}
