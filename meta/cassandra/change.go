package cassandra

import (
	"context"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/listing"
)

// pending is a [meta.Pending]: a change that was announced in the listing.
type pending struct {
	s       *Store
	listing *listing.Pending
	bucket  meta.BucketID
	key     string
}

// Begin implements [meta.Objects].
func (s *Store) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	p, err := s.Announce(ctx, bucket, key, rev, history)
	if err != nil {
		return nil, err
	}
	return &pending{s: s, listing: p, bucket: bucket, key: key}, nil
}

// Commit implements [meta.Pending].
func (p *pending) Commit(ctx context.Context, c meta.Change) error {
	return p.listing.Commit(ctx, c, listing.Steps{
		Active: func(ctx context.Context) error { _, err := p.s.bucketChecker.Do(ctx, p.bucket, struct{}{}); return err },
		Guards: func(ctx context.Context) error { return p.s.CheckGuards(ctx, c.Guard) },
		Apply:  func(ctx context.Context) error { return p.s.Change(ctx, p.bucket, p.key, c) },
	})
}

// Cancel implements [meta.Pending]. The row stays pending. To replace it, a fence
// is needed: a Paxos round for each refused request, which would also make other
// changes of the key fail. Listings repair the row when it is old.
func (p *pending) Cancel(context.Context) {}
