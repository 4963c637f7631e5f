package check

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
)

// suspect is a blob that seems to be unreferenced.
type suspect struct {
	Store int   `cbor:"1,keyasint"`
	Bytes int64 `cbor:"2,keyasint"`
	Last  int   `cbor:"3,keyasint"` // its last block
}

// suspectOrphan stores a blob that seems to be unreferenced. If several stores are
// one directory or table, all of them have it, and one is enough.
func (c *checker) suspectOrphan(k *sink, g *group) error {
	for n := range c.stores {
		if s := g.stored[n]; s != nil {
			row, err := meta.Marshal(suspect{Store: n, Bytes: s.bytes, Last: s.last})
			if err != nil {
				return err
			}
			return k.put(blobKey(tableSuspect, g.id), row)
		}
	}
	return nil
}

// confirmOrphans decides which of the suspected blobs are unreferenced.
func (c *checker) confirmOrphans(ctx context.Context) error {
	any := false
	err := c.state.each([]byte{tableSuspect}, []byte{tableSuspect + 1}, func(_, _ []byte) error { any = true; return errEnough })
	if err := ignoreEnough(err); err != nil {
		return err
	}
	if any && !c.Exclusive {
		if err := c.walkAgain(ctx); err != nil {
			return err
		}
	}
	if err := c.forgetOrphans(); err != nil {
		return err
	}
	ended := c.Now()
	// Read after the last walk of references: see the rule in package store,
	// holds.go.
	may, err := c.Store.MayDelete(ctx)
	if err != nil {
		return err
	}
	c.held = !may
	return c.state.each([]byte{tableSuspect}, []byte{tableSuspect + 1}, func(key, value []byte) error {
		var s suspect
		if err := meta.Unmarshal(value, &s); err != nil {
			return err
		}
		return c.confirmOrphan(ctx, blob.ID(key[1:]), s, ended)
	})
}

// walkAgain walks all rows that may refer to a blob again, and clears the suspects
// that they refer to. The package comment explains the order.
func (c *checker) walkAgain(ctx context.Context) error {
	clearSuspect := func(id meta.ID) error {
		key := blobKey(tableSuspect, id)
		was, err := c.state.get(key)
		if err != nil || was == nil {
			return err
		}
		return c.state.drop(key)
	}
	segments := func(list []meta.Segment) error {
		for i := range list {
			if err := clearSuspect(list[i].Blob); err != nil {
				return err
			}
		}
		return nil
	}
	queued := func(_ *sink, e meta.QueueEntry) error { return clearSuspect(e.Blob.Blob) }
	const again = phaseOrphans
	if err := c.walkQueue(ctx, again+": queue", queued); err != nil {
		return err
	}
	err := c.walkUploads(ctx, again+": uploads", func(_ *sink, _ meta.Upload, p meta.Part) error { return segments(p.Segments) })
	if err != nil {
		return err
	}
	err = c.walkReferences(ctx, again+": references", func(_ *sink, b meta.QueuedBlob) error { return clearSuspect(b.Blob) })
	if err != nil {
		return err
	}
	err = c.shares(ctx, again+": versions", c.Shares, func(ctx context.Context, share int, k *sink) error {
		return c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{Version: func(r meta.VersionRow) error {
			k.Rows++
			return segments(r.Segments)
		}})
	})
	if err != nil {
		return err
	}
	return c.walkQueue(ctx, again+": queue, again", queued)
}

// forgetOrphans drops the unreferenced blobs of earlier runs that are referred to
// now, or were deleted.
func (c *checker) forgetOrphans() error {
	return c.state.each([]byte{tableOrphan}, []byte{tableOrphan + 1}, func(key, _ []byte) error {
		still, err := c.state.get(blobKey(tableSuspect, blob.ID(key[1:])))
		if err != nil || still != nil {
			return err
		}
		return c.state.drop(key)
	})
}

func (c *checker) confirmOrphan(ctx context.Context, id blob.ID, s suspect, ended time.Time) error {
	there, err := c.isThere(ctx, id, s)
	if err != nil || !there {
		return err
	}
	f := Finding{Kind: Unreferenced, Store: c.storeName(s.Store), Blob: id.String(), Bytes: s.Bytes,
		Detail: fmt.Sprintf("nothing refers to %d bytes", s.Bytes)}
	first, err := c.firstSeen(id, ended)
	if err != nil {
		return err
	}
	due := first.Add(c.Store.Grace())
	switch {
	case c.held:
		f.Advice = "a backup keeps blobs from being deleted ('pithos backup status'): check again after it"
	case c.Repair && (c.Exclusive || c.started.After(due)):
		if err := c.stores[s.Store].Purge(ctx, id, s.Last); err != nil {
			return err
		}
		f.Repaired = true
		if err := c.state.drop(blobKey(tableOrphan, id)); err != nil {
			return err
		}
	case c.Exclusive:
		f.Advice = "check with --repair deletes it"
	case !c.state.kept:
		f.Advice = "run check --repair with --state DIR twice, a grace time apart: it deletes blobs that both runs find"
	default:
		f.Advice = fmt.Sprintf("a check --repair with the same --state that begins after %s deletes it", due.UTC().Format(time.RFC3339))
	}
	return c.found(f)
}

// isThere reports whether anything of a blob is still stored.
func (c *checker) isThere(ctx context.Context, id blob.ID, s suspect) (bool, error) {
	for _, block := range []int{0, s.Last} {
		if there, err := c.stores[s.Store].Find(ctx, id, block); there || err != nil {
			return there, err
		}
	}
	return false, nil
}

// firstSeen is the end of the first run that found the blob unreferenced: ended, and
// stored, if this run is the first.
func (c *checker) firstSeen(id blob.ID, ended time.Time) (time.Time, error) {
	key := blobKey(tableOrphan, id)
	row, err := c.state.get(key)
	if err != nil {
		return ended, err
	}
	if len(row) == 8 {
		return time.UnixMicro(int64(binary.BigEndian.Uint64(row))), nil
	}
	return ended, c.state.put(key, binary.BigEndian.AppendUint64(nil, uint64(ended.UnixMicro())))
}

// storeName is the shortest of a blob store's names.
func (c *checker) storeName(n int) string {
	shortest := ""
	for _, name := range sortedKeys(c.names) {
		if c.names[name] == n && (shortest == "" || len(name) < len(shortest)) {
			shortest = name
		}
	}
	return shortest
}
