package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/meta"
)

// pending is an announced change. This driver writes nothing to announce it:
// listings and keys change in one batch.
type pending struct {
	s      *Store
	bucket meta.BucketID
	key    string
	rev    int64
}

// Begin implements [meta.Objects].
func (s *Store) Begin(ctx context.Context, bucket meta.BucketID, key string, rev int64, history bool) (meta.Pending, error) {
	if err := meta.CheckText(key); err != nil {
		return nil, fmt.Errorf("begin a change: %w", err)
	}
	if err := s.enter(ctx); err != nil {
		return nil, fmt.Errorf("begin a change of %q: %w", key, err)
	}
	defer s.leave()
	return &pending{s, bucket, key, rev}, nil
}

// Cancel implements [meta.Pending].
func (p *pending) Cancel(context.Context) {}

// Commit implements [meta.Pending].
func (p *pending) Commit(ctx context.Context, c meta.Change) error {
	err := p.s.enter(ctx)
	if err == nil {
		defer p.s.leave()
		err = p.commit(c)
	}
	if err != nil {
		return fmt.Errorf("commit a change of %q: %w", p.key, err)
	}
	return nil
}

func (p *pending) commit(c meta.Change) error {
	if err := checkChange(c, p.rev); err != nil {
		return err
	}
	s, name := p.s, rowKey(tableHead, p.bucket, p.key)
	defer s.buckets.rlock(p.bucket[:])()
	defer s.keys.lock(name)()
	defer s.entries.rlockAll(queueKeys(c.Guard))()
	if err := s.checkState(p.bucket); err != nil {
		return err
	}
	h, err := s.head(p.bucket, p.key)
	if err != nil {
		return err
	}
	if err := s.checkRev(h, c); err != nil {
		return err
	}
	if err := s.checkGuard(c.Guard); err != nil {
		return err
	}
	return s.applySync(name, func(b *pebble.Batch) error {
		return s.fillChange(b, p.bucket, p.key, h, c)
	})
}

