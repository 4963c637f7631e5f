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

// goneBucket reports that a bucket was deleted while it was looked at.
func goneBucket(err error) bool { return errors.Is(err, meta.ErrBucketGone) }

// ignoreGone drops the error of a bucket that is gone: nothing in it matters.
func ignoreGone(err error) error {
	if goneBucket(err) {
		return nil
	}
	return err
}

// entry is a queue entry that is due after the grace time, like any other.
func (c *checker) entry(kind meta.QueueKind, b meta.QueuedBlob) meta.QueueEntry {
	due := c.Now().Add(c.Store.Grace()).UTC().Truncate(time.Microsecond)
	return meta.QueueEntry{Due: due, Entry: meta.NewID(), Kind: kind, Blob: b}
}

// suspectUpload notes an upload that may be a leftover: of a bucket that is
// gone, or over and still with parts. Whether it is one is told at the end,
// when what was merely under way has had its time.
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

// settleLeftovers looks at what seemed to be left over. The buckets are listed
// anew: what is in none of them then is in one that is gone.
func (c *checker) settleLeftovers(ctx context.Context) error {
	if err := c.loadBuckets(ctx); err != nil {
		if c.only != nil && errors.Is(err, meta.ErrNotFound) {
			return nil // it was deleted meanwhile
		}
		return err
	}
	c.Progress(Progress{Phase: phaseLeftovers, Of: 1})
	err := c.state.each([]byte{tableUpload}, []byte{tableUpload + 1}, func(row, value []byte) error {
		u := meta.Upload{ID: meta.UploadID(row[1:17]), Key: string(row[17:])}
		if err := meta.Unmarshal(value, &u.Bucket); err != nil {
			return err
		}
		return c.settleUpload(ctx, u)
	})
	if err != nil {
		return err
	}
	err = c.state.each([]byte{tableGone}, []byte{tableGone + 1}, func(row, _ []byte) error {
		return c.settleGone(ctx, meta.BucketID(row[1:17]), string(row[17:]))
	})
	if err != nil {
		return err
	}
	return c.settleListings(ctx)
}

// settleUpload looks at an upload once more.
func (c *checker) settleUpload(ctx context.Context, u meta.Upload) error {
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
	// While the queue knows of a part the collector will take the upload away.
	if queued, err := c.anyQueued(parts); err != nil || queued && c.buckets[u.Bucket] != nil {
		return err
	}
	f := c.about(Leftover, known.Bucket, known.Key)
	f.Upload, f.Detail = u.ID.String(), why
	f.Advice = "check with --repair takes it away; the collector deletes the parts' bytes"
	if c.Repair {
		if f.Repaired, err = c.endUpload(ctx, u); err != nil {
			return err
		}
	}
	return c.found(f)
}

// anyQueued reports whether the queue had an entry of a blob of the parts.
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
		return "" // it goes on, or its end does
	case u.State == "":
		return fmt.Sprintf("%d parts or more of an upload that is gone", len(parts))
	}
	return fmt.Sprintf("the upload is %s, and %d parts or more are left of it", u.State, len(parts))
}

// endUpload ends an upload whose parts nobody can use any more. Their blobs
// are the collector's, which has an entry of each until the upload is over.
func (c *checker) endUpload(ctx context.Context, u meta.Upload) (bool, error) {
	var err error
	if u.State == meta.UploadOpen || u.State == meta.UploadCompleting {
		u, err = c.Meta.SetUploadState(ctx, u, meta.UploadAborted)
	}
	u.Rev = max(u.Rev, 1) // no upload has the revision 0, that of none
	if err == nil {
		err = c.Meta.ForgetUpload(ctx, u)
	}
	if errors.Is(err, meta.ErrConflict) || errors.Is(err, meta.ErrNotFound) || goneBucket(err) {
		return false, nil // somebody else is at it
	}
	return err == nil, err
}

// settleGone looks at a key that seemed to be of a bucket that is gone.
func (c *checker) settleGone(ctx context.Context, bucket meta.BucketID, key string) error {
	if c.buckets[bucket] != nil {
		return nil // it was made meanwhile
	}
	versions, err := c.Meta.Versions(ctx, bucket, key, 0, 1)
	if err != nil || len(versions) == 0 {
		return ignoreGone(err)
	}
	f := c.about(Leftover, bucket, key)
	f.Detail = "the key has versions, and its bucket is gone"
	f.Advice = "nobody can reach it: its rows can be removed by hand"
	return c.found(f)
}

// settleListings looks once more at the parts of listings whose bucket was not
// there when the check began. If it is not there now either, it is gone; what
// is left then was not dropped, since whoever removed the bucket has died.
func (c *checker) settleListings(ctx context.Context) error {
	seen := map[meta.ListingPart]bool{}
	err := c.state.each([]byte{tableListing}, []byte{tableListing + 1}, func(row, _ []byte) error {
		p := meta.ListingPart{Bucket: meta.BucketID(row[1:17]), Part: meta.ID(row[17:33])}
		if c.buckets[p.Bucket] == nil { // else it was made meanwhile
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

// leftListing reports what is left of the listing of a bucket that is gone.
func (c *checker) leftListing(ctx context.Context, bucket meta.BucketID, parts []meta.ListingPart) error {
	f := c.about(Leftover, bucket, "")
	f.Detail = "rows of a listing, and its bucket is gone"
	f.Advice = "check with --repair takes them away"
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
