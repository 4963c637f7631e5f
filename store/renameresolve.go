package store

import (
	"context"
	"errors"
	"slices"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// What readers and writers do about renames under way; rename.go has the
// protocol.

// abandonedAfter is after how long, in microseconds, a reader takes a mark away
// that it found to mean nothing. When does not matter: whoever made it fails.
const abandonedAfter = 60e6

// markedVersion returns the marked version of a head, if there is one.
func markedVersion(h *meta.Head) *meta.Version {
	if h.Named != nil && h.Named.Moving != nil {
		return h.Named
	}
	if i := slices.IndexFunc(h.Versions, func(v meta.Version) bool { return v.Moving != nil }); i >= 0 {
		return &h.Versions[i]
	}
	return nil
}

// renameCommitted reports whether a head of the key that a version moves to has the
// note of that move. It must have been read with ReadOptions.Null.
func renameCommitted(h *meta.Head, id meta.ID) bool {
	is := func(v meta.Version) bool { return v.Moved != nil && v.Moved.ID == id }
	return h.Named != nil && is(*h.Named) || slices.ContainsFunc(h.Versions, is)
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

// read is meta.Read, without a version that was renamed to another key.
func (s *Store) read(ctx context.Context, b *meta.Bucket, key string, o meta.ReadOptions) (meta.Head, error) {
	h, err := s.meta.Read(ctx, b.ID, key, o)
	for try := 0; err == nil; try++ {
		v := markedVersion(&h)
		if v == nil {
			return h, nil
		}
		there, err := s.meta.Read(ctx, b.ID, v.Moving.Key, meta.ReadOptions{Limit: 2, Null: true})
		if err != nil {
			return meta.Head{}, err
		}
		if renameCommitted(&there, v.Moving.ID) {
			id := v.Moving.ID
			s.async(func(ctx context.Context) { _ = s.removeSource(ctx, b.ID, id, key) })
			return withoutVersion(h, v), nil
		}
		again, err := s.meta.Read(ctx, b.ID, key, o)
		if err != nil {
			return meta.Head{}, err
		}
		if w := markedVersion(&again); w != nil && w.Moving.ID == v.Moving.ID {
			if move := *w.Moving; s.now().UnixMicro()-move.Began > abandonedAfter {
				s.async(func(ctx context.Context) { s.abandonRename(ctx, b.ID, move, key) })
			}
			return again, nil
		}
		if try >= maxTries {
			return meta.Head{}, &s3err.Error{Code: s3err.OperationAborted, Message: "Too many others are changing this key; please try again"}
		}
		h = again
	}
	return h, err
}

// readResolved reads a key that is to be changed. A rename of one of its versions
// is over then: it has been, and the version is gone, or it never will be.
func (s *Store) readResolved(ctx context.Context, b *meta.Bucket, key string, o meta.ReadOptions) (*meta.Head, error) {
	h, err := s.meta.Read(ctx, b.ID, key, o)
	if err != nil {
		return nil, err
	}
	return s.resolveRename(ctx, b, key, o, &h)
}

func (s *Store) resolveRename(ctx context.Context, b *meta.Bucket, key string, o meta.ReadOptions, h *meta.Head) (*meta.Head, error) {
	for {
		v := markedVersion(h)
		if v == nil {
			return h, nil
		}
		gone, err := s.decideRename(ctx, b.ID, v.Moving)
		if err != nil {
			return nil, err
		}
		if !gone {
			withoutMark(h, v.Moving.ID)
			return h, nil
		}
		if err := s.removeSource(ctx, b.ID, v.Moving.ID, key); err != nil {
			return nil, err
		}
		again, err := s.meta.Read(ctx, b.ID, key, o)
		if err != nil {
			return nil, err
		}
		h = &again
	}
}

// decideRename ends a rename one way or the other, and reports whether it has been.
func (s *Store) decideRename(ctx context.Context, bucket meta.BucketID, m *meta.Move) (bool, error) {
	o := meta.ReadOptions{Limit: 2, Null: true}
	h, err := s.meta.Read(ctx, bucket, m.Key, o)
	if err != nil || renameCommitted(&h, m.ID) {
		return err == nil, err
	}
	h, err = s.meta.Fence(ctx, bucket, m.Key, s.now().UnixMicro(), o)
	return err == nil && renameCommitted(&h, m.ID), err
}

// withoutMark takes a mark that means nothing from the versions of h.
func withoutMark(h *meta.Head, id meta.ID) {
	h.Versions = slices.Clone(h.Versions)
	for i := range h.Versions {
		if m := h.Versions[i].Moving; m != nil && m.ID == id {
			h.Versions[i].Moving = nil
		}
	}
	if h.Named != nil && h.Named.Moving != nil && h.Named.Moving.ID == id {
		v := *h.Named
		v.Moving = nil
		h.Named = &v
	}
}

// removeSources makes sure, before m takes the notes of renames from versions
// of h, that nothing is left to be done for these renames.
func (s *Store) removeSources(ctx context.Context, bucket meta.BucketID, h *meta.Head, m *mutation) error {
	touched := func(v *meta.Version) bool {
		return v.Moved != nil && v.Moved.Key != "" &&
			(slices.ContainsFunc(m.remove, func(o meta.Version) bool { return o.Seq == v.Seq }) ||
				slices.ContainsFunc(m.put, func(o *meta.Version) bool { return o.Seq == v.Seq }))
	}
	versions := slices.Clone(h.Versions)
	if h.Named != nil {
		versions = append(versions, *h.Named)
	}
	versions = append(versions, m.remove...)
	done := map[meta.ID]bool{}
	for i := range versions {
		v := &versions[i]
		if !touched(v) || done[v.Moved.ID] {
			continue
		}
		if err := s.removeSource(ctx, bucket, v.Moved.ID, v.Moved.Key); err != nil {
			return err
		}
		done[v.Moved.ID] = true
	}
	for _, v := range m.put {
		if v.Moved != nil && done[v.Moved.ID] {
			v.Moved = &meta.Move{ID: v.Moved.ID, Token: v.Moved.Token}
		}
	}
	return nil
}

// removeSource removes the version of key that the rename id, which has been,
// has moved away from it.
func (s *Store) removeSource(ctx context.Context, bucket meta.BucketID, id meta.ID, key string) error {
	return s.changeMarked(ctx, bucket, id, key, func(v meta.Version) *mutation {
		return &mutation{remove: []meta.Version{v}}
	})
}

// removeMark takes away the mark of the rename id, which never will be.
func (s *Store) removeMark(ctx context.Context, bucket meta.BucketID, id meta.ID, key string) error {
	return s.changeMarked(ctx, bucket, id, key, func(v meta.Version) *mutation {
		v.Moving = nil
		return &mutation{put: []*meta.Version{&v}}
	})
}

// abandonRename ends a rename that seems to have died, whichever way it went.
func (s *Store) abandonRename(ctx context.Context, bucket meta.BucketID, m meta.Move, key string) {
	gone, err := s.decideRename(ctx, bucket, &m)
	switch {
	case err != nil:
	case gone:
		err = s.removeSource(ctx, bucket, m.ID, key)
	default:
		err = s.removeMark(ctx, bucket, m.ID, key)
	}
	if err != nil {
		s.log.Sugar().Debugf("the mark of a rename stays: %v", err)
	}
}

// changeMarked makes the change that end says of the version that the rename id has
// marked, if the mark is there.
func (s *Store) changeMarked(ctx context.Context, bucket meta.BucketID, id meta.ID, key string, end func(meta.Version) *mutation) error {
	for try := 0; ; try++ {
		h, err := s.meta.Read(ctx, bucket, key, meta.ReadOptions{Limit: 2, Null: true, Payload: true})
		if err != nil {
			return err
		}
		v := markedVersion(&h)
		if v == nil || v.Moving.ID != id {
			return nil
		}
		err = s.commit(ctx, bucket, key, &h, len(h.Versions) >= 2, end(*v), &preparation{})
		if !errors.Is(err, meta.ErrConflict) || try >= maxTries {
			return err
		}
		if err := BackOff(ctx, try); err != nil {
			return err
		}
	}
}
