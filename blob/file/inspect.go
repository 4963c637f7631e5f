package file

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/pithos/pithos/blob"
)

var _ blob.Inspector = (*Store)(nil)

// Replicated implements [blob.Inspector].
func (s *Store) Replicated() bool { return false }

// WalkShare implements [blob.Inspector]. The first byte of a blob's ID decides its
// share, so 256 shares at most have blobs.
func (s *Store) WalkShare(ctx context.Context, share blob.Share, visit func(blob.Info) error) error {
	if err := share.Check(); err != nil {
		return err
	}
	first, end := len(s.large)*share.Part/share.Of, len(s.large)*(share.Part+1)/share.Of
	if first == end {
		return ctx.Err()
	}
	visitor := func(info blob.Info) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(info)
	}
	var below []byte
	if end < len(s.large) {
		below = []byte{byte(end)}
	}
	if err := s.walkSmall([]byte{byte(first)}, below, visitor); err != nil {
		return err
	}
	for i := first; i < end; i++ {
		if err := s.walkDir(s.large[i].path, visitor); err != nil {
			return err
		}
	}
	return s.walkDir(s.path("tmp"), func(info blob.Info) error {
		if n := int(info.ID[0]); n < first || n >= end {
			return nil
		}
		return visitor(info)
	})
}

// Stat implements [blob.Inspector].
func (s *Store) Stat(ctx context.Context, ref blob.Ref) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var size int64
	found, err := s.getSmall(ref.ID, func(image []byte) error {
		size = dataLen(int64(len(image)))
		return nil
	})
	if err == nil && !found {
		size, err = s.statFile(s.largePath(ref.ID))
	}
	if err != nil {
		return 0, fmt.Errorf("stat blob %s: %w", ref.ID, err)
	}
	return max(size, 0), nil
}

// statFile is the number of bytes of the blob in a file; -1 if there is no file.
func (s *Store) statFile(path string) (int64, error) {
	stat, err := s.opts.FS.Stat(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, diskError(err)
	}
	return dataLen(stat.Size()), nil
}

// Find implements [blob.Inspector].
func (s *Store) Find(ctx context.Context, id blob.ID, block int) (bool, error) {
	if err := ctx.Err(); err != nil || block != 0 {
		return false, err
	}
	found, err := s.getSmall(id, func([]byte) error { return nil })
	for _, path := range []string{s.largePath(id), s.tmpPath(id)} {
		if found || err != nil {
			break
		}
		var size int64
		size, err = s.statFile(path)
		found = size >= 0 && err == nil
	}
	if err != nil {
		return false, fmt.Errorf("find blob %s: %w", id, err)
	}
	return found, nil
}

// Purge implements [blob.Inspector].
func (s *Store) Purge(ctx context.Context, id blob.ID, _ int) error { return s.Delete(ctx, id) }

// Verify implements [blob.Inspector]. There is one copy: nothing can heal it.
func (s *Store) Verify(ctx context.Context, ref blob.Ref, _ bool) (blob.Health, error) {
	return blob.VerifyByReading(ctx, s, ref)
}
