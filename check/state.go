package check

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
)

// The rows of the check's own database, by the first byte of their keys:
//
//	m name                          the options of the run, and its begin
//	d phase, share                  a share that is done, with its counts
//	h bucket, key                   what the listing of a key should show, by its head
//	r blob, kind, ...               a reference to a blob: see refs.go
//	b blob, store, block            a stored block of a blob
//	u upload                        an upload that seems to be a leftover
//	x bucket, key                   a key of a bucket that seems to be removed
//	l bucket, part                  a part of a listing of such a bucket
//	s blob                          a blob that seems to be unreferenced
//	o blob                          a blob that was unreferenced at the end of an earlier run
//	F kind, identity                a finding
const (
	tableMeta    = 'm'
	tableDone    = 'd'
	tableHead    = 'h'
	tableRef     = 'r'
	tableBlob    = 'b'
	tableUpload  = 'u'
	tableGone    = 'x'
	tableListing = 'l'
	tableSuspect = 's'
	tableOrphan  = 'o'
	tableFinding = 'F'
)

var (
	aboutKey = []byte("mabout")
	beganKey = []byte("mbegan")
	// temporary are the tables that belong to one run.
	temporary = []byte{tableDone, tableHead, tableRef, tableBlob, tableUpload, tableGone, tableListing, tableSuspect, tableFinding}
)

// state has the rows that a check has read.
type state struct {
	db      *pebble.DB
	dir     string
	kept    bool // it is not removed at the end of the check
	began   time.Time
	opened  time.Time
	resumed bool
}

// quiet drops Pebble's messages, except those that end the process.
type quiet struct{ pebble.Logger }

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// openState opens the database in dir, and resumes the run that is in it, or begins
// one at the time now.
func openState(dir, about string, now time.Time) (*state, error) {
	cache := pebble.NewCache(32 << 20)
	defer cache.Unref() // the database holds its own reference
	opts := &pebble.Options{
		Cache: cache, MemTableSize: 32 << 20, L0CompactionThreshold: 4,
		FormatMajorVersion: pebble.FormatNewest, Logger: quiet{pebble.DefaultLogger},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	s := &state{db: db, dir: dir, opened: now}
	if err := s.begin(about, now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// begin resumes the unfinished run with the same options, or begins one.
func (s *state) begin(about string, now time.Time) error {
	was, err := s.get(aboutKey)
	if err != nil {
		return err
	}
	if was != nil {
		if string(was) != about {
			return fmt.Errorf("%w (%s): finish that check, or use another directory", ErrOtherState, was)
		}
		since, err := s.get(beganKey)
		if err != nil || len(since) != 8 {
			return errors.Join(err, fmt.Errorf("it is damaged: remove it"))
		}
		s.began, s.resumed = time.UnixMicro(int64(binary.BigEndian.Uint64(since))), true
		return nil
	}
	if err := s.clear(temporary...); err != nil {
		return err
	}
	s.began = now
	b := s.db.NewBatch()
	defer func() { _ = b.Close() }() // an applied batch has nothing to lose
	err = errors.Join(
		b.Set(beganKey, binary.BigEndian.AppendUint64(nil, uint64(now.UnixMicro())), nil),
		b.Set(aboutKey, []byte(about), nil))
	if err != nil {
		return err
	}
	return s.db.Apply(b, pebble.Sync)
}

// end marks the run as done: the next one does not resume it.
func (s *state) end() error {
	if err := s.db.Delete(aboutKey, pebble.Sync); err != nil {
		return err
	}
	return s.clear(temporary...)
}

func (s *state) clear(tables ...byte) error {
	for _, t := range tables {
		if err := s.db.DeleteRange([]byte{t}, []byte{t + 1}, pebble.NoSync); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) close() error { return s.db.Close() }

// get returns a copy of a value; nil if there is none.
func (s *state) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := append([]byte{}, v...)
	return out, closer.Close()
}

func (s *state) put(key, value []byte) error { return s.db.Set(key, value, pebble.NoSync) }
func (s *state) drop(key []byte) error       { return s.db.Delete(key, pebble.NoSync) }

// each calls visit for the rows from lo on and below hi.
func (s *state) each(lo, hi []byte, visit func(key, value []byte) error) (err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		if err := visit(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	return it.Error()
}

// sink collects rows for the database in batches. One goroutine uses it.
type sink struct {
	s *state
	b *pebble.Batch
	Counts
}

const sinkBytes = 1 << 20

func (s *state) sink() *sink { return &sink{s: s, b: s.db.NewBatch()} }

func (k *sink) put(key, value []byte) error {
	if err := k.b.Set(key, value, nil); err != nil {
		return err
	}
	if k.b.Len() < sinkBytes {
		return nil
	}
	return k.apply()
}

func (k *sink) apply() error {
	if err := k.s.db.Apply(k.b, pebble.NoSync); err != nil {
		return err
	}
	err := k.b.Close()
	k.b = k.s.db.NewBatch()
	return err
}

// done ends a share: it applies the share's rows, and after them the row that says
// that the share is done, with its counts.
func (k *sink) done(phase string, share int) error {
	row, err := meta.Marshal(k.Counts)
	if err != nil {
		return err
	}
	if err := k.b.Set(doneKey(phase, share), row, nil); err != nil {
		return err
	}
	if err := k.s.db.Apply(k.b, pebble.NoSync); err != nil {
		return err
	}
	return k.b.Close()
}

func (k *sink) abandon() { _ = k.b.Close() } // the share is read again

func doneKey(phase string, share int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{tableDone}, phase+"\x00"...), uint32(share))
}

// isDone reports whether a share of a phase is done.
func (s *state) isDone(phase string, share int) (bool, error) {
	v, err := s.get(doneKey(phase, share))
	return v != nil, err
}

// Counts are the numbers that one share adds to the summary.
type Counts struct {
	Versions, Listed, Uploads, Parts, Queued int64
	Blobs, BlobBytes                         int64
	Verified, Unreadable, Unread, Overdue    int64
	Rows                                     int64
}

// counts adds the counts of all shares.
func (s *state) counts(to *Summary) error {
	return s.each([]byte{tableDone}, []byte{tableDone + 1}, func(_, value []byte) error {
		var c Counts
		if err := meta.Unmarshal(value, &c); err != nil {
			return err
		}
		to.Versions += c.Versions
		to.Listed += c.Listed
		to.Uploads += c.Uploads
		to.Parts += c.Parts
		to.Queued += c.Queued
		to.Blobs += c.Blobs
		to.BlobBytes += c.BlobBytes
		to.Verified += c.Verified
		to.Unreadable += c.Unreadable
		to.Unread += c.Unread
		to.Overdue += c.Overdue
		return nil
	})
}

// headKey is the key of the row of a key's head.
func headKey(bucket meta.BucketID, key string) []byte {
	return append(append([]byte{tableHead}, bucket[:]...), key...)
}

func goneKey(bucket meta.BucketID, key string) []byte {
	row := headKey(bucket, key)
	row[0] = tableGone
	return row
}

func blobKey(table byte, id blob.ID) []byte { return append([]byte{table}, id[:]...) }

// findingKey orders findings by kind, the worst first.
func findingKey(f *Finding) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte(f.identity())) // never fails
	rank := byte(slices.Index(Kinds, f.Kind))
	key := append([]byte{tableFinding, rank}, f.Bucket+"\x00"+f.Key+"\x00"...)
	return binary.BigEndian.AppendUint64(key, h.Sum64())
}

// after is the first key that sorts after all keys with prefix; nil if there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
