// Package blob stores the bytes of objects.
//
// A blob is immutable and has a random [ID]. It is written before the metadata
// refer to it, and deleted when they do not refer to it any more. Only the
// metadata have references; a blob store knows none.
//
// A driver (a folder below this one) stores blobs in one kind of storage. The
// suite in blobtest tests every driver against the contract of [Store].
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pithos/pithos/internal/ids"
)

// The errors that a driver returns, wrapped with the operation.
var (
	// ErrNotFound: the blob, or a chunk of it, does not exist.
	ErrNotFound = errors.New("blob not found")
	// ErrCorrupt: the stored bytes differ from the written ones, on every
	// replica.
	ErrCorrupt = errors.New("blob corrupt")
	// ErrUnavailable: the storage does not answer, or no quorum of it does.
	ErrUnavailable = errors.New("blob store unavailable")
	// ErrOverloaded is the ErrUnavailable of storage that answers and has too
	// much to do: send it fewer requests.
	ErrOverloaded = fmt.Errorf("%w: it is overloaded", ErrUnavailable)
	// ErrFull: the storage has no space left. Stored blobs stay readable, and
	// deleting frees space.
	ErrFull = errors.New("blob store full")
)

// ID identifies a blob. IDs are random: two writers never choose the same one.
type ID = ids.ID

// NewID returns a fresh random ID.
func NewID() ID { return ids.New() }

// Share is one of several equal parts of a store.
type Share = ids.Share

// Ref is all that a driver needs to read a blob, also after its settings have
// changed: it has the blob's layout.
type Ref struct {
	ID ID
	// Size is the number of bytes in the blob.
	Size int64
	// Chunk is the size of every chunk but the last, in bytes; 0 if the driver
	// does not chunk.
	Chunk int32
	// Block is the number of chunks that share a partition; 0 if the driver
	// does not group chunks.
	Block int32
}

// A Store keeps blobs. All methods may be called concurrently.
type Store interface {
	// Create begins to write the blob id. It cannot be read before
	// [Writer.Commit] returns.
	Create(ctx context.Context, id ID) (Writer, error)

	// Open reads length bytes of the blob from offset on. The range lies
	// within the blob (0 <= offset, 0 <= length, offset+length <= ref.Size);
	// reading begins at the chunk that has offset, never before it.
	// The reader returns exactly length bytes and io.EOF, or an error: it
	// never ends early with io.EOF. Every chunk is verified against the
	// checksum it was written with before any byte of it is returned.
	// Memory is bounded by the driver's read-ahead, not by length.
	// ErrNotFound, ErrCorrupt or ErrUnavailable may come from Open or from
	// any Read. Cancelling ctx ends the reads.
	Open(ctx context.Context, ref Ref, offset, length int64) (io.ReadCloser, error)

	// Delete removes the blob, also one that an interrupted writer has left
	// incomplete. It returns no error if there is none.
	Delete(ctx context.Context, id ID) error

	// Walk calls visit for each blob that has any stored bytes, at least once,
	// in the driver's own order, until visit returns an error, which Walk
	// returns. Blobs that are written or deleted during the walk may or may
	// not be visited.
	Walk(ctx context.Context, visit func(Info) error) error
}

// Info is what Walk tells about a blob.
type Info struct {
	ID ID
	// Size is the number of stored bytes: fewer than the blob was to have if its
	// writer was interrupted. If a driver visits a blob once for each of its
	// blocks, Size is that of the block: add up the sizes of all visits.
	Size int64
	// Block is the number of that block; 0 if the driver does not group chunks.
	Block int
}

// A Writer writes one blob. Only one goroutine may use it.
type Writer interface {
	// Write appends p. The driver cuts the bytes into full-sized chunks and
	// sends several of them in parallel. Write blocks when the window is full, so
	// memory per writer is bounded. p is not retained after Write returns.
	Write(p []byte) (int, error)

	// Commit makes the blob durable (on disk after fsync, or on a quorum)
	// and readable, and returns its Ref. After an error the blob may be
	// partly stored: Delete removes the rest.
	Commit() (Ref, error)

	// Abort abandons the blob and removes its stored bytes, as far as it can.
	// Abort after Commit does nothing.
	Abort()
}
