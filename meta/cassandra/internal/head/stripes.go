package head

import (
	"context"
	"hash/maphash"

	"github.com/pithos/pithos/meta"
)

// stripes are locks that let this process send one change of a key at a time:
// concurrent changes of one gateway would make each other's Paxos rounds fail.
// Correctness does not depend on them.
type stripes struct {
	seed  maphash.Seed
	slots []chan struct{}
}

func newStripes(n int) stripes {
	s := stripes{seed: maphash.MakeSeed(), slots: make([]chan struct{}, n)}
	for i := range s.slots {
		s.slots[i] = make(chan struct{}, 1)
	}
	return s
}

func (s *stripes) lock(ctx context.Context, bucket meta.BucketID, key string) (unlock func(), err error) {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.Write(bucket[:])
	h.WriteString(key)
	slot := s.slots[h.Sum64()%uint64(len(s.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
