package store

import (
	"context"
	"sync"

	"github.com/pithos/pithos/meta"
)

// preparedWrite is the part of a change that needs no decision: the pending
// listing row, and the head that the change is based on. A PUT prepares both
// while its body arrives; the zero value has nothing prepared. What failed is
// not there either: the change then does it itself, and meets the error again
// if it lasts.
type preparedWrite struct {
	running sync.WaitGroup

	// rev is the revision of pending; without pending, the least revision of the
	// change.
	rev     int64
	pending meta.Pending // nil if there is none
	head    *meta.Head   // nil if it was not read
	// predicted: head was not read, but is that of a new key.
	predicted bool
}

// maxHeadRead is the largest body, in bytes, during which the head is read. Such
// a body usually arrives in one piece, so that the head is still current. A head
// that is not costs one more round.
const maxHeadRead = 1 << 20

// prepareWrite writes the pending row of a change of key, and reads or predicts
// the key's head, concurrently with the body of size bytes (less than 0: not
// known). It is for buckets that never were versioned and writes without
// conditions: other writes need the head before they write a pending row.
func (s *Store) prepareWrite(ctx context.Context, b *meta.Bucket, key string, size int64) *preparedWrite {
	w := &preparedWrite{rev: s.now().UnixMicro()}
	w.running.Go(func() {
		if pending, err := s.meta.Begin(ctx, b.ID, key, w.rev, false); err == nil {
			w.pending = pending
		}
	})
	switch {
	case s.newKeys.predictNew(b.ID):
		w.head, w.predicted = &meta.Head{}, true
	case size >= 0 && size <= maxHeadRead:
		w.running.Go(func() {
			if h, err := s.meta.Read(ctx, b.ID, key, readForPut(b)); err == nil {
				w.head = &h
			}
		})
	}
	return w
}

// wait returns w once nothing of it is running any more, and an empty one for nil.
func (w *preparedWrite) wait() *preparedWrite {
	if w == nil {
		return &preparedWrite{}
	}
	w.running.Wait()
	return w
}

// cancel removes the pending row, if there is one. w may be nil.
func (w *preparedWrite) cancel(ctx context.Context) {
	if w = w.wait(); w.pending != nil {
		w.pending.Cancel(context.WithoutCancel(ctx))
	}
}
