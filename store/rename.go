package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// A rename is three changes, of two keys, that take effect as one.
//
//  1. Mark the source's version: "moving to key B, attempt N" (Version.Moving).
//     Nothing else changes yet.
//  2. Write the version to key B, with the note "moved here by attempt N"
//     (Version.Moved). This commits the rename: from now on the source is gone.
//     The condition is the revision that B had before step 1; on a conflict the
//     attempt fails and is not repeated with another revision.
//  3. Remove the source's version.
//
// What others do about it is in renameresolve.go:
//
//   - A reader of a marked source reads B, and then the source again. If B has
//     the note, the source is gone. If not, and the mark is still there, the
//     source was there when B was read.
//   - A change of a marked source ends the rename first. If B has the note, it
//     does step 3. If not, it fences B, so that step 2 fails for ever, and looks
//     for the note once more; without a note the mark has no meaning any more.
//   - A change that removes the note from B, because it overwrites or deletes the
//     version, does step 3 first. So a mark whose note is missing always belongs
//     to a rename that was not committed.

// RenameInput is what [Store.Rename] is asked for.
type RenameInput struct {
	From string // the key to take the object from
	// Source and Destination are the conditions on the two keys' objects.
	Source, Destination Conditions
	// Token is the client's name of this rename. A rename with the same token is
	// done once, and answered the same again.
	Token string
}

// Rename moves an object to another key of its bucket, atomically and without
// copying a byte. All properties of the object stay as they are, including its
// time of modification. (RenameObject in the S3 API reference.)
//
// Errors: KeyTooLongError, InvalidURI, InvalidRequest (same key, a key that ends
// with a slash, a versioned bucket), NoSuchKey, PreconditionFailed, AccessDenied
// (the object is locked), NoSuchBucket, OperationAborted, SlowDown.
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
			err = fmt.Errorf("%w: %w", meta.ErrConflict, err)
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

// renameOnce is one attempt. [meta.ErrConflict] and errReplaced say that another
// change of one of the keys was committed first.
func (s *Store) renameOnce(ctx context.Context, b *meta.Bucket, to string, in *RenameInput) error {
	h, err := s.meta.Read(ctx, b.ID, to, readDestination)
	if err != nil {
		return err
	}
	destination := &h
	if inRename(destination) {
		if destination, err = s.endRenames(ctx, b.ID, to, readDestination, destination); err != nil {
			return err
		}
	}
	v, err := s.find(ctx, b, in.From, "", true)
	if err != nil {
		if cur := destination.Current(); in.Token != "" && isMissing(err) && cur != nil && cur.Moved != nil && cur.Moved.Token == in.Token {
			return nil // the rename of this token is done
		}
		return err
	}
	if err := in.Destination.write(destination.Current()); err != nil {
		return err
	}
	if err := in.Source.source(v); err != nil {
		return err
	}
	whole, release, err := s.whole(ctx, b.ID, in.From, v)
	if err != nil {
		return err
	}
	defer release()
	src := source{bucket: b, key: in.From, version: v}
	body, err := s.shareBlobs(ctx, source{bucket: b, key: in.From, version: whole}, b, to)
	if err != nil {
		return err
	}
	move := meta.Move{ID: meta.NewID(), Key: to, Began: s.now().UnixMicro()}
	if src.version, err = s.markSource(ctx, src, in, move); err != nil {
		return err
	}
	removal := &mutation{remove: []meta.Version{*src.version}}
	if err := s.endUpload(ctx, b.ID, in.From, &meta.Head{Versions: removal.remove}, removal); err != nil {
		return err
	}
	moved := *src.version
	moved.Moving, moved.Moved = nil, &meta.Move{ID: move.ID, Key: in.From, Began: move.Began, Token: in.Token}
	moved.Seq, moved.Upload = 0, meta.UploadID{}
	if err = s.takeBody(src, b, to, &moved); err == nil {
		moved.Pages, moved.Segments, moved.Parts = nil, body.segments, whole.Parts
		err = s.commitDestination(ctx, b.ID, to, destination, &mutation{put: []*meta.Version{&moved}, guard: body.guard})
	}
	if err != nil {
		if !unknown(err) {
			s.async(func(ctx context.Context) { _ = s.removeMark(ctx, b.ID, move.ID, in.From) }) // the next reader tries again
		}
		return err
	}
	s.async(func(ctx context.Context) { s.dropEntries(ctx, body.guard...) })
	if err := s.removeSource(ctx, b.ID, move.ID, in.From); err != nil {
		// Readers do not show the source any more, and remove it.
		s.log.Sugar().Warnf("the source of a rename could not be removed yet: %v", err)
	}
	return nil
}

// markSource marks the source and returns the marked version. errReplaced if its
// blobs are not those of src.version any more.
func (s *Store) markSource(ctx context.Context, src source, in *RenameInput, move meta.Move) (*meta.Version, error) {
	var marked meta.Version
	err := s.change(ctx, src.bucket, src.key, meta.ReadOptions{Payload: true}, nil, func(h *meta.Head) (*mutation, error) {
		v := h.Current()
		if v == nil || v.DeleteMarker {
			return nil, noSuchKey(src.key)
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
		if v.Seq != src.version.Seq || !sameBlobs(v, src.version) {
			return nil, errReplaced
		}
		marked = *v
		marked.Moving = &move
		return &mutation{put: []*meta.Version{&marked}}, nil
	})
	return &marked, err
}

// commitDestination makes the change m, which puts the renamed version, of a key
// whose head must still be h.
func (s *Store) commitDestination(ctx context.Context, bucket meta.BucketID, key string, h *meta.Head, m *mutation) error {
	if cur := h.Current(); cur != nil && !cur.Null {
		return errVersionedRename()
	}
	if err := replaceNull(h, m.put[0], m); err != nil {
		return err
	}
	if err := s.removeSources(ctx, bucket, h, m); err != nil {
		return err
	}
	return s.commit(ctx, bucket, key, &preparedWrite{head: h}, m)
}