// checkChange refuses contradictory changes.
func checkChange(c meta.Change, begun int64) error {
	switch {
	case c.Rev <= c.IfRev:
		return fmt.Errorf("revision %d does not follow %d", c.Rev, c.IfRev)
	case c.Rev < begun:
		return fmt.Errorf("revision %d is below the %d that was begun", c.Rev, begun)
	case c.RemovesKey && (len(c.Put) > 0 || c.Entry != nil || c.NullSeq != 0):
		return errors.New("a change that removes the key has a version or an entry")
	}
	for _, v := range c.Put {
		switch {
		case v.Seq <= 0 || v.Seq > c.Rev:
			return fmt.Errorf("version %d in a change of revision %d", v.Seq, c.Rev)
		case slices.Contains(c.Delete, v.Seq):
			return fmt.Errorf("version %d is both put and deleted", v.Seq)
		case !v.Inline && len(v.Payload) > 0:
			return fmt.Errorf("version %d has a payload and is not inline", v.Seq)
		case v.Inline && len(v.Payload) == 0 && v.Size > 0:
			return fmt.Errorf("version %d is inline and came without its payload", v.Seq)
		}
		if err := v.CheckPages(v.Seq == c.Rev); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) checkRev(h head, c meta.Change) error {
	if !h.stored {
		h.rev = s.revOfUnknown()
	}
	if h.rev != c.IfRev || !h.stored && c.Rev <= s.floor.Load() {
		return meta.ErrConflict
	}
	return nil
}

// fillChange adds the rows of c to the batch.
func (s *Store) fillChange(b *pebble.Batch, bucket meta.BucketID, key string, old head, c meta.Change) error {
	next := head{rev: c.Rev, nullSeq: c.NullSeq, listed: c.Entry != nil}
	var err error
	if next.current, err = s.currentAfter(bucket, key, old, c); err != nil {
		return err
	}
	if c.RemovesKey != (next.current == 0) || c.Entry != nil && c.Entry.Seq != next.current {
		return fmt.Errorf("the change does not fit the versions: removes key %v, entry %v, current version %d", c.RemovesKey, c.Entry, next.current)
	}
	if err := s.fillVersions(b, bucket, key, old, c); err != nil {
		return err
	}
	if err := s.fillListing(b, bucket, key, old, &next, c); err != nil {
		return err
	}
	if err := s.setHead(b, bucket, key, next); err != nil {
		return err
	}
	switch {
	case old.current != 0 && next.current == 0:
		return b.Delete(rowKey(tableHead, bucket, key), nil)
	case old.stored && old.current == 0 && next.current != 0:
		return b.Delete(rowKey(tableGone, bucket, key), nil)
	}
	return nil
}

// currentAfter returns the Seq of the newest version after the change.
func (s *Store) currentAfter(bucket meta.BucketID, key string, old head, c meta.Change) (int64, error) {
	var newest int64
	for _, v := range c.Put {
		newest = max(newest, v.Seq)
	}
	if old.current == 0 || old.current <= newest || !slices.Contains(c.Delete, old.current) {
		return max(newest, old.current), nil
	}
	prefix := keyPrefix(tableVersion, bucket, key)
	err := s.iterate(context.Background(), withSeq(prefix, old.current), after(prefix), func(k, _ []byte) (bool, error) {
		seq := seqOf(k)
		if slices.Contains(c.Delete, seq) {
			return true, nil
		}
		newest = max(newest, seq)
		return false, nil
	})
	return newest, err
}

// fillVersions adds the versions of c, and removes those that it deletes.
func (s *Store) fillVersions(b *pebble.Batch, bucket meta.BucketID, key string, old head, c meta.Change) error {
	versions, payloads := keyPrefix(tableVersion, bucket, key), keyPrefix(tablePayload, bucket, key)
	for _, seq := range c.Delete {
		if err := s.dropRest(b, bucket, key, seq, nil); err != nil {
			return err
		}
		if err := b.Delete(withSeq(versions, seq), nil); err != nil {
			return err
		}
	}
	for _, v := range c.Put {
		if err := setRow(b, withSeq(versions, v.Seq), &v); err != nil {
			return err
		}
		if len(v.Payload) > 0 {
			if err := b.Set(withSeq(payloads, v.Seq), v.Payload, nil); err != nil {
				return err
			}
		} else if v.Seq <= old.current { // it may replace an inline version
			if err := s.dropRest(b, bucket, key, v.Seq, &v); err != nil {
				return err
			}
		}
		if err := s.setPages(b, bucket, key, &v); err != nil {
			return err
		}
	}
	return nil
}

// setPages adds the pages of segments that v comes with.
func (s *Store) setPages(b *pebble.Batch, bucket meta.BucketID, key string, v *meta.Version) error {
	if v.Pages == nil {
		return nil
	}
	if err := b.Set([]byte(formatKey), []byte(strconv.Itoa(pagesFormat)), nil); err != nil {
		return err
	}
	prefix := pagesKey(bucket, key, v.Seq)
	for n, page := range v.Pages.Write {
		if err := setRow(b, pageKey(prefix, n), page); err != nil {
			return err
		}
	}
	return nil
}

// dropRest removes the payload of a version, and the pages of its segments, if it
// has any and next, which replaces it, has not; nil removes it. It reads the
// version first, to write no tombstone without need.
func (s *Store) dropRest(b *pebble.Batch, bucket meta.BucketID, key string, seq int64, next *meta.Version) error {
	v, err := s.version(bucket, key, seq, false)
	if errors.Is(err, meta.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if v.Pages != nil && (next == nil || next.Pages == nil) {
		prefix := pagesKey(bucket, key, seq)
		if err := b.DeleteRange(prefix, after(prefix), nil); err != nil {
			return err
		}
	}
	if !v.Inline {
		return nil
	}
	return b.Delete(payloadKey(bucket, key, seq), nil)
}

// fillListing adds or removes the listing entry of the key.
func (s *Store) fillListing(b *pebble.Batch, bucket meta.BucketID, key string, old head, next *head, c meta.Change) error {
	listing := rowKey(tableCurrent, bucket, key)
	if c.Entry == nil {
		// A change that changes no version repairs the listing of the key, even
		// if the head says that the key is not listed.
		if !old.listed && len(c.Put)+len(c.Delete) > 0 {
			return nil
		}
		return b.Delete(listing, nil)
	}
	entry, err := meta.Marshal(c.Entry)
	if err != nil {
		return err
	}
	if !c.History {
		next.entry = entry
	}
	return b.Set(listing, entry, nil)
}
