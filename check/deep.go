package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/pithos/pithos/blob"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// readEverything reads every body, and every copy of every chunk.
func (c *checker) readEverything(ctx context.Context) error {
	return c.shares(ctx, phaseDeep, 2*c.Shares, func(ctx context.Context, n int, k *sink) error {
		share := meta.Share{Part: n % c.Shares, Of: c.Shares}
		if n < c.Shares {
			return c.Meta.Walk(ctx, share, meta.Visitor{Payload: true, Version: func(r meta.VersionRow) error {
				if !c.concerns(r.Bucket) || r.DeleteMarker {
					return nil
				}
				k.Rows++
				return c.readVersion(ctx, k, &r)
			}})
		}
		return c.Meta.Walk(ctx, share, meta.Visitor{Upload: func(u meta.Upload, parts []meta.Part) error {
			live := u.State == meta.UploadOpen || u.State == meta.UploadCompleting
			if !live || !c.concerns(u.Bucket) {
				return nil
			}
			for i := range parts {
				k.Rows++
				if err := c.readPart(ctx, k, u, &parts[i]); err != nil {
					return err
				}
			}
			return nil
		}})
	})
}

// readVersion verifies the copies of a version's chunks, and then its body as
// a whole.
func (c *checker) readVersion(ctx context.Context, k *sink, r *meta.VersionRow) error {
	bad := false
	for i := range r.Segments {
		n, ok := c.names[r.Segments[i].Store]
		if r.Segments[i].Blob == (meta.ID{}) || !ok {
			continue
		}
		if !c.stores[n].Replicated() {
			continue // reading the body verifies the only copy
		}
		at := segmentRef(refVersion, r.Bucket, r.Key, &r.Segments[i])
		at.Seq, at.Null = r.Seq, r.Null
		found, err := c.verifyCopies(ctx, k, n, &at)
		if err != nil {
			return err
		}
		bad = bad || found
	}
	if bad {
		return nil // it is a finding already
	}
	err := c.Store.VerifyBody(ctx, r.Bucket, r.Key, &r.Version)
	switch {
	case err == nil:
		k.Verified += r.Size
		return nil
	case store.Unreadable(err):
		k.Unreadable++
		return c.verifyStored(ctx, k, r)
	case errors.Is(err, blob.ErrUnavailable), ctx.Err() != nil:
		return err
	}
	if errors.Is(err, blob.ErrNotFound) {
		return c.confirmMissing(ctx, r)
	}
	return c.confirmCorrupt(ctx, r)
}

// confirmMissing checks each blob of a version again.
func (c *checker) confirmMissing(ctx context.Context, r *meta.VersionRow) error {
	for i := range r.Segments {
		n, ok := c.names[r.Segments[i].Store]
		if r.Segments[i].Blob == (meta.ID{}) || !ok {
			continue
		}
		at := segmentRef(refVersion, r.Bucket, r.Key, &r.Segments[i])
		at.Seq, at.Null = r.Seq, r.Null
		if err := c.confirmLost(ctx, n, &at); err != nil {
			return err
		}
	}
	return nil
}

// verifyStored verifies the stored bytes of a body whose key this server does not
// have.
func (c *checker) verifyStored(ctx context.Context, k *sink, r *meta.VersionRow) error {
	for i := range r.Segments {
		n, ok := c.names[r.Segments[i].Store]
		if r.Segments[i].Blob == (meta.ID{}) || !ok {
			continue
		}
		if c.stores[n].Replicated() {
			continue // readVersion has verified its copies
		}
		at := segmentRef(refVersion, r.Bucket, r.Key, &r.Segments[i])
		at.Seq, at.Null = r.Seq, r.Null
		if _, err := c.verifyCopies(ctx, k, n, &at); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) readPart(ctx context.Context, k *sink, u meta.Upload, p *meta.Part) error {
	for i := range p.Segments {
		n, ok := c.names[p.Segments[i].Store]
		if p.Segments[i].Blob == (meta.ID{}) || !ok {
			continue
		}
		at := segmentRef(refPart, u.Bucket, u.Key, &p.Segments[i])
		at.Upload, at.Part = u.ID, p.Number
		if _, err := c.verifyCopies(ctx, k, n, &at); err != nil {
			return err
		}
	}
	return nil
}

// verifyCopies verifies every copy of a blob, and reports whether it is damaged and
// has no good copy.
func (c *checker) verifyCopies(ctx context.Context, k *sink, n int, r *ref) (lost bool, err error) {
	health, err := c.stores[n].Verify(ctx, r.blobRef(), c.Repair)
	if err != nil {
		return false, err
	}
	k.Unread += health.Unread
	if r.Kind == refPart && health.Good() {
		k.Verified += r.Bytes
	}
	if health.Good() {
		return false, nil
	}
	if holds, err := c.holds(ctx, r); err != nil || !holds {
		return true, err // deleted while it was read
	}
	if health.LostMissing > 0 && health.LostCorrupt == 0 && health.Corrupt == 0 {
		return true, c.confirmLost(ctx, n, r)
	}
	f := c.lost(r)
	f.Kind, f.Bytes = Corrupt, r.Bytes
	f.Detail = fmt.Sprintf("of %d chunks, %d copies are wrong and %d are missing", health.Chunks, health.Corrupt, health.Missing)
	lost = health.LostCorrupt+health.LostMissing > 0
	f.Repaired = !lost && health.Healed == health.Corrupt+health.Missing
	switch {
	case lost:
		f.Detail += fmt.Sprintf("; %d chunks have no good copy left", health.LostCorrupt+health.LostMissing)
		f.Advice = "restore the object from a backup or delete it; check the disks"
	case health.Corrupt == 0:
		f.Kind, f.Advice = Mismatched, "run nodetool repair, or check --deep --repair"
	default:
		f.Advice = "check --deep --repair rewrites them from good copies; check the disk of their node"
	}
	return lost, c.found(f)
}

// confirmCorrupt verifies a version again whose body could not be verified.
func (c *checker) confirmCorrupt(ctx context.Context, r *meta.VersionRow) error {
	h, err := c.Meta.Read(ctx, r.Bucket, r.Key, meta.ReadOptions{Seq: r.Seq, Payload: true})
	if err != nil || h.Named == nil {
		return ignoreGone(err)
	}
	again := c.Store.VerifyBody(ctx, r.Bucket, r.Key, h.Named)
	if again == nil {
		return nil
	}
	if after, err := c.Meta.Read(ctx, r.Bucket, r.Key, meta.ReadOptions{Seq: r.Seq}); err != nil || after.Named == nil {
		return ignoreGone(err)
	}
	f := c.about(Corrupt, r.Bucket, r.Key)
	f.Version, f.Bytes = c.versionID(r.Bucket, &r.Version), r.Size
	f.Detail = again.Error()
	if len(r.Segments) == 1 && r.Segments[0].Blob != (meta.ID{}) {
		f.Store, f.Blob = r.Segments[0].Store, r.Segments[0].Blob.String()
	}
	f.Advice = "restore the object from a backup or delete it; check the disk"
	return c.found(f)
}
