package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// group has all rows about one blob.
type group struct {
	id                               blob.ID
	versions, parts, queue, recorded []ref
	stored                           map[int]*stored // by store
}

// stored is what one store has of a blob.
type stored struct {
	bytes int64
	last  int // its last block
}

// compareShares is the number of shares of the comparison: the first byte of a
// blob's id decides its share.
const compareShares = 256

// compareBlobs compares the references to blobs with the stored blobs.
func (c *checker) compareBlobs(ctx context.Context) error {
	return c.shares(ctx, phaseCompare, compareShares, func(ctx context.Context, share int, k *sink) error {
		return c.state.groups(byte(share), func(g *group) error {
			k.Rows++
			if err := ctx.Err(); err != nil {
				return err
			}
			return c.compareBlob(ctx, k, g)
		})
	})
}

// groups calls visit for each blob whose id begins with a byte.
func (s *state) groups(first byte, visit func(*group) error) (err error) {
	var iters [2]*pebble.Iterator
	for i, table := range []byte{tableRef, tableBlob} {
		prefix := []byte{table, first}
		if iters[i], err = s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, iters[i].Close()) }()
		iters[i].First()
	}
	refs, blobs := iters[0], iters[1]
	for refs.Valid() || blobs.Valid() {
		g := &group{id: lowest(refs, blobs), stored: map[int]*stored{}}
		for ; refs.Valid() && blobOf(refs) == g.id; refs.Next() {
			if err := g.addRef(refs.Value()); err != nil {
				return err
			}
		}
		for ; blobs.Valid() && blobOf(blobs) == g.id; blobs.Next() {
			g.addStored(blobs.Key()[17:], blobs.Value())
		}
		if err := visit(g); err != nil {
			return err
		}
	}
	return errors.Join(refs.Error(), blobs.Error())
}

func blobOf(it *pebble.Iterator) blob.ID { return blob.ID(it.Key()[1:17]) }

func lowest(a, b *pebble.Iterator) blob.ID {
	if !b.Valid() {
		return blobOf(a)
	}
	if !a.Valid() {
		return blobOf(b)
	}
	x, y := blobOf(a), blobOf(b)
	if bytes.Compare(x[:], y[:]) < 0 {
		return x
	}
	return y
}

func (g *group) addRef(row []byte) error {
	var r ref
	if err := meta.Unmarshal(row, &r); err != nil {
		return err
	}
	switch r.Kind {
	case refVersion:
		g.versions = append(g.versions, r)
	case refPart:
		g.parts = append(g.parts, r)
	case refQueued:
		g.queue = append(g.queue, r)
	case refRecorded:
		g.recorded = append(g.recorded, r)
	}
	return nil
}

func (g *group) addStored(place, size []byte) {
	store, block := int(binary.BigEndian.Uint16(place)), int(binary.BigEndian.Uint32(place[2:]))
	s := g.stored[store]
	if s == nil {
		s = &stored{}
		g.stored[store] = s
	}
	s.bytes += int64(binary.BigEndian.Uint64(size))
	s.last = max(s.last, block)
}

func (c *checker) compareBlob(ctx context.Context, k *sink, g *group) error {
	for _, refs := range [][]ref{g.versions, g.parts} {
		for i := range refs {
			if err := c.compareStored(ctx, g, &refs[i]); err != nil {
				return err
			}
		}
	}
	if err := c.compareRecorded(ctx, g); err != nil {
		return err
	}
	for i := range g.queue {
		if err := c.compareQueued(&g.queue[i]); err != nil {
			return err
		}
	}
	if c.only == nil && len(g.stored) > 0 && len(g.versions)+len(g.parts)+len(g.queue)+len(g.recorded) == 0 {
		return c.suspectOrphan(k, g)
	}
	return nil
}

// compareQueued finds queue entries that the collector cannot process.
func (c *checker) compareQueued(r *ref) error {
	if _, ok := c.names[r.Store]; ok {
		return nil
	}
	f := c.about(Leftover, r.Bucket, r.Key)
	f.Store, f.Blob = r.Store, r.Blob.String()
	f.Detail = fmt.Sprintf("the queue has a blob of the store %q, which the configuration does not have", r.Store)
	f.Advice = "configure the storage class again, so that the collector can delete the blob"
	return c.found(f)
}

