// Package blob stores the bytes of objects.
//
// A blob is immutable and has a random [ID]. It is written before anything
// points at it, and nothing points at it any more when it is deleted: who
// refers to a blob is the business of the metadata, never of a blob store.
//
// A driver (a folder below this one) keeps blobs in one kind of storage. The
// suite in blobtest holds every driver to the contract of [Store].
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pithos/pithos/internal/ids"
)

// The errors that a driver returns, wrapped with what it was doing.
var (
	// ErrNotFound: the blob, or a chunk of it, is not there.
	ErrNotFound = errors.New("blob not found")
	// ErrCorrupt: bytes came back that are not the bytes written, and no
	// other replica had better ones.
	ErrCorrupt = errors.New("blob corrupt")
	// ErrUnavailable: the storage does not answer, or not with a quorum.
	ErrUnavailable = errors.New("blob store unavailable")
	// ErrOverloaded is the ErrUnavailable of storage that answers, and has too
	// much to do: less should be asked of it.
	ErrOverloaded = fmt.Errorf("%w: it is overloaded", ErrUnavailable)
	// ErrFull: there is no room for more bytes. What is stored stays
	// readable, and deleting makes room.
	ErrFull = errors.New("blob store full")
)

// ID names a blob. IDs are random: two writers never choose the same one.
type ID = ids.ID

// NewID returns a fresh random ID.
func NewID() ID { return ids.New() }

// Share is one of several equal parts of a store.
type Share = ids.Share

// Ref is all that a driver needs to read a blob back, whatever its settings
// have become since: a blob's layout is recorded with it.
type Ref struct {
	ID ID
	// Size is the number of bytes in the blob.
	Size int64
	// Chunk is the size of every chunk but the last, in bytes; 0 where the
	// driver does not chunk.
	Chunk int32
	// Block is the number of chunks that share a partition; 0 where the
	// driver does not group chunks.
	Block int32
}

// A Store keeps blobs. All methods may be called concurrently.
type Store interface {
	// Create begins the blob id. Nothing can be read of it before
	// [Writer.Commit] returns.
	Create(ctx context.Context, id ID) (Writer, error)

	// Open reads length bytes of the blob from offset on. The range lies
	// within the blob (0 <= offset, 0 <= length, offset+length <= ref.Size);
	// reading begins at the chunk that holds offset, never before it.
	// The reader returns exactly length bytes and io.EOF, or an error: it
	// never ends early with io.EOF. Every chunk is verified against the
	// checksum it was written with before any byte of it is returned.
	// Memory is bounded by the driver's read-ahead, not by length.
	// ErrNotFound, ErrCorrupt or ErrUnavailable may come from Open or from
	// any Read. Cancelling ctx ends the reads.
	Open(ctx context.Context, ref Ref, offset, length int64) (io.ReadCloser, error)

	// Delete removes the blob and whatever an interrupted writer left of it.
	// Deleting what is not there is no error.
	Delete(ctx context.Context, id ID) error

	// Walk calls visit for each blob that has anything stored, each at least
	// once, in the driver's own order, until visit returns an error, which
	// Walk returns. Blobs written or deleted meanwhile may or may not be
	// visited.
	Walk(ctx context.Context, visit func(Info) error) error
}

// Info is what Walk finds out about a blob.
type Info struct {
	ID ID
	// Size is what is stored, in bytes: less than was meant to be where a
	// writer was interrupted. Where a driver visits a blob once for each of
	// its parts, Size is that part's: the sizes of all visits add up.
	Size int64
	// Block is the number of that part; 0 where the driver does not group
	// chunks.
	Block int
}

// A Writer takes the bytes of one blob. It is used by one goroutine.
type Writer interface {
	// Write appends p. Bytes are cut into full-sized chunks whatever the
	// sizes of the writes are; several chunks are on their way at once, and
	// Write blocks when the window is full: memory per writer is bounded.
	// p is not retained after Write returns.
	Write(p []byte) (int, error)

	// Commit makes the blob durable (on disk after fsync, or on a quorum)
	// and readable, and returns its Ref. After an error the blob may be
	// partly stored: Delete removes the rest.
	Commit() (Ref, error)

	// Abort gives up the blob and removes what was stored of it, as far as
	// it can. Abort after Commit does nothing.
	Abort()
}
