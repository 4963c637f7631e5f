package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pithos/pithos/meta"
)

// This file has what reads, changes and listings do about a rename that is in
// flight; rename.go has the protocol. A key without one costs each of them the
// comparison of one field: Moving of the versions read, or of the entries listed.

// abandonedAfter is the age, in microseconds, from which a reader removes a mark
// whose rename was not committed. The time only matters for the cost: if the
// rename still runs, it fails.
const abandonedAfter = 60e6

// inRename reports whether a version of h is marked: it is or was the source of
// a rename in flight.
func inRename(h *meta.Head) bool { return markedVersion(h) != nil }

// markedVersion returns the marked version of h; nil if there is none.
func markedVersion(h *meta.Head) *meta.Version {
	if h.Named != nil && h.Named.Moving != nil {
		return h.Named
	}
	for i := range h.Versions {
		if h.Versions[i].Moving != nil {
			return &h.Versions[i]
		}
	}
	return nil
}

// renameCommitted reports whether h, the head of a rename's destination, has the
// note of the rename id. It must have been read with ReadOptions.Null.
func renameCommitted(h *meta.Head, id meta.ID) bool {
	noted := func(v meta.Version) bool { return v.Moved != nil && v.Moved.ID == id }
	return h.Named != nil && noted(*h.Named) || slices.ContainsFunc(h.Versions, noted)
}

// readDestination asks for what renameCommitted needs.
var readDestination = meta.ReadOptions{Limit: headVersions, Null: true}

// read is meta.Read without versions that were renamed to another key.
func (s *Store) read(ctx context.Context, b *meta.Bucket, key string, o meta.ReadOptions) (meta.Head, error) {
	h, err := s.meta.Read(ctx, b.ID, key, o)
	if err != nil || !inRename(&h) {
		return h, err
	}
	return s.readMarked(ctx, b, key, o, h)
}

// readMarked is read where h, just read, has a marked version. That version is
// gone if the destination has the rename's note. Otherwise the source is read
// again: if it still has the mark, the version was there when the destination was
// read.
func (s *Store) readMarked(ctx context.Context, b *meta.Bucket, key string, o meta.ReadOptions, h meta.Head) (meta.Head, error) {
	for try := 0; ; try++ {
		v := markedVersion(&h)
		if v == nil {
			return h, nil
		}
		move := *v.Moving
		destination, err := s.meta.Read(ctx, b.ID, move.Key, readDestination)
		if err != nil {
			return meta.Head{}, err
		}
		if renameCommitted(&destination, move.ID) {
			s.async(func(ctx context.Context) { _ = s.removeSource(ctx, b.ID, move.ID, key) }) // the next reader tries again
			return withoutVersion(h, v), nil
		}
		again, err := s.meta.Read(ctx, b.ID, key, o)
		if err != nil {
			return meta.Head{}, err
		}
		if w := markedVersion(&again); w != nil && w.Moving.ID == move.ID {
			if s.now().UnixMicro()-w.Moving.Began > abandonedAfter {
				s.async(func(ctx context.Context) { s.endAbandoned(ctx, b.ID, move, key) })
			}
			return again, nil
		}
		if try >= maxTries {
			return meta.Head{}, tooManyChanges(nil)
		}
		h = again
	}
}

// withoutVersion returns h as if the version v were not there.
func withoutVersion(h meta.Head, v *meta.Version) meta.Head {
	seq := v.Seq
	h.Versions = slices.DeleteFunc(slices.Clone(h.Versions), func(o meta.Version) bool { return o.Seq == seq })
	if h.Named != nil && h.Named.Seq == seq {
		h.Named = nil
	}
	if h.NullSeq == seq {
		h.NullSeq = 0
	}
	return h
}

// endRenames prepares a change of a key with a marked version: it ends the
// rename, and returns the head without the version if the rename was committed,
// and without the mark if it was not and never will be.
func (s *Store) endRenames(ctx context.Context, bucket meta.BucketID, key string, o meta.ReadOptions, h *meta.Head) (*meta.Head, error) {
	for {
		v := markedVersion(h)
		if v == nil {
			return h, nil
		}
		committed, err := s.decideRename(ctx, bucket, v.Moving)
		if err != nil {
			return nil, err
		}
		if !committed {
			return withoutMark(h, v.Moving.ID), nil
		}
		if err := s.removeSource(ctx, bucket, v.Moving.ID, key); err != nil {
			return nil, err
		}
		again, err := s.meta.Read(ctx, bucket, key, o)
		if err != nil {
			return nil, err
		}
		h = &again
	}
}

// decideRename reports whether a rename was committed. If not, it fences the
// destination, so that the rename fails, and looks at the destination once more.
func (s *Store) decideRename(ctx context.Context, bucket meta.BucketID, m *meta.Move) (committed bool, err error) {
	h, err := s.meta.Read(ctx, bucket, m.Key, readDestination)
	if err != nil || renameCommitted(&h, m.ID) {
		return err == nil, err
	}
	h, err = s.meta.Fence(ctx, bucket, m.Key, s.now().UnixMicro(), readDestination)
	return err == nil && renameCommitted(&h, m.ID), err
}

// withoutMark returns h without the mark of the rename id.
func withoutMark(h *meta.Head, id meta.ID) *meta.Head {
	c := *h
	c.Versions = slices.Clone(h.Versions)
	for i := range c.Versions {
		if m := c.Versions[i].Moving; m != nil && m.ID == id {
			c.Versions[i].Moving = nil
		}
	}
	if h.Named != nil && h.Named.Moving != nil && h.Named.Moving.ID == id {
		v := *h.Named
		v.Moving = nil
		c.Named = &v
	}
	return &c
}

