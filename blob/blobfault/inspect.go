package blobfault

import (
	"context"

	"github.com/pithos/pithos/blob"
)

// The operations of a [blob.Inspector] that can fail.
const (
	Stat   Op = "stat"
	Find   Op = "find"
	Purge  Op = "purge"
	Verify Op = "verify"
)

var _ blob.Inspector = (*Store)(nil)

// WalkShare implements [blob.Inspector]. The fault of Walk strikes before each
// visit.
func (s *Store) WalkShare(ctx context.Context, share blob.Share, visit func(blob.Info) error) error {
	return blob.Inspect(s.Store).WalkShare(ctx, share, func(info blob.Info) error {
		return call(ctx, s.plan, Walk, func() error { return visit(info) })
	})
}

// Replicated implements [blob.Inspector]; it never fails.
func (s *Store) Replicated() bool { return blob.Inspect(s.Store).Replicated() }

// Stat implements [blob.Inspector].
func (s *Store) Stat(ctx context.Context, ref blob.Ref) (n int64, err error) {
	err = call(ctx, s.plan, Stat, func() (err error) {
		n, err = blob.Inspect(s.Store).Stat(ctx, ref)
		return err
	})
	return n, err
}

// Find implements [blob.Inspector].
func (s *Store) Find(ctx context.Context, id blob.ID, block int) (found bool, err error) {
	err = call(ctx, s.plan, Find, func() (err error) {
		found, err = blob.Inspect(s.Store).Find(ctx, id, block)
		return err
	})
	return found, err
}

// Purge implements [blob.Inspector].
func (s *Store) Purge(ctx context.Context, id blob.ID, last int) error {
	return call(ctx, s.plan, Purge, func() error { return blob.Inspect(s.Store).Purge(ctx, id, last) })
}

// Verify implements [blob.Inspector].
func (s *Store) Verify(ctx context.Context, ref blob.Ref, heal bool) (h blob.Health, err error) {
	err = call(ctx, s.plan, Verify, func() (err error) {
		h, err = blob.Inspect(s.Store).Verify(ctx, ref, heal)
		return err
	})
	return h, err
}
