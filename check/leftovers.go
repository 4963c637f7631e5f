package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pithos/pithos/meta"
)

var errEnough = errors.New("enough")

// goneBucket reports whether an error says that a bucket was removed.
func goneBucket(err error) bool { return errors.Is(err, meta.ErrBucketGone) }

// ignoreGone drops the error of a removed bucket, whose content does not matter.
func ignoreGone(err error) error {
	if goneBucket(err) {
		return nil
	}
	return err
}

// entry is a queue entry that is due after the grace time, as the store's are.
func (c *checker) entry(kind meta.QueueKind, b meta.QueuedBlob) meta.QueueEntry {
	due := c.Now().Add(c.Store.Grace()).UTC().Truncate(time.Microsecond)
	return meta.QueueEntry{Due: due, Entry: meta.NewID(), Kind: kind, Blob: b}
}

// suspectUpload stores an upload that may be a leftover: one of a removed bucket, or
// one that has ended and still has parts. confirmLeftovers decides at the end, when
// changes that were in progress are done.
func (c *checker) suspectUpload(k *sink, u meta.Upload, parts []meta.Part) error {
	if c.only != nil && u.Bucket != c.only.ID {
		return nil
	}
	live := u.State == meta.UploadOpen || u.State == meta.UploadCompleting
	if live && c.buckets[u.Bucket] != nil || !live && len(parts) == 0 {
		return nil
	}
	row, err := meta.Marshal(u.Bucket)
	if err != nil {
		return err
	}
	name := append([]byte{tableUpload}, u.ID[:]...)
	return k.put(append(name, u.Key...), row)
}

// confirmLeftovers checks the suspected leftovers again. It lists the buckets again:
// rows that are in none of them are of a removed bucket.
func (c *checker) confirmLeftovers(ctx context.Context) error {
	if err := c.loadBuckets(ctx); err != nil {
		if c.only != nil && errors.Is(err, meta.ErrNotFound) {
			return nil // it was deleted since
		}
		return err
	}
	c.Progress(Progress{Phase: phaseLeftovers, Of: 1})
	err := c.state.each([]byte{tableUpload}, []byte{tableUpload + 1}, func(row, value []byte) error {
		u := meta.Upload{ID: meta.UploadID(row[1:17]), Key: string(row[17:])}
		if err := meta.Unmarshal(value, &u.Bucket); err != nil {
			return err
		}
		return c.confirmUpload(ctx, u)
	})
	if err != nil {
		return err
	}
	err = c.state.each([]byte{tableGone}, []byte{tableGone + 1}, func(row, _ []byte) error {
		return c.confirmRemovedKey(ctx, meta.BucketID(row[1:17]), string(row[17:]))
	})
	if err != nil {
		return err
	}
	return c.confirmListings(ctx)
}

// confirmUpload checks an upload again.
func (c *checker) confirmUpload(ctx context.Context, u meta.Upload) error {
	known := u
	now, err := c.Meta.Upload(ctx, u.Bucket, u.Key, u.ID)
	switch {
	case err == nil:
		u = now
	case !errors.Is(err, meta.ErrNotFound) && !goneBucket(err):
		return err
	default:
		u.State = ""
	}
	parts, err := c.Meta.Parts(ctx, u.ID, -1, bucketPage)
	if err != nil {
		return err
	}
	why := c.leftover(u, parts)
	if why == "" {
		return nil
	}
	// As long as a part has a queue entry, the collector will remove the upload.
	if queued, err := c.anyQueued(parts); err != nil || queued && c.buckets[u.Bucket] != nil {
		return err
	}
	f := c.about(Leftover, known.Bucket, known.Key)
	f.Upload, f.Detail = u.ID.String(), why
	f.Advice = "check with --repair removes it; the collector deletes the parts' bytes"
	if c.Repair {
		if f.Repaired, err = c.endUpload(ctx, u); err != nil {
			return err
		}
	}
	return c.found(f)
}

// anyQueued reports whether any blob of the parts had a queue entry.
func (c *checker) anyQueued(parts []meta.Part) (queued bool, err error) {
	for _, p := range parts {
		for _, seg := range p.Segments {
			prefix := append(blobKey(tableRef, seg.Blob), refQueued)
			err = c.state.each(prefix, after(prefix), func(_, _ []byte) error {
				queued = true
				return errEnough
			})
			if queued || err != nil {
				return queued, ignoreEnough(err)
			}
		}
	}
	return false, nil
}

func ignoreEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// leftover says why an upload is one; "" if it is not, or may not be.
func (c *checker) leftover(u meta.Upload, parts []meta.Part) string {
	live := u.State == meta.UploadOpen || u.State == meta.UploadCompleting
	newest := u.Rev
	for _, p := range parts {
		newest = max(newest, p.Modified)
	}
	old := time.UnixMicro(newest).Before(c.started.Add(-c.Store.Grace()))
	switch {
	case live && c.buckets[u.Bucket] == nil:
		return fmt.Sprintf("the upload, with %d parts or more, is of a bucket that is gone", len(parts))
	case live || len(parts) == 0 || c.only != nil || !old && !c.Exclusive:
		return "" // it is open, or about to end
	case u.State == "":
		return fmt.Sprintf("%d parts or more of an upload that is gone", len(parts))
	}
	return fmt.Sprintf("the upload is %s, and %d parts or more are left of it", u.State, len(parts))
}

// endUpload ends an upload whose parts cannot be used any more. The collector
// deletes their blobs: each has a queue entry until the upload has ended.
func (c *checker) endUpload(ctx context.Context, u meta.Upload) (bool, error) {
	var err error
	if u.State == meta.UploadOpen || u.State == meta.UploadCompleting {
		u, err = c.Meta.SetUploadState(ctx, u, meta.UploadAborted)
	}
	u.Rev = max(u.Rev, 1) // a revision of 0 means that there is no upload
	if err == nil {
		err = c.Meta.ForgetUpload(ctx, u)
	}
	if errors.Is(err, meta.ErrConflict) || errors.Is(err, meta.ErrNotFound) || goneBucket(err) {
		return false, nil // another process has changed it
	}
	return err == nil, err
}

// confirmRemovedKey checks a key again that seemed to be of a removed bucket.
func (c *checker) confirmRemovedKey(ctx context.Context, bucket meta.BucketID, key string) error {
	if c.buckets[bucket] != nil {
		return nil // it was created since
	}
	versions, err := c.Meta.Versions(ctx, bucket, key, 0, 1)
	if err != nil || len(versions) == 0 {
		return ignoreGone(err)
	}
	f := c.about(Leftover, bucket, key)
	f.Detail = "the key has versions, and its bucket was removed"
	f.Advice = "no request can reach it: its rows can be removed by hand"
	return c.found(f)
}

// confirmListings checks the parts of listings again whose bucket did not exist when
// the check began. If it does not exist now either, it was removed, and the process
// that removed it crashed before it had dropped the listing.
func (c *checker) confirmListings(ctx context.Context) error {
	seen := map[meta.ListingPart]bool{}
	err := c.state.each([]byte{tableListing}, []byte{tableListing + 1}, func(row, _ []byte) error {
		p := meta.ListingPart{Bucket: meta.BucketID(row[1:17]), Part: meta.ID(row[17:33])}
		if c.buckets[p.Bucket] == nil { // else it was created since
			seen[p] = true
		}
		return nil
	})
	if err != nil || len(seen) == 0 {
		return err
	}
	var mu sync.Mutex
	left := map[meta.BucketID][]meta.ListingPart{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Workers)
	for share := range c.Shares {
		g.Go(func() error {
			return c.Meta.Walk(gctx, meta.Share{Part: share, Of: c.Shares}, meta.Visitor{ListingPart: func(p meta.ListingPart) error {
				mu.Lock()
				defer mu.Unlock()
				if seen[p] {
					left[p.Bucket] = append(left[p.Bucket], p)
				}
				return nil
			}})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for bucket, parts := range left {
		if err := c.leftListing(ctx, bucket, parts); err != nil {
			return err
		}
	}
	return nil
}

// leftListing reports the rows that are left of the listing of a removed bucket.
func (c *checker) leftListing(ctx context.Context, bucket meta.BucketID, parts []meta.ListingPart) error {
	f := c.about(Leftover, bucket, "")
	f.Detail = "rows of a listing, and its bucket was removed"
	f.Advice = "check with --repair removes them"
	if c.Repair {
		for _, p := range parts {
			if err := c.Meta.DropListing(ctx, p); err != nil {
				return err
			}
		}
		f.Repaired = true
	}
	return c.found(f)
}
