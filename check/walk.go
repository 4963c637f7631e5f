package check

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
)

// The phases, as progress names them.
const (
	phaseBlobs      = "blobs"
	phaseQueue      = "queue"
	phaseUploads    = "uploads"
	phaseReferences = "references"
	phaseVersions   = "versions"
	phaseQueueAgain = "queue, again"
	phaseCompare    = "compare"
	phaseOrphans    = "unreferenced blobs"
	phaseParts      = "parts of listings"
	phaseListing    = "listings"
	phaseLeftovers  = "leftovers"
	phaseDeep       = "contents"
)

// shares calls work for each of n shares of a phase that is not done yet, several
// of them in parallel.
func (c *checker) shares(ctx context.Context, phase string, n int, work func(ctx context.Context, share int, k *sink) error) error {
	var done, rows atomic.Int64
	tell := func() { c.Progress(Progress{Phase: phase, Done: int(done.Load()), Of: n, Rows: rows.Load()}) }
	tell()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Workers)
	for share := range n {
		was, err := c.state.isDone(phase, share)
		if err != nil {
			return err
		}
		if was {
			done.Add(1)
			continue
		}
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			k := c.state.sink()
			if err := work(ctx, share, k); err != nil {
				k.abandon()
				return err
			}
			if err := k.done(phase, share); err != nil {
				return err
			}
			done.Add(1)
			rows.Add(k.Rows)
			tell()
			return nil
		})
	}
	return g.Wait()
}

// walkBlobs stores the rows of all stored blobs. It has c.Shares shares for each
// store.
func (c *checker) walkBlobs(ctx context.Context) error {
	return c.shares(ctx, phaseBlobs, len(c.stores)*c.Shares, func(ctx context.Context, share int, k *sink) error {
		n := share / c.Shares
		return c.stores[n].WalkShare(ctx, blob.Share{Part: share % c.Shares, Of: c.Shares}, func(info blob.Info) error {
			k.Blobs++
			k.Rows++
			k.BlobBytes += info.Size
			return k.put(storedKey(info.ID, n, info.Block), binary.BigEndian.AppendUint64(nil, uint64(info.Size)))
		})
	})
}

// walkQueue calls note for each queue entry.
func (c *checker) walkQueue(ctx context.Context, phase string, note func(*sink, meta.QueueEntry) error) error {
	overdue := c.started.Add(-c.Store.Grace())
	return c.shares(ctx, phase, c.Shares, func(ctx context.Context, share int, k *sink) error {
		return c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{QueueEntry: func(e meta.QueueEntry) error {
			k.Rows++
			if phase == phaseQueue {
				k.Queued++
				if e.Due.Before(overdue) {
					k.Overdue++
				}
			}
			return note(k, e)
		}})
	})
}

// walkUploads calls note for each part of an upload that has not ended, and stores
// each upload that seems to be a leftover.
func (c *checker) walkUploads(ctx context.Context, phase string, note func(*sink, meta.Upload, meta.Part) error) error {
	return c.shares(ctx, phase, c.Shares, func(ctx context.Context, share int, k *sink) error {
		return c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{Upload: func(u meta.Upload, parts []meta.Part) error {
			k.Rows++
			if phase == phaseUploads {
				k.Uploads++
				k.Parts += int64(len(parts))
				if err := c.suspectUpload(k, u, parts); err != nil {
					return err
				}
			}
			if u.State != meta.UploadOpen && u.State != meta.UploadCompleting {
				return nil // parts of an ended upload are no references
			}
			for _, p := range parts {
				if err := note(k, u, p); err != nil {
					return err
				}
			}
			return nil
		}})
	})
}

// walkReferences calls note for each recorded reference to a shared blob.
func (c *checker) walkReferences(ctx context.Context, phase string, note func(*sink, meta.QueuedBlob) error) error {
	return c.shares(ctx, phase, c.Shares, func(ctx context.Context, share int, k *sink) error {
		return c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{Reference: func(b meta.QueuedBlob) error {
			k.Rows++
			return note(k, b)
		}})
	})
}

// walkVersions stores the references of each version, and what the listing of each
// key should show.
func (c *checker) walkVersions(ctx context.Context) error {
	return c.shares(ctx, phaseVersions, c.Shares, func(ctx context.Context, share int, k *sink) error {
		var last headRow
		err := c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{Version: func(r meta.VersionRow) error {
			if !c.concerns(r.Bucket) {
				return nil
			}
			k.Versions++
			k.Rows++
			if err := c.noteVersion(k, &r); err != nil {
				return err
			}
			if last.bucket == r.Bucket && last.key == r.Key {
				last.several = last.several || r.Seq != last.seq // a page may be read twice
				return nil
			}
			if err := c.noteHead(k, &last); err != nil {
				return err
			}
			last = headOf(&r)
			return nil
		}})
		if err != nil {
			return err
		}
		return c.noteHead(k, &last)
	})
}

// walkListings stores the parts of listings whose bucket did not exist when the
// check began.
func (c *checker) walkListings(ctx context.Context) error {
	return c.shares(ctx, phaseParts, c.Shares, func(ctx context.Context, share int, k *sink) error {
		return c.Meta.Walk(ctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{ListingPart: func(p meta.ListingPart) error {
			k.Rows++
			if c.buckets[p.Bucket] != nil {
				return nil
			}
			return k.put(slices.Concat([]byte{tableListing}, p.Bucket[:], p.Part[:]), nil)
		}})
	})
}

// headRow is what the listing of a key should show, by its head.
type headRow struct {
	bucket meta.BucketID
	key    string
	seq    int64 // of the current version; not stored
	// visible says that the current version is an object, several that the key
	// has other versions or a delete marker.
	visible, several bool
	// print is the fingerprint of the listing entry.
	print uint64
}

func headOf(r *meta.VersionRow) headRow {
	h := headRow{bucket: r.Bucket, key: r.Key, seq: r.Seq, visible: !r.DeleteMarker, several: r.DeleteMarker}
	if h.visible {
		h.print = fingerprint(meta.EntryOf(r.Key, &r.Version))
	}
	return h
}

const (
	flagVisible = 1
	flagSeveral = 2
)

func (h *headRow) encode() []byte {
	var flags byte
	if h.visible {
		flags |= flagVisible
	}
	if h.several {
		flags |= flagSeveral
	}
	return binary.BigEndian.AppendUint64([]byte{flags}, h.print)
}

func decodeHead(key, value []byte) headRow {
	return headRow{
		bucket: meta.BucketID(key[1:17]), key: string(key[17:]),
		visible: value[0]&flagVisible != 0, several: value[0]&flagSeveral != 0, print: binary.BigEndian.Uint64(value[1:]),
	}
}

// noteHead stores a key. If its bucket is unknown, the bucket may have been removed.
func (c *checker) noteHead(k *sink, h *headRow) error {
	if h.key == "" {
		return nil
	}
	if c.buckets[h.bucket] == nil {
		return k.put(goneKey(h.bucket, h.key), nil)
	}
	return k.put(headKey(h.bucket, h.key), h.encode())
}

// fingerprint is the same for listing entries that show the same.
func fingerprint(e *meta.Entry) uint64 {
	shown := *e
	shown.HasOlderVersions = false // a matter of the driver
	row, err := meta.Marshal(shown)
	if err != nil {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(row) // never fails
	return h.Sum64()
}
