package store

import (
	"context"
	"errors"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// A rename is three changes, of two keys, that are seen as one.
//
//  1. The source's version is marked: "moving to key B, attempt N". That
//     changes nothing for anybody, yet.
//  2. Key B gets the version, with the note "moved here by attempt N". This
//     is the moment: from then on the source counts as gone. The change has
//     the revision as its condition that B had before the source was marked,
//     and is not tried again with another one.
//  3. The source's version is removed.
//
// Who reads a marked source looks at B, and then at the source once more. If B
// has the note the source is gone. If not, and the mark still stands, the
// source was there when B was read.
//
// Who changes a marked source settles the rename before. If B has the note he
// does step 3. If not he fences B, which makes step 2 fail for ever, unless B
// has the note after all; then the mark means nothing any more.
//
// Who is about to take the note from B, by overwriting or deleting that
// version, first makes sure of step 3. So a mark whose note is not there is
// one of a rename that has not been, whenever it is met.

// RenameInput is what [Store.Rename] is asked for.
type RenameInput struct {
	From string // the key to take the object from
	// Source and Destination are the conditions on the two keys' objects.
	Source, Destination Conditions
	// Token is the client's name of this rename: said again, it is answered
	// as before, and done once.
	Token string
}

// Rename moves an object to another key of its bucket, atomically and without
// copying a byte. All of the object's properties stay as they are, its time
// of modification too. (RenameObject in the S3 API reference.)
func (s *Store) Rename(ctx context.Context, b *meta.Bucket, to string, in RenameInput) error {
	if err := checkKey(to); err != nil {
		return err
	}
	switch {
	case in.From == to:
		return fail(s3err.InvalidRequest, "The source and the destination of a rename are the same key")
	case strings.HasSuffix(in.From, "/"), strings.HasSuffix(to, "/"):
		return fail(s3err.InvalidRequest, "Keys that end with a slash cannot be renamed, nor be what is renamed to")
	case b.Config.Versioning != "":
		return errVersionedRename()
	}
	for try := 0; ; try++ {
		err := s.renameOnce(ctx, b, to, &in)
		if err == nil {
			return nil
		}
		if errors.Is(err, errReplaced) {
			err = meta.ErrConflict
		}
		if err := s.awaitRetry(ctx, b, try, err); err != nil {
			if isMissing(err) {
				err = s.orRecreated(ctx, b, err)
			}
			return err
		}
	}
}

func errVersionedRename() error {
	return fail(s3err.InvalidRequest, "RenameObject works in buckets without versioning only")
}

// renameOnce is one attempt. [meta.ErrConflict] and errReplaced say that
// somebody else's change came first.
func (s *Store) renameOnce(ctx context.Context, b *meta.Bucket, to string, in *RenameInput) error {
	dst, err := s.readResolved(ctx, b, to, meta.ReadOptions{Limit: 2, Null: true})
	if err != nil {
		return err
	}
	src, err := s.find(ctx, b, in.From, "", true)
	if err != nil {
		if cur := dst.Current(); in.Token != "" && isMissing(err) && cur != nil && cur.Moved != nil && cur.Moved.Token == in.Token {
			return nil // this is it, said again
		}
		return err
	}
	if err := in.Destination.write(dst.Current()); err != nil {
		return err
	}
	if err := in.Source.source(src); err != nil {
		return err
	}
	body, release, err := s.whole(ctx, b.ID, in.From, src)
	if err != nil {
		return err
	}
	defer release()
	l, err := s.shareBlobs(ctx, b, in.From, body, b, to)
	if err != nil {
		return err
	}
	move := meta.Move{ID: meta.NewID(), Key: to, Began: s.now().UnixMicro()}
	if src, err = s.markSource(ctx, b, src, in, move); err != nil {
		return err
	}
	gone := &mutation{remove: []meta.Version{*src}}
	if err := s.endUpload(ctx, b.ID, in.From, &meta.Head{Versions: gone.remove}, gone); err != nil {
		return err
	}
	v := *src
	v.Moving, v.Moved = nil, &meta.Move{ID: move.ID, Key: in.From, Began: move.Began, Token: in.Token}
	v.Seq, v.Upload = 0, meta.UploadID{}
	if err = s.takeBody(b, in.From, src, b, to, &v); err == nil {
		v.Pages, v.Segments, v.Parts = nil, l.segments, body.Parts
		err = s.commitDestination(ctx, b, to, dst, &v, l.guard)
	}
	if err != nil {
		if !unknown(err) {
			s.async(func(ctx context.Context) { _ = s.removeMark(ctx, b.ID, move.ID, in.From) }) // else whoever meets it does
		}
		return err
	}
	s.async(func(ctx context.Context) { s.dropEntries(ctx, l.guard...) })
	if err := s.removeSource(ctx, b.ID, move.ID, in.From); err != nil {
		// It counts as gone all the same, and whoever meets it removes it.
		s.log.Sugar().Warnf("the source of a rename could not be removed yet: %v", err)
	}
	return nil
}

// markSource marks the source, if it is as src was when its blobs were
// borrowed, and returns it as it then is.
func (s *Store) markSource(ctx context.Context, b *meta.Bucket, src *meta.Version, in *RenameInput, move meta.Move) (*meta.Version, error) {
	var marked meta.Version
	err := s.change(ctx, b, in.From, meta.ReadOptions{Payload: true}, nil, func(h *meta.Head) (*mutation, error) {
		v := h.Current()
		if v == nil || v.DeleteMarker {
			return nil, noSuchKey(in.From)
		}
		if !v.Null || len(h.Versions) > 1 {
			return nil, errVersionedRename()
		}
		if err := in.Source.source(v); err != nil {
			return nil, err
		}
		if err := lockedAgainst(v, false, s.now()); err != nil {
			return nil, err
		}
		if v.Seq != src.Seq || !sameBlobs(v, src) {
			return nil, errReplaced
		}
		marked = *v
		marked.Moving = &move
		return &mutation{put: []*meta.Version{&marked}}, nil
	})
	return &marked, err
}

// commitDestination makes v the object at key, whose head must still be dst.
func (s *Store) commitDestination(ctx context.Context, b *meta.Bucket, key string, dst *meta.Head, v *meta.Version, guard []meta.QueueEntry) error {
	m := &mutation{put: []*meta.Version{v}, guard: guard}
	if cur := dst.Current(); cur != nil && !cur.Null {
		return errVersionedRename()
	}
	if err := replaceNull(dst, v, m); err != nil {
		return err
	}
	if err := s.removeSources(ctx, b.ID, dst, m); err != nil {
		return err
	}
	return s.commit(ctx, b.ID, key, dst, len(dst.Versions) >= 2, m, &preparation{})
}