// compareStored checks that the bytes of a reference are stored.
func (c *checker) compareStored(ctx context.Context, g *group, r *ref) error {
	n, ok := c.names[r.Store]
	if !ok {
		f := c.lost(r)
		f.Kind = Missing
		f.Detail = fmt.Sprintf("its bytes are in the blob store %q, which the configuration does not have", r.Store)
		f.Advice = "configure the storage class again"
		return c.found(f)
	}
	if r.Bytes == 0 {
		return nil // an empty blob has no rows
	}
	if s := g.stored[n]; s != nil && s.bytes == r.Bytes {
		return nil
	}
	return c.confirmLost(ctx, n, r)
}

// confirmLost checks a blob again that seems to lack bytes, and the reference to it
// after that.
func (c *checker) confirmLost(ctx context.Context, n int, r *ref) error {
	holds, err := c.holds(ctx, r)
	if err != nil || !holds {
		return err
	}
	size, err := c.stores[n].Stat(ctx, r.blobRef())
	if err != nil || size == r.Bytes {
		return err
	}
	if holds, err = c.holds(ctx, r); err != nil || !holds {
		return err
	}
	return c.found(c.lack(r, size))
}

// lack is the finding of a reference of whose bytes only size are stored.
func (c *checker) lack(r *ref, size int64) Finding {
	f := c.lost(r)
	f.Kind, f.Detail = Missing, fmt.Sprintf("%d bytes are missing", r.Bytes-size)
	if size > r.Bytes {
		f.Kind, f.Detail = Mismatched, fmt.Sprintf("%d bytes are stored, and %d were written", size, r.Bytes)
	}
	f.Bytes = r.Bytes
	f.Advice = "restore the object from a backup or delete it: no copy of its bytes is left"
	return f
}

// lost begins the finding of a reference.
func (c *checker) lost(r *ref) Finding {
	f := c.about(Missing, r.Bucket, r.Key)
	f.Store, f.Blob = r.Store, r.Blob.String()
	if r.Kind == refPart {
		f.Upload, f.Part = r.Upload.String(), r.Part
		return f
	}
	v := meta.Version{Seq: r.Seq, Null: r.Null}
	f.Version = c.versionID(r.Bucket, &v)
	return f
}

// holds reports whether a version or a part still refers to its blob, as it did
// during the walk.
func (c *checker) holds(ctx context.Context, r *ref) (bool, error) {
	if r.Kind == refPart {
		return c.partHolds(ctx, r)
	}
	return untilItFits(ctx, r, c.versionHolds)
}

// untilItFits repeats a read of the versions of a key while it returns ErrNotFound:
// a version was removed or appended to since it was read. A version that is damaged
// never fits, so the number of tries is limited.
func untilItFits(ctx context.Context, r *ref, read func(context.Context, *ref) (bool, error)) (refers bool, err error) {
	for try := range 5 {
		if refers, err = read(ctx, r); !errors.Is(err, meta.ErrNotFound) {
			return refers, err
		}
		if err := store.BackOff(ctx, try); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("segments of key %q: %w", r.Key, err)
}

// versionHolds returns ErrNotFound if the version changes while it is read.
func (c *checker) versionHolds(ctx context.Context, r *ref) (bool, error) {
	h, err := c.Meta.Read(ctx, r.Bucket, r.Key, meta.ReadOptions{Seq: r.Seq})
	if errors.Is(err, meta.ErrBucketGone) {
		return false, nil
	}
	if err != nil || h.Named == nil {
		return false, err
	}
	err = meta.Whole(ctx, c.Meta, r.Bucket, r.Key, h.Named)
	return err == nil && refersTo(h.Named.Segments, r), err
}

func (c *checker) partHolds(ctx context.Context, r *ref) (bool, error) {
	parts, err := c.Meta.Parts(ctx, r.Upload, r.Part-1, 1)
	if err != nil || len(parts) == 0 || parts[0].Number != r.Part || !refersTo(parts[0].Segments, r) {
		return false, err
	}
	// Read the upload after the part: its blobs are deleted only after the upload
	// has ended.
	u, err := c.Meta.Upload(ctx, r.Bucket, r.Key, r.Upload)
	if errors.Is(err, meta.ErrNotFound) || errors.Is(err, meta.ErrBucketGone) {
		return false, nil
	}
	return err == nil && (u.State == meta.UploadOpen || u.State == meta.UploadCompleting), err
}

func refersTo(segments []meta.Segment, r *ref) bool {
	for _, s := range segments {
		if s.Blob == r.Blob && s.Ref == r.Ref {
			return true
		}
	}
	return false
}
