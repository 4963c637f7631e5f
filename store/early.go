package store

import (
	"context"

	"github.com/pithos/pithos/meta"
)

// early is a change that is announced while its body is still coming in.
type early struct {
	done  chan struct{}
	began started
}

// headBeside is the largest body, in bytes, beside which the head is read: it
// comes in one piece, as a rule, and what is overtaken meanwhile is only read
// and decided anew.
const headBeside = 1 << 20

// announce begins a change of key beside the body, and reads the head beside
// it too where the body is so small that the head will still be fresh. Where
// a bucket's keys are all new, it takes this one for new as well. It is for
// buckets that never were versioned, and writes without conditions: others
// want to see the head before they announce anything.
func (s *Store) announce(ctx context.Context, b *meta.Bucket, key string, size int64) *early {
	e := &early{done: make(chan struct{})}
	rev := s.now().UnixMicro()
	head := make(chan *meta.Head, 1)
	guessed := s.newKeys.guess(b.ID)
	switch {
	case guessed:
		head <- &meta.Head{}
	case size >= 0 && size <= headBeside:
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
			e.began = started{rev: rev, pending: pending}
		}
		e.began.head, e.began.guessed = <-head, guessed
	}()
	return e
}

// wait returns what came of it. Errors are not kept: the change is then made
// the ordinary way, and meets them again if they last.
func (e *early) wait() *started {
	if e == nil {
		return nil
	}
	<-e.done
	return &e.began
}

// cancel takes the announcement back.
func (e *early) cancel(ctx context.Context) {
	if e == nil {
		return
	}
	if began := e.wait(); began.pending != nil {
		began.pending.Cancel(context.WithoutCancel(ctx))
	}
}
