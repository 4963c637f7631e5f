package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/blob/internal/buffer"
)

var _ blob.Inspector = (*Store)(nil)

// Replicated implements [blob.Inspector].
func (s *Store) Replicated() bool { return true }

// WalkShare implements [blob.Inspector]. A share is a range of tokens. The blocks
// of one blob may be in different shares.
func (s *Store) WalkShare(ctx context.Context, share blob.Share, visit func(blob.Info) error) error {
	if err := share.Check(); err != nil {
		return err
	}
	at := func(part int) int64 {
		if part == share.Of {
			return math.MaxInt64
		}
		// part/Of of 2^64, counted from the lowest token on, which no row has.
		quotient, _ := bits.Div64(uint64(part), 0, uint64(share.Of))
		return int64(quotient ^ 1<<63)
	}
	return s.walkRange(ctx, at(share.Part), at(share.Part+1), visit)
}

// Stat implements [blob.Inspector], at the session's consistency.
func (s *Store) Stat(ctx context.Context, ref blob.Ref) (int64, error) {
	var total int64
	for block := range blocks(ref) {
		var size int64
		err := retry(ctx, func() (err error) {
			size, err = s.db.blockSize(ctx, ref.ID, block)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("stat blob %s: %w", ref.ID, err)
		}
		total += size
	}
	return total, nil
}

// blocks is the number of blocks of a blob.
func blocks(ref blob.Ref) int {
	if ref.Size == 0 || ref.Chunk <= 0 || ref.Block <= 0 {
		return 0
	}
	return positionOf((ref.Size-1)/int64(ref.Chunk), int(ref.Block)).block + 1
}

// Find implements [blob.Inspector].
func (s *Store) Find(ctx context.Context, id blob.ID, block int) (found bool, err error) {
	err = retry(ctx, func() (err error) {
		found, err = s.db.hasBlock(ctx, id, block)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("find block %d of blob %s: %w", block, id, err)
	}
	return found, nil
}

// Purge implements [blob.Inspector].
func (s *Store) Purge(ctx context.Context, id blob.ID, last int) error {
	for block := range last + 1 {
		if err := s.deleteBlock(ctx, id, block); err != nil {
			return err
		}
	}
	return s.deleteFrom(ctx, id, last+1)
}

// verifyAtOnce is the number of chunks of one blob that are verified in parallel.
const verifyAtOnce = 4

// Verify implements [blob.Inspector]. It reads each chunk at each of the nodes
// of this datacenter that have it. A copy that was healed is read once more.
func (s *Store) Verify(ctx context.Context, ref blob.Ref, heal bool) (blob.Health, error) {
	if err := checkRange(ref, 0, ref.Size); err != nil {
		return blob.Health{}, fmt.Errorf("verify blob %s: %w", ref.ID, err)
	}
	var mu sync.Mutex
	var total blob.Health
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(verifyAtOnce)
	for n := int64(0); n*int64(ref.Chunk) < ref.Size; n++ {
		g.Go(func() error {
			h, err := s.verifyChunk(gctx, ref, n, heal)
			if err != nil {
				return fmt.Errorf("verify chunk %d of blob %s: %w", n, ref.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			total.Chunks++
			total.Corrupt += h.Corrupt
			total.Missing += h.Missing
			total.Unread += h.Unread
			total.Healed += h.Healed
			total.LostCorrupt += h.LostCorrupt
			total.LostMissing += h.LostMissing
			return nil
		})
	}
	return total, g.Wait()
}

func (s *Store) verifyChunk(ctx context.Context, ref blob.Ref, n int64, heal bool) (blob.Health, error) {
	buf := buffer.Get(int(chunkSize(ref, n)))
	defer buffer.Put(buf)
	states, data, err := s.readCopies(ctx, ref, n, buf)
	if err != nil {
		return blob.Health{}, err
	}
	h := healthOf(states)
	switch {
	case data != nil && heal && h.Corrupt+h.Missing > 0:
		return s.healEverywhere(ctx, ref, n, data, states, h)
	case data != nil:
		return h, nil
	case h.Unread > 0:
		// The good copy may be on a node that cannot be read now.
		return h, fmt.Errorf("%w: %d of %d copies could not be read, and no other is good", blob.ErrUnavailable, h.Unread, len(states))
	case h.Corrupt > 0:
		h.LostCorrupt = 1
	default:
		return s.verifyMissing(ctx, ref, n, heal, states, h)
	}
	return h, nil
}

func healthOf(states []copyState) (h blob.Health) {
	for _, c := range states {
		switch {
		case c.good:
		case c.missing:
			h.Missing++
		case c.unread:
			h.Unread++
		default:
			h.Corrupt++
		}
	}
	return h
}

// verifyMissing reads a chunk that no node of this datacenter has from a quorum:
// another datacenter may have it, or a node that did not answer before.
func (s *Store) verifyMissing(ctx context.Context, ref blob.Ref, n int64, heal bool, states []copyState, h blob.Health) (blob.Health, error) {
	data, err := s.fetch(ctx, ref, n)
	defer func() { buffer.Put(data) }()
	switch {
	case err == nil && heal:
		return s.healEverywhere(ctx, ref, n, data, states, h)
	case errors.Is(err, blob.ErrNotFound):
		h.LostMissing = 1
	case errors.Is(err, blob.ErrCorrupt):
		h.LostCorrupt = 1
	default:
		return h, err
	}
	return h, nil
}

// healEverywhere heals a chunk and counts the copies that are good after that.
func (s *Store) healEverywhere(ctx context.Context, ref blob.Ref, n int64, data []byte, states []copyState, h blob.Health) (blob.Health, error) {
	// Write to all nodes, so that the copies can be verified again; or to a
	// quorum while a node is down.
	if s.heal(ctx, ref, n, data, states, true) != nil {
		if err := s.heal(ctx, ref, n, data, states, false); err != nil {
			return h, err
		}
	}
	again, spare, err := s.readCopies(ctx, ref, n, nil)
	buffer.Put(spare)
	if err != nil {
		return h, err
	}
	left := healthOf(again)
	h.Healed = h.Corrupt + h.Missing - left.Corrupt - left.Missing
	return h, nil
}

// Copies returns the number of copies that each chunk should have.
func (s *Store) Copies(ctx context.Context) (int, error) { return s.db.copies(ctx) }
