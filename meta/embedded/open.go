package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pithos/pithos/meta"
)

const (
	// format is the version of the layout that keys.go describes; it is that of a
	// new database. pagesFormat is that of one with a version that has pages: the
	// first one raises it, so that a program which knows no pages refuses it.
	format      = 1
	pagesFormat = 2
	// pebbleFormat is pinned: a newer Pebble must not change the format on disk
	// before a release of this package raises it.
	pebbleFormat = pebble.FormatTableFormatV6
	// ownerFile names the process that has the directory open.
	ownerFile = "owner.pid"
)

// ErrNewer: a later Pithos has written the directory, in a format that this one
// does not know.
var ErrNewer = errors.New("written by a newer pithos")

// Open opens the store in dir, making it if it does not exist. Only one
// process can have it open; the error of another one names the first. It
// returns ErrNewer for a directory of a later version.
func Open(dir string, opts Options) (*Store, error) {
	opts.setDefaults()
	background, stop := context.WithCancel(context.Background())
	s := &Store{dir: dir, opts: opts, opened: opts.Now(), background: background, stop: stop}
	if err := opts.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the metadata directory: %w", err)
	}
	if err := s.lockDir(); err != nil {
		return nil, err
	}
	if err := s.openDB(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.lock.Close())
	}
	return s, nil
}

func (s *Store) lockDir() error {
	fs := s.opts.FS
	lock, err := pebble.LockDirectory(s.dir, fs)
	if err != nil {
		if inUse(err) {
			return fmt.Errorf("metadata directory %s is in use%s; stop that process or choose another directory: %w", s.dir, s.owner(), err)
		}
		return fmt.Errorf("lock the metadata directory %s: %w", s.dir, err)
	}
	s.lock = lock
	if err := writeFile(fs, fs.PathJoin(s.dir, ownerFile), strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return errors.Join(fmt.Errorf("note the owner of %s: %w", s.dir, err), lock.Close())
	}
	return nil
}

// inUse tells a lock that another process holds from one that cannot be taken.
func inUse(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "held by current process")
}

// owner names the process that has the directory open, if it is known.
func (s *Store) owner() string {
	f, err := s.opts.FS.Open(s.opts.FS.PathJoin(s.dir, ownerFile))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, 20))
	pid := strings.TrimSpace(string(b))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return ""
	}
	return " by process " + pid
}

func writeFile(fs vfs.FS, name, content string) error {
	f, err := fs.Create(name, "pithos")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(content))
	return errors.Join(err, f.Close())
}

func (s *Store) openDB() error {
	o := &pebble.Options{
		FS:                          s.opts.FS,
		Lock:                        s.lock,
		CacheSize:                   s.opts.CacheBytes,
		MemTableSize:                s.opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                500,
		FormatMajorVersion:          pebbleFormat,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		Logger:                      logger{s.opts},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(s.dir, o)
	if err != nil && strings.Contains(err.Error(), "unknown format major version") { // Pebble has no sentinel for it
		err = fmt.Errorf("%w: start the pithos that wrote them, or a newer one: %w", ErrNewer, err)
	}
	if err != nil {
		return fmt.Errorf("open the metadata in %s: %w", s.dir, err)
	}
	s.db = db
	return nil
}

// load checks the format and reads the floor.
func (s *Store) load() error {
	v, err := s.get([]byte(formatKey))
	switch {
	case errors.Is(err, meta.ErrNotFound):
		if err := s.checkFresh(); err != nil {
			return err
		}
		return s.db.Set([]byte(formatKey), []byte(strconv.Itoa(format)), pebble.Sync)
	case err != nil:
		return err
	}
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 1 {
		return fmt.Errorf("metadata in %s: unreadable format %q", s.dir, v)
	}
	if n > pagesFormat {
		return fmt.Errorf("metadata in %s: %w: they have format %d, and this binary knows no later than %d; start the pithos that wrote them, or a newer one", s.dir, ErrNewer, n, pagesFormat)
	}
	v, err = s.get([]byte(floorKey))
	if errors.Is(err, meta.ErrNotFound) {
		return nil
	}
	if err == nil && len(v) != 8 {
		err = fmt.Errorf("metadata in %s: floor of %d bytes", s.dir, len(v))
	}
	if err == nil {
		s.floor.Store(int64(binary.BigEndian.Uint64(v)))
	}
	return err
}

// checkFresh refuses a database that another program has made.
func (s *Store) checkFresh() error {
	return s.iterate(context.Background(), nil, nil, func(key, _ []byte) (bool, error) {
		return false, fmt.Errorf("%s holds a database that is not pithos metadata", s.dir)
	})
}

// logger passes on the unusual messages of Pebble.
type logger struct{ o Options }

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) { l.o.Logf(format, args...) }

func (l logger) Fatalf(format string, args ...any) { l.o.Fatalf(format, args...) }
