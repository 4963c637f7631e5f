package store

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// preparedWrite is a change that is announced while its body is still coming in.
type preparedWrite struct {
	done chan struct{}
	prep preparation
}

// maxHeadRead is the largest body, in bytes, beside which the head is read: it
// comes in one piece, as a rule, and what is overtaken meanwhile is only read
// and decided anew.
const maxHeadRead = 1 << 20

// prepareWrite begins a change of key beside the body, and reads the head beside
// it too where the body is so small that the head will still be fresh. Where
// a bucket's keys are all new, it takes this one for new as well. It is for
// buckets that never were versioned, and writes without conditions: others
// want to see the head before they announce anything.
func (s *Store) prepareWrite(ctx context.Context, b *meta.Bucket, key string, size int64) *preparedWrite {
	e := &preparedWrite{done: make(chan struct{})}
	rev := s.now().UnixMicro()
	head := make(chan *meta.Head, 1)
	predicted := s.newKeys.predictNew(b.ID)
	switch {
	case predicted:
		head <- &meta.Head{}
	case size >= 0 && size <= maxHeadRead:
		go func() {
			h, err := s.meta.Read(ctx, b.ID, key, readForPut(b))
			if err != nil {
				head <- nil
				return
			}
			head <- &h
		}()
	default:
		head <- nil
	}
	go func() {
		defer close(e.done)
		pending, err := s.meta.Begin(ctx, b.ID, key, rev, false)
		if err == nil {
			e.prep = preparation{rev: rev, pending: pending}
		}
		e.prep.head, e.prep.predicted = <-head, predicted
	}()
	return e
}

// wait returns what came of it. Errors are not kept: the change is then made
// the ordinary way, and meets them again if they last.
func (e *preparedWrite) wait() *preparation {
	if e == nil {
		return nil
	}
	<-e.done
	return &e.prep
}

// cancel takes the announcement back.
func (e *preparedWrite) cancel(ctx context.Context) {
	if e == nil {
		return
	}
	if prep := e.wait(); prep.pending != nil {
		prep.pending.Cancel(context.WithoutCancel(ctx))
	}
}