// removeSources prepares a change m that removes the notes of renames from
// versions of h: first the sources of these renames are removed, since without
// the note a mark means that the rename was not committed.
func (s *Store) removeSources(ctx context.Context, bucket meta.BucketID, h *meta.Head, m *mutation) error {
	removed := map[meta.ID]bool{}
	remove := func(v *meta.Version) error {
		if v == nil || v.Moved == nil || v.Moved.Key == "" || removed[v.Moved.ID] || !m.touches(v.Seq) {
			return nil
		}
		removed[v.Moved.ID] = true
		return s.removeSource(ctx, bucket, v.Moved.ID, v.Moved.Key)
	}
	for i := range h.Versions {
		if err := remove(&h.Versions[i]); err != nil {
			return err
		}
	}
	if err := remove(h.Named); err != nil {
		return err
	}
	for i := range m.remove {
		if err := remove(&m.remove[i]); err != nil {
			return err
		}
	}
	for _, v := range m.put {
		if v.Moved != nil && removed[v.Moved.ID] {
			v.Moved = &meta.Move{ID: v.Moved.ID, Token: v.Moved.Token}
		}
	}
	return nil
}

// touches reports whether m replaces or removes the version seq.
func (m *mutation) touches(seq int64) bool {
	return slices.ContainsFunc(m.remove, func(v meta.Version) bool { return v.Seq == seq }) ||
		slices.ContainsFunc(m.put, func(v *meta.Version) bool { return v.Seq == seq })
}

// removeSource removes the version of key that the committed rename id has moved
// away from it. It does nothing if that is done.
func (s *Store) removeSource(ctx context.Context, bucket meta.BucketID, id meta.ID, key string) error {
	return s.changeMarked(ctx, bucket, id, key, func(v meta.Version) *mutation {
		return &mutation{remove: []meta.Version{v}}
	})
}

// removeMark removes the mark of the rename id, which never will be committed.
func (s *Store) removeMark(ctx context.Context, bucket meta.BucketID, id meta.ID, key string) error {
	return s.changeMarked(ctx, bucket, id, key, func(v meta.Version) *mutation {
		v.Moving = nil
		return &mutation{put: []*meta.Version{&v}}
	})
}

// endAbandoned ends a rename whose gateway seems to have died.
func (s *Store) endAbandoned(ctx context.Context, bucket meta.BucketID, m meta.Move, key string) {
	committed, err := s.decideRename(ctx, bucket, &m)
	switch {
	case err != nil:
	case committed:
		err = s.removeSource(ctx, bucket, m.ID, key)
	default:
		err = s.removeMark(ctx, bucket, m.ID, key)
	}
	if err != nil {
		s.log.Sugar().Debugf("the mark of an abandoned rename could not be removed: %v", err)
	}
}

// changeMarked makes the change that edit returns for the version that the rename
// id has marked. It does nothing if the mark is not there.
func (s *Store) changeMarked(ctx context.Context, bucket meta.BucketID, id meta.ID, key string, edit func(meta.Version) *mutation) error {
	for try := 0; ; try++ {
		h, err := s.meta.Read(ctx, bucket, key, meta.ReadOptions{Limit: headVersions, Null: true, Payload: true})
		if err != nil {
			return err
		}
		v := markedVersion(&h)
		if v == nil || v.Moving.ID != id {
			return nil
		}
		err = s.commit(ctx, bucket, key, &preparedWrite{head: &h}, edit(*v))
		if !errors.Is(err, meta.ErrConflict) || try >= maxTries {
			return err
		}
		if err := BackOff(ctx, try); err != nil {
			return err
		}
	}
}

// scan is meta.Scan of current objects, without keys that were renamed.
func (s *Store) scan(ctx context.Context, b *meta.Bucket, from, to string, limit int) ([]meta.Entry, bool, error) {
	for {
		entries, more, err := s.meta.Scan(ctx, b.ID, meta.ScanOptions{From: from, To: to, Limit: limit})
		if err != nil || !slices.ContainsFunc(entries, func(e meta.Entry) bool { return e.Moving }) {
			return entries, more, err
		}
		shown := entries[:0:0]
		for _, e := range entries {
			if e.Moving {
				h, err := s.read(ctx, b, e.Key, meta.ReadOptions{})
				if err != nil {
					return nil, false, err
				}
				cur := h.Current()
				if cur == nil || cur.DeleteMarker {
					continue
				}
				e = *meta.EntryOf(e.Key, cur)
			}
			shown = append(shown, e)
		}
		if len(shown) > 0 || !more {
			return shown, more, nil
		}
		from = entries[len(entries)-1].Key + "\x00"
	}
}

// scanAll scans all keys. Of keys that may have been renamed it returns no
// version.
func (s *Store) scanAll(ctx context.Context, b *meta.Bucket, from, to string, limit int) ([]meta.Entry, bool, error) {
	entries, more, err := s.meta.Scan(ctx, b.ID, meta.ScanOptions{From: from, To: to, Limit: limit, All: true})
	for i, e := range entries {
		if e.Moving {
			entries[i] = meta.Entry{Key: e.Key, HasOlderVersions: true}
		}
	}
	return entries, more, err
}

// withoutRenamed removes from a page of a key's versions the one that was renamed
// to another key.
func (s *Store) withoutRenamed(ctx context.Context, b *meta.Bucket, key string, page []meta.Entry) ([]meta.Entry, error) {
	marked := func(e meta.Entry) bool { return e.Moving }
	i := slices.IndexFunc(page, marked)
	if i < 0 {
		return page, nil
	}
	h, err := s.read(ctx, b, key, meta.ReadOptions{Seq: page[i].Seq})
	if err != nil || h.Named != nil {
		return page, err
	}
	return slices.DeleteFunc(slices.Clone(page), marked), nil
}
