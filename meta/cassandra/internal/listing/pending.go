package listing

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cql"
)

// Pending is a change that was announced in the listing. Announce, Commit and
// resultRows are the steps W1 to W5 of the write protocol, in that order.
type Pending struct {
	s       *Index
	bucket  meta.BucketID
	key     string
	rev     int64
	history bool
	shard   meta.ID
}

// Steps are the parts of a change that other packages do.
type Steps struct {
	// Active fails if the bucket does not accept changes. It is called,
	// concurrently with the read of the shard's seal, after each write of the
	// pending row (W2).
	Active func(context.Context) error
	// Guards fails if a guard of the change was claimed. It is called once, with
	// the first of these reads.
	Guards func(context.Context) error
	// Apply makes the conditional change of the head (W3).
	Apply func(context.Context) error
}

// Announce writes the pending row of a change (W1).
func (s *Index) Announce(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (*Pending, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, cql.Wrap(err, "announce change") // checked here: rows of other changes go in the same statement
	}
	p := &Pending{s: s, bucket: bucket, key: key, rev: rev, history: history}
	p.shard = s.shards.locate(bucket, key)
	if err := p.announce(ctx); err != nil {
		return nil, cql.Wrap(err, "announce change")
	}
	return p, nil
}

// announce writes the pending row into p.shard.
func (p *Pending) announce(ctx context.Context) error {
	rows := []listingRow{{kind: visible, key: p.key, rev: p.rev, state: statePending}}
	if p.history {
		rows = append(rows, listingRow{kind: history, key: p.key, rev: p.rev, state: statePending})
	}
	_, err := p.s.announcer.Do(ctx, shardName{p.bucket, p.shard}, rows)
	return err
}

// announceRows writes the pending rows of several changes into their shard.
func (s *Index) announceRows(ctx context.Context, in shardName, several [][]listingRow) (none struct{}, err error) {
	for some := range slices.Chunk(slices.Concat(several...), rowsPerBatch) {
		if err := s.putRows(ctx, in.bucket, in.shard, some); err != nil {
			return none, err
		}
	}
	return none, nil
}

// Commit makes the change (W2, W3), and has its final rows written asynchronously
// (W5).
func (p *Pending) Commit(ctx context.Context, c meta.Change, steps Steps) error {
	if err := p.check(c); err != nil {
		return err
	}
	entry, err := encodeEntry(c.Entry, c.History)
	if err != nil {
		return err
	}
	if c.Rev > p.rev || c.History && !p.history {
		p.rev, p.history = c.Rev, p.history || c.History
		p.shard = p.s.shards.locate(p.bucket, p.key)
		if err := p.announce(ctx); err != nil {
			return cql.Wrap(err, "announce change")
		}
	}
	early := p.s.breaks(ruleSealBeforeHead)
	if early {
		err = steps.Apply(ctx)
	}
	if err == nil {
		err = p.confirm(ctx, steps)
	}
	if err == nil && !early {
		err = steps.Apply(ctx)
	}
	if err != nil {
		return cql.Wrap(err, "commit change")
	}
	p.s.writer.add(ctx, p.resultRows(c, entry)...)
	return nil
}

func (p *Pending) check(c meta.Change) error {
	switch {
	case c.Rev < p.rev:
		return fmt.Errorf("commit change: revision %d is below the announced revision %d", c.Rev, p.rev)
	case c.Rev < c.IfRev+2:
		// IfRev+1 is the timestamp of the final row of the change before.
		return fmt.Errorf("commit change: revision %d must be at least two above %d", c.Rev, c.IfRev)
	case c.ID == meta.ID{}:
		return fmt.Errorf("commit change: it has no id")
	}
	for i := range c.Put {
		if err := c.Put[i].CheckPages(c.Put[i].Seq == c.Rev); err != nil {
			return fmt.Errorf("commit change: %w", err)
		}
	}
	return nil
}

// resultRows returns the rows that the change leaves in the listing.
func (p *Pending) resultRows(c meta.Change, entry []byte) []shardRow {
	row := listingRow{kind: visible, key: p.key, rev: c.Rev, state: stateLive, doc: entry}
	if c.Entry == nil {
		row.state = stateDeleted
	}
	rows := []shardRow{{p.bucket, p.shard, row}}
	if c.RemovesKey {
		// A history row at a later revision belongs to another change and outlives
		// this deletion. One at an earlier revision belongs to a change that must fail.
		rows = append(rows, shardRow{p.bucket, p.shard, listingRow{kind: history, key: p.key, rev: c.Rev, state: stateDeleted}})
	}
	return rows
}

// confirm follows seals until the pending row is in a shard that was not sealed
// after the row was written, and the bucket was active after that. The reads may
// be shared with other changes: they only must begin after the row was written.
func (p *Pending) confirm(ctx context.Context, steps Steps) error {
	guards := steps.Guards
	for {
		var seal seal
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() (err error) {
			seal, err = p.s.sealReader.Do(gctx, shardName{p.bucket, p.shard}, struct{}{})
			return
		})
		g.Go(func() error { return steps.Active(gctx) })
		g.Go(func() error { return guards(gctx) })
		if err := g.Wait(); err != nil {
			return err
		}
		if !seal.sealed || p.s.breaks(ruleSealAfterPendingRow) {
			return nil
		}
		p.shard = p.s.shardAfterSeal(ctx, p.bucket, p.shard, seal, p.key)
		if err := p.announce(ctx); err != nil {
			return err
		}
		guards = func(context.Context) error { return nil } // once is enough: only the row has moved
	}
}
