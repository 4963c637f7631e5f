package cassandra

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/internal/buffer"
)

// abortTime is how long Abort tries to delete the written chunks.
const abortTime = 10 * time.Second

var errDone = errors.New("the blob is committed or aborted already")

// writer cuts chunks and writes each in a goroutine of its own.
type writer struct {
	store  *Store
	parent context.Context
	ctx    context.Context // ends with the first chunk that fails
	cancel context.CancelCauseFunc
	id     blob.ID

	buf  []byte // the chunk that is being filled
	next int64  // its number
	size int64

	window  chan struct{} // a token for each chunk in flight
	flights sync.WaitGroup
	err     error // sticks
}

// Create implements [blob.Store]. Cancelling ctx ends the writing.
func (s *Store) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &writer{store: s, parent: ctx, id: id, window: make(chan struct{}, s.opts.Window)}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	return w, nil
}

// Write implements [blob.Writer].
func (w *writer) Write(p []byte) (n int, err error) {
	for w.err == nil && len(p) > 0 {
		if w.ctx.Err() != nil {
			w.err = w.cause()
			break
		}
		k := min(len(p), w.store.opts.ChunkBytes-len(w.buf))
		w.buf = append(buffer.Grow(w.buf, k), p[:k]...)
		w.size += int64(k)
		n, p = n+k, p[k:]
		if len(w.buf) == w.store.opts.ChunkBytes {
			w.err = w.launch()
		}
	}
	return n, w.err
}

// launch begins to write the chunk when the window has space.
func (w *writer) launch() error {
	select {
	case w.window <- struct{}{}:
	case <-w.ctx.Done():
		return w.cause()
	}
	data, n := w.buf, w.next
	w.buf, w.next = nil, w.next+1
	w.flights.Add(1)
	go func() {
		defer w.flights.Done()
		defer func() { <-w.window }()
		if err := w.insert(data, n); err != nil {
			w.cancel(err)
		}
		buffer.Put(data)
	}()
	return nil
}

func (w *writer) insert(data []byte, n int64) error {
	sum := sumOf(data, w.id, n)
	at := positionOf(n, w.store.opts.BlockChunks)
	err := retry(w.ctx, func() error { return w.store.db.insert(w.ctx, w.id, at, sum, data) })
	if err != nil {
		return fmt.Errorf("chunk %d: %w", n, err)
	}
	return nil
}

// cause returns why ctx ended.
func (w *writer) cause() error {
	return fmt.Errorf("write blob %s: %w", w.id, context.Cause(w.ctx))
}

// Commit implements [blob.Writer].
func (w *writer) Commit() (blob.Ref, error) {
	if w.err != nil {
		return blob.Ref{}, w.err
	}
	if len(w.buf) > 0 {
		// The last chunk, which for most blobs is the only one, needs no goroutine.
		if err := w.insert(w.buf, w.next); err != nil {
			w.cancel(err)
		}
		w.next++
	}
	w.flights.Wait()
	if w.ctx.Err() != nil {
		w.err = w.cause()
		return blob.Ref{}, w.err
	}
	w.release()
	w.err = errDone
	return blob.Ref{
		ID:    w.id,
		Size:  w.size,
		Chunk: int32(w.store.opts.ChunkBytes),
		Block: int32(w.store.opts.BlockChunks),
	}, nil
}

func (w *writer) release() {
	w.cancel(errDone)
	w.flights.Wait()
	buffer.Put(w.buf)
	w.buf = nil
}

// Abort implements [blob.Writer]. It deletes the blocks that chunks were sent
// to. A chunk that arrives later is older than the delete.
func (w *writer) Abort() {
	if errors.Is(w.err, errDone) {
		return
	}
	w.release()
	w.err = errDone
	if w.next == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.parent), abortTime)
	defer cancel()
	for block := range positionOf(w.next-1, w.store.opts.BlockChunks).block + 1 {
		if w.store.deleteBlock(ctx, w.id, block) != nil {
			return // the garbage collector deletes the rest
		}
	}
}
