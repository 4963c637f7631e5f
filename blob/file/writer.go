package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/internal/buffer"
)

const (
	// flushBytes is the size of one write of a large blob.
	flushBytes = 256 << 10
	// writebackBytes is the number of bytes after which the system is told to
	// begin writing a large file to disk, so that the fsync at the end is short.
	writebackBytes = 4 << 20
)

var errDone = errors.New("the blob is committed or aborted already")

// writer builds the image of a blob in buf. It opens a file when the blob is
// larger than a small one and buf is full.
type writer struct {
	store *Store
	ctx   context.Context
	id    blob.ID

	buf   []byte // the part of the image that is not in the file yet
	limit int    // length of buf from which on it is flushed
	size  int64
	chunk int64  // number of the chunk that is open
	open  int    // bytes in it
	crc   uint32 // of them
	file  vfs.File
	err   error // sticks
}

// Create implements [blob.Store]. Cancelling ctx ends the writing.
func (s *Store) Create(ctx context.Context, id blob.ID) (blob.Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// One byte more than any small image: only large blobs are flushed.
	limit := imageLen(max(s.opts.SmallBytes, flushBytes), chunkBytes) + 1
	return &writer{store: s, ctx: ctx, id: id, limit: int(limit)}, nil
}

// Write implements [blob.Writer].
func (w *writer) Write(p []byte) (n int, err error) {
	for w.err == nil && len(p) > 0 {
		k := min(len(p), chunkBytes-w.open, w.limit-len(w.buf))
		if err := w.append(p[:k]); err != nil {
			w.fail(err)
			break
		}
		n, p = n+k, p[k:]
	}
	return n, w.err
}

func (w *writer) append(p []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	w.buf = append(buffer.Grow(w.buf, len(p)+sumBytes), p...)
	w.crc = crc32.Update(w.crc, castagnoli, p)
	w.open += len(p)
	w.size += int64(len(p))
	if w.open == chunkBytes {
		w.endChunk()
	}
	if len(w.buf) >= w.limit {
		return w.flush()
	}
	return nil
}

// endChunk ends the open chunk with its checksum.
func (w *writer) endChunk() {
	w.buf = binary.BigEndian.AppendUint32(buffer.Grow(w.buf, sumBytes), bind(w.crc, w.id, w.chunk))
	w.chunk, w.open, w.crc = w.chunk+1, 0, 0
}

// flush moves buf into the file.
func (w *writer) flush() error {
	if err := w.store.checkSpace(len(w.buf)); err != nil {
		return err
	}
	if w.file == nil {
		f, err := w.store.opts.FS.Create(w.store.tmpPath(w.id), vfs.WriteCategoryUnspecified)
		if err != nil {
			return diskError(err)
		}
		w.file = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{
			BytesPerSync:  writebackBytes,
			NoSyncOnClose: true, // commitLarge syncs, and an aborted blob needs none
		})
	}
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	return diskError(err)
}

// Commit implements [blob.Writer].
func (w *writer) Commit() (blob.Ref, error) {
	if w.err != nil {
		return blob.Ref{}, w.err
	}
	err := w.ctx.Err()
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		w.fail(err)
		return blob.Ref{}, w.err
	}
	w.release()
	w.err = errDone
	return blob.Ref{ID: w.id, Size: w.size, Chunk: chunkBytes}, nil
}

func (w *writer) commit() error {
	if w.open > 0 {
		w.endChunk()
	}
	switch {
	case w.size == 0:
		return nil
	case w.size <= w.store.opts.SmallBytes:
		return w.commitSmall()
	}
	return w.commitLarge()
}

func (w *writer) commitSmall() error {
	if err := w.store.checkSpace(len(w.buf)); err != nil {
		return err
	}
	if err := w.store.small.Set(w.id[:], w.buf, pebble.Sync); err != nil {
		return smallError(err)
	}
	return nil
}

func (w *writer) commitLarge() error {
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	err := w.file.Sync()
	if closeErr := w.file.Close(); err == nil {
		err = closeErr
	}
	w.file = nil
	if err != nil {
		return diskError(err)
	}
	s := w.store
	if err := s.opts.FS.Rename(s.tmpPath(w.id), s.largePath(w.id)); err != nil {
		return diskError(err)
	}
	return diskError(s.largeDir(w.id).Sync())
}

// Abort implements [blob.Writer].
func (w *writer) Abort() {
	if w.err == nil {
		w.fail(errDone)
	}
}

// fail ends the writing with err and removes the blob immediately: on a full disk,
// others need the space.
func (w *writer) fail(err error) {
	w.err = fmt.Errorf("write blob %s: %w", w.id, err)
	w.release()
	if w.size <= w.store.opts.SmallBytes {
		return // Pebble has the whole blob or nothing, and no error follows the commit
	}
	for _, path := range []string{w.store.tmpPath(w.id), w.store.largePath(w.id)} {
		if _, err := w.store.remove(path); err != nil {
			w.store.opts.Log.Sugar().Warnf("blob %s: not removed after a failed write: %v", w.id, err)
		}
	}
}

func (w *writer) release() {
	buffer.Put(w.buf)
	w.buf = nil
	if w.file != nil {
		_ = w.file.Close() // it is removed, so an error does not matter
		w.file = nil
	}
}
