package file

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/internal/ids"
)

// Options are the settings of a store. The zero value has the defaults.
type Options struct {
	// SmallBytes is the size up to which a blob goes into the database of
	// small blobs, at most 4 MiB. It may change between runs. Default 64 KiB:
	// below, a shared fsync of the log is faster than the three of a file (4 KiB
	// by sixteen writers: 0.15 ms against 0.46); above, writing the bytes twice
	// costs more than it saves (256 KiB: 2.6 ms against 1.2).
	SmallBytes int64
	// CacheBytes is the size of Pebble's block cache. Default 16 MiB.
	CacheBytes int64
	// MemTableBytes is the size of one of Pebble's memtables. Default 8 MiB.
	MemTableBytes int64
	// ReserveBytes is the free disk space below which writes are refused.
	// Default 256 MiB; negative: none.
	ReserveBytes int64
	// Log gets Pebble's errors. Default: none.
	Log *zap.Logger
	// FS is the file system. Default: the operating system's.
	FS vfs.FS
}

const maxSmallBytes = 4 << 20

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.SmallBytes, 64<<10)
	setDefault(&o.CacheBytes, 16<<20)
	setDefault(&o.MemTableBytes, 8<<20)
	setDefault(&o.ReserveBytes, 256<<20)
	o.ReserveBytes = max(0, o.ReserveBytes)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SmallBytes < 0 || o.SmallBytes > maxSmallBytes {
		return o, fmt.Errorf("blob store: SmallBytes is %d, want 1 to %d", o.SmallBytes, maxSmallBytes)
	}
	if o.CacheBytes < 0 || o.MemTableBytes < 64<<10 {
		return o, fmt.Errorf("blob store: CacheBytes is %d and MemTableBytes %d, want at least 0 and 65536", o.CacheBytes, o.MemTableBytes)
	}
	return o, nil
}

func setDefault(n *int64, def int64) {
	if *n == 0 {
		*n = def
	}
}

// Store is a [blob.Store] in a directory, which one process uses.
type Store struct {
	dir   string
	opts  Options
	small *pebble.DB
	large [256]dirSync // by the first byte of the ID
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in dir, creates it if it does not exist, and removes the
// files of interrupted writers. It fails while another process has the store
// open, and with ErrNewer if a later version has written it.
func Open(dir string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opts: o}
	for i := range s.large {
		s.large[i].fs = o.FS
		s.large[i].path = s.path("large", fmt.Sprintf("%02x", i))
	}
	if err := o.FS.MkdirAll(s.path("small"), 0o700); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	// The database first: its lock excludes other processes.
	if s.small, err = openSmall(s.path("small"), o); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	err = s.checkFormat()
	if err == nil {
		err = s.prepare()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob store: %w", err), s.small.Close())
	}
	return s, nil
}

// prepare makes the directories of large blobs durably, and empties tmp.
func (s *Store) prepare() error {
	fs := s.opts.FS
	for i := range s.large {
		if err := fs.MkdirAll(s.large[i].path, 0o700); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(s.path("tmp"), 0o700); err != nil {
		return err
	}
	for _, dir := range []string{s.path("large"), s.dir, fs.PathDir(s.dir)} {
		if err := syncDir(fs, dir); err != nil {
			return err
		}
	}
	left, err := fs.List(s.path("tmp"))
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := fs.Remove(s.path("tmp", name)); err != nil {
			return fmt.Errorf("remove the file of an interrupted writer: %w", err)
		}
	}
	return nil
}

// Close closes the store. All readers and writers must have been closed, and no
// method may be called after it.
func (s *Store) Close() error {
	if err := s.small.Close(); err != nil {
		return fmt.Errorf("close blob store: %w", err)
	}
	return nil
}

func (s *Store) path(elem ...string) string {
	return s.opts.FS.PathJoin(append([]string{s.dir}, elem...)...)
}

func (s *Store) tmpPath(id blob.ID) string    { return s.path("tmp", id.String()) }
func (s *Store) largeDir(id blob.ID) *dirSync { return &s.large[id[0]] }
func (s *Store) largePath(id blob.ID) string {
	return s.opts.FS.PathJoin(s.largeDir(id).path, id.String())
}

// Delete implements [blob.Store]. When it returns, the deletion is durable.
func (s *Store) Delete(ctx context.Context, id blob.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.delete(id); err != nil {
		return fmt.Errorf("delete blob %s: %w", id, err)
	}
	return nil
}

func (s *Store) delete(id blob.ID) error {
	if _, err := s.remove(s.tmpPath(id)); err != nil {
		return err
	}
	removed, err := s.remove(s.largePath(id))
	if err != nil {
		return err
	}
	if removed {
		return diskError(s.largeDir(id).Sync())
	}
	if err := s.small.Delete(id[:], pebble.Sync); err != nil {
		return smallError(err)
	}
	return nil
}

// remove removes a file and reports whether it existed. It calls Stat first: not
// every [vfs.FS] returns an error for a file that does not exist.
func (s *Store) remove(path string) (bool, error) {
	_, err := s.opts.FS.Stat(path)
	if err == nil {
		err = s.opts.FS.Remove(path)
	}
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, diskError(err)
}

// diskError returns an error of the file system as one of package blob.
func diskError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	case errors.Is(err, iofs.ErrNotExist):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}

// Walk implements [blob.Store]. It visits small blobs, large blobs, and those that
// are being written.
func (s *Store) Walk(ctx context.Context, visit func(blob.Info) error) error {
	return s.WalkShare(ctx, blob.Share{Of: 1}, visit)
}

func (s *Store) walkDir(dir string, visit func(blob.Info) error) error {
	names, err := s.opts.FS.List(dir)
	if err != nil {
		return fmt.Errorf("walk blobs: %w", diskError(err))
	}
	for _, name := range names {
		id, err := ids.Parse(name)
		if err != nil {
			return fmt.Errorf("walk blobs: %s has a file that is not a blob: %w", dir, err)
		}
		stat, err := s.opts.FS.Stat(s.opts.FS.PathJoin(dir, name))
		if errors.Is(err, iofs.ErrNotExist) {
			continue // deleted or renamed since the directory was read
		}
		if err != nil {
			return fmt.Errorf("walk blobs: %w", diskError(err))
		}
		if err := visit(blob.Info{ID: id, Size: dataLen(stat.Size())}); err != nil {
			return err
		}
	}
	return nil
}
