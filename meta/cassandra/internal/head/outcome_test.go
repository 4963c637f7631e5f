package head

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/meta/cassandra/internal/cqltest"
)

// newHeads returns the heads of a fresh keyspace, and a bucket.
func newHeads(t *testing.T) (*Keys, meta.Bucket) {
	t.Helper()
	c, keyspace := cqltest.NewKeyspace(t)
	return New(cqltest.NewDB(t, cqltest.NewSession(t, c, keyspace), keyspace)), meta.Bucket{ID: meta.NewID()}
}

func putKey(ctx context.Context, s *Keys, b meta.BucketID, key, etag string) error {
	h, err := s.Read(ctx, b, key, meta.ReadOptions{Limit: 10})
	if err != nil {
		return err
	}
	return s.Change(ctx, b, key, cqltest.PutChange(h, meta.NextRev(h.Rev, time.Now()), key, etag))
}

// TestUnknownOutcomesAreResolved puts a change whose result was lost into every situation
// that resolveOutcome may find.
func TestUnknownOutcomesAreResolved(t *testing.T) {
	s, b := newHeads(t)
	ctx := t.Context()
	lost := errors.New("the answer was lost")
	another := func(key string, keep bool) {
		h, err := s.Read(ctx, b.ID, key, meta.ReadOptions{Limit: 10})
		cqltest.Must(t, err)
		c := cqltest.PutChange(h, meta.NextRev(h.Rev, time.Now()), key, "another")
		if keep {
			c.Delete = nil
		}
		cqltest.Must(t, s.Change(ctx, b.ID, key, c))
	}
	apply := func(key string, c meta.Change) { cqltest.Must(t, s.Change(ctx, b.ID, key, c)) }
	fence := func(key string) {
		_, err := s.Fence(ctx, b.ID, key, 0, meta.ReadOptions{})
		cqltest.Must(t, err)
	}
	for _, c := range []struct {
		name string
		meet func(key string, c meta.Change)
		want error
		etag string
	}{
		{"it was applied", apply, nil, "mine"},
		{"it never arrived", func(string, meta.Change) {}, nil, "mine"},
		{"it was applied and fenced", func(k string, c meta.Change) { apply(k, c); fence(k) }, nil, "mine"},
		{"another came first with a lower revision", func(k string, c meta.Change) {
			c.ID, c.Rev = meta.NewID(), c.Rev-2
			apply(k, c)
		}, meta.ErrConflict, "mine"},
		{"another came first with the same revision", func(k string, c meta.Change) {
			c.ID = meta.NewID()
			apply(k, c)
		}, meta.ErrConflict, "mine"},
		{"it was applied under a newer version", func(k string, c meta.Change) { apply(k, c); another(k, true) }, nil, "another"},
		{"it cannot be found out any more", func(k string, c meta.Change) { apply(k, c); another(k, false) }, meta.ErrUnknownOutcome, "another"},
		{"a fence came first", func(k string, c meta.Change) { fence(k) }, meta.ErrConflict, "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := c.name
			cqltest.Must(t, putKey(ctx, s, b.ID, key, "old"))
			h, err := s.Read(ctx, b.ID, key, meta.ReadOptions{Limit: 10})
			cqltest.Must(t, err)
			mine := cqltest.PutChange(h, h.Rev+10, key, "mine")
			c.meet(key, mine)
			batch, err := changeStatements(b.ID, key, mine)
			cqltest.Must(t, err)
			if err := s.resolveOutcome(ctx, b.ID, key, mine, batch, lost); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			h, err = s.Read(ctx, b.ID, key, meta.ReadOptions{})
			cqltest.Must(t, err)
			if got := h.Current().ETag; got != c.etag {
				t.Errorf("the key has %q, want %q", got, c.etag)
			}
		})
	}
}

func TestFenceKeepsTheCommitID(t *testing.T) {
	s, b := newHeads(t)
	cqltest.Must(t, putKey(t.Context(), s, b.ID, "k", "1"))
	before, _, err := s.readHead(t.Context(), s.Serial, b.ID, "k", 1, false)
	cqltest.Must(t, err)
	h, err := s.Fence(t.Context(), b.ID, "k", before.Rev+100, meta.ReadOptions{})
	cqltest.Must(t, err)
	after, _, err := s.readHead(t.Context(), s.Consistency, b.ID, "k", 1, false)
	cqltest.Must(t, err)
	if after.commitID != before.commitID || after.Rev != h.Rev || h.Rev <= before.Rev+100 {
		t.Errorf("fenced from %d, %s to %d, %s", before.Rev, before.commitID, after.Rev, after.commitID)
	}
}
