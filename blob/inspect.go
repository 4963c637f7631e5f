package blob

import (
	"context"
	"errors"
	"io"
)

// An Inspector is a Store with the methods that a check of the store needs.
// [Inspect] makes one of any Store.
type Inspector interface {
	Store

	// WalkShare is Walk over a share. All shares together cover the whole store.
	WalkShare(ctx context.Context, share Share, visit func(Info) error) error

	// Stat returns how many of the blob's bytes are stored: ref.Size unless some
	// are missing, and 0 if the blob does not exist. It verifies no checksum.
	Stat(ctx context.Context, ref Ref) (int64, error)

	// Find reports whether anything is stored in a block of a blob; block 0 is
	// the whole blob if the driver does not group chunks.
	Find(ctx context.Context, id ID, block int) (bool, error)

	// Purge deletes all blocks of a blob up to last, also if some between them
	// are missing: Delete may take two missing blocks for the end.
	Purge(ctx context.Context, id ID, last int) error

	// Replicated reports whether the store keeps several copies of each chunk,
	// which Verify compares.
	Replicated() bool

	// Verify reads every copy of every chunk, and compares it with the checksum
	// that it was written with. With heal, it writes copies that are wrong or
	// missing again, from good ones. It returns an error if it could not read
	// the blob for another reason than those in Health.
	Verify(ctx context.Context, ref Ref, heal bool) (Health, error)
}

// Health is the result of Verify.
type Health struct {
	// Chunks is the number of chunks of the blob.
	Chunks int64
	// Corrupt and Missing count the copies of chunks that are wrong or missing.
	Corrupt, Missing int64
	// Unread counts the copies that could not be read now: their node is down.
	Unread int64
	// Healed counts those of Corrupt and Missing that were written again.
	Healed int64
	// LostCorrupt and LostMissing count the chunks without any good copy.
	LostCorrupt, LostMissing int64
}

// Good reports whether every copy that was read is correct.
func (h Health) Good() bool {
	return h.Corrupt+h.Missing+h.LostCorrupt+h.LostMissing == 0
}

// Inspect returns s itself if it is an Inspector, and otherwise an Inspector that
// uses only the methods of Store, which takes longer.
func Inspect(s Store) Inspector {
	if i, ok := s.(Inspector); ok {
		return i
	}
	return plain{s}
}

// plain is an Inspector of a store that is none itself.
type plain struct{ Store }

func (p plain) WalkShare(ctx context.Context, share Share, visit func(Info) error) error {
	if err := share.Check(); err != nil || share.Part > 0 {
		return err
	}
	return p.Walk(ctx, visit)
}

func (p plain) Replicated() bool { return false }

func (p plain) Stat(ctx context.Context, ref Ref) (int64, error) {
	n, err := ReadThrough(ctx, p.Store, ref)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if errors.Is(err, ErrCorrupt) {
		return n, nil
	}
	return n, err
}

var errFound = errors.New("found")

func (p plain) Find(ctx context.Context, id ID, _ int) (bool, error) {
	err := p.Walk(ctx, func(info Info) error {
		if info.ID == id {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

func (p plain) Purge(ctx context.Context, id ID, _ int) error { return p.Delete(ctx, id) }

func (p plain) Verify(ctx context.Context, ref Ref, _ bool) (Health, error) {
	return VerifyByReading(ctx, p.Store, ref)
}

// VerifyByReading is Verify for stores that keep one copy, which cannot heal.
func VerifyByReading(ctx context.Context, s Store, ref Ref) (Health, error) {
	h := Health{Chunks: 1}
	if ref.Chunk > 0 {
		h.Chunks = (ref.Size + int64(ref.Chunk) - 1) / int64(ref.Chunk)
	}
	_, err := ReadThrough(ctx, s, ref)
	switch {
	case errors.Is(err, ErrNotFound):
		h.Missing, h.LostMissing = 1, 1
	case errors.Is(err, ErrCorrupt):
		h.Corrupt, h.LostCorrupt = 1, 1
	default:
		return h, err
	}
	return h, nil
}

// ReadThrough reads a blob to its end, and returns the number of bytes read.
func ReadThrough(ctx context.Context, s Store, ref Ref) (int64, error) {
	r, err := s.Open(ctx, ref, 0, ref.Size)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, r)
	return n, errors.Join(err, r.Close())
}
