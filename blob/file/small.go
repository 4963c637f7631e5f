package file

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"github.com/pithos/pithos/blob"
)

// pebbleLog passes on Pebble's errors and drops its routine messages.
type pebbleLog struct{ log *zap.SugaredLogger }

func (pebbleLog) Infof(string, ...any) {}

func (l pebbleLog) Errorf(format string, args ...any) { l.log.Errorf("pebble: "+format, args...) }

// Fatalf ends the process: after a failed write of its log, Pebble does not know
// what is on disk. It recovers by reading the log at the next start.
func (l pebbleLog) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "blob store: pebble: "+format+"\n", args...)
	l.log.Fatalf("pebble: "+format, args...)
}

// openSmall opens the database of small blobs. It is locked for this process.
func openSmall(dir string, o Options) (*pebble.DB, error) {
	cache := pebble.NewCache(o.CacheBytes)
	defer cache.Unref() // the database holds its own reference
	opts := &pebble.Options{
		FS:                    o.FS,
		Cache:                 cache,
		MemTableSize:          uint64(o.MemTableBytes),
		FormatMajorVersion:    pebble.FormatValueSeparation,
		Logger:                pebbleLog{o.Log.Sugar()},
		BytesPerSync:          1 << 20,
		L0CompactionThreshold: 4,
	}
	for i := range opts.Levels {
		// Compression is up to the packages above.
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	opts.Experimental.ValueSeparationPolicy = separateValues
	db, err := pebble.Open(dir, opts)
	if err != nil && strings.Contains(err.Error(), "unknown format major version") { // Pebble has no sentinel for it
		return nil, fmt.Errorf("%w: start the pithos that wrote %s, or a newer one: %w", ErrNewer, dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the small blobs in %s (is another process using them?): %w", dir, err)
	}
	return db, nil
}

// separateValues stores all but the smallest blobs outside of the tables that
// compactions rewrite.
func separateValues() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled:               true,
		MinimumSize:           1 << 10,
		MaxBlobReferenceDepth: 10,
		RewriteMinimumAge:     5 * time.Minute,
		TargetGarbageRatio:    0.25,
	}
}

// smallError returns a Pebble error as one of package blob.
func smallError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", blob.ErrCorrupt, err)
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}

// walkSmall visits the small blobs from from on, below to, in batches, so that no
// iterator stays open while a slow visitor runs.
func (s *Store) walkSmall(from, to []byte, visit func(blob.Info) error) error {
	const batch = 1000
	for {
		infos, err := s.listSmall(from, to, batch)
		if err != nil {
			return err
		}
		for _, info := range infos {
			if err := visit(info); err != nil {
				return err
			}
		}
		if len(infos) < batch {
			return nil
		}
		last := infos[len(infos)-1].ID
		from = append(last[:], 0)
	}
}

func (s *Store) listSmall(from, to []byte, limit int) (infos []blob.Info, err error) {
	iter, err := s.small.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, smallError(err)
	}
	defer func() {
		if closeErr := iter.Close(); closeErr != nil && err == nil {
			err = smallError(closeErr)
		}
	}()
	for ok := iter.First(); ok && len(infos) < limit; ok = iter.Next() {
		var info blob.Info
		if copy(info.ID[:], iter.Key()) != len(info.ID) || len(iter.Key()) != len(info.ID) {
			return nil, fmt.Errorf("%w: key %x in the small blobs is no blob id", blob.ErrCorrupt, iter.Key())
		}
		value := iter.LazyValue()
		info.Size = dataLen(int64(value.Len()))
		infos = append(infos, info)
	}
	if err := iter.Error(); err != nil {
		return nil, smallError(err)
	}
	return infos, nil
}

// getSmall calls use with the image of a small blob, which use must not keep. It
// reports whether the blob exists.
func (s *Store) getSmall(id blob.ID, use func(image []byte) error) (bool, error) {
	image, closer, err := s.small.Get(id[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, smallError(err)
	}
	err = use(image)
	return true, errors.Join(err, closer.Close())
}

// checkSpace returns [blob.ErrFull] if, with n more bytes, less than the reserve
// would be free on the disk.
func (s *Store) checkSpace(n int) error {
	usage, err := s.opts.FS.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: free space of %s: %w", blob.ErrUnavailable, s.dir, err)
	}
	if usage.AvailBytes < uint64(s.opts.ReserveBytes)+uint64(n) {
		return fmt.Errorf("%w: %d MiB free in %s, of which %d MiB are kept in reserve: make room there",
			blob.ErrFull, usage.AvailBytes>>20, s.dir, s.opts.ReserveBytes>>20)
	}
	return nil
}
