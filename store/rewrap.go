package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// rewrapParts is the number of parts of a walk. The list of changes of one part
// must fit into memory.
const rewrapParts = 256

// Rewrapped counts data keys by the master key that wraps them.
type Rewrapped struct {
	// Versions and Uploads count data keys by the id of the master key that wrapped
	// them when they were read.
	Versions, Uploads map[string]int64
	// Defaults are the buckets whose default encryption names a master key, by its
	// id: it wraps the data keys of their new objects.
	Defaults map[string][]string
	// Changed is the number of data keys that were wrapped again.
	Changed int64
	// Busy is the number of uploads that were being completed: they are skipped.
	Busy int64
}

// Rewrap wraps all data keys that the master key from has wrapped with the active
// master key instead, so that from can be retired. Bodies are not changed. With ""
// it only counts. It may be repeated, and may run while gateways run. A gateway
// that still has from as its active key continues to use it.
//
// Errors: KMS.NotFoundException, InvalidArgument (from is the active key).
func (s *Store) Rewrap(ctx context.Context, from string) (*Rewrapped, error) {
	if from != "" && !s.ring.Has(from) {
		return nil, fail(s3err.KMSNotFound, "there is no master key %q", from)
	}
	if from != "" && s.ring.Same(from, s.ring.Active()) {
		return nil, fail(s3err.InvalidArgument, "the master key %q is the active one: put its successor before it", from)
	}
	r := &rewrapper{store: s, from: from, buckets: map[meta.BucketID]*meta.Bucket{},
		found: &Rewrapped{Versions: map[string]int64{}, Uploads: map[string]int64{}, Defaults: map[string][]string{}}}
	if err := r.allBuckets(ctx); err != nil {
		return nil, err
	}
	for n := range rewrapParts {
		part := meta.Share{Part: n, Of: rewrapParts}
		if err := r.versions(ctx, part); err != nil {
			return r.found, err
		}
		if err := r.uploads(ctx, part); err != nil {
			return r.found, err
		}
	}
	return r.found, nil
}

type rewrapper struct {
	store   *Store
	from    string
	buckets map[meta.BucketID]*meta.Bucket
	found   *Rewrapped
}

func (r *rewrapper) allBuckets(ctx context.Context) error {
	for after := ""; ; {
		page, err := r.store.meta.ListBuckets(ctx, "", after, maxScan)
		if err != nil {
			return err
		}
		for i := range page {
			after = page[i].Name
			b, err := r.store.meta.Bucket(ctx, after) // with its settings
			if errors.Is(err, meta.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			r.buckets[b.ID] = &b
			if e := b.Config.Encryption; e != nil && e.KMSKeyID != "" {
				r.found.Defaults[e.KMSKeyID] = append(r.found.Defaults[e.KMSKeyID], b.Name)
			}
		}
		if len(page) < maxScan {
			return nil
		}
	}
}

// needsRewrap counts the data key of e, and reports whether it is to be wrapped
// again.
func (r *rewrapper) needsRewrap(e *meta.Encryption, count map[string]int64) bool {
	if e == nil || len(e.DataKey) == 0 {
		return false
	}
	count[e.KeyID]++
	return r.from != "" && r.store.ring.Same(e.KeyID, r.from)
}

func (r *rewrapper) versions(ctx context.Context, part meta.Share) error {
	type storedVersion struct {
		bucket meta.BucketID
		key    string
		seq    int64
	}
	var todo []storedVersion
	err := r.store.meta.Walk(ctx, part, meta.Visitor{Version: func(v meta.VersionRow) error {
		if r.needsRewrap(v.Encryption, r.found.Versions) {
			todo = append(todo, storedVersion{v.Bucket, v.Key, v.Seq})
		}
		return nil
	}})
	if err != nil {
		return err
	}
	for _, p := range todo {
		b := r.buckets[p.bucket]
		if b == nil {
			continue // created or removed since the buckets were read
		}
		if err := r.rewrapVersion(ctx, b, p.key, p.seq); err != nil {
			return fmt.Errorf("rewrap a version of %q in the bucket %s: %w", p.key, b.Name, err)
		}
	}
	return nil
}

// rewrapVersion wraps the data key of one version again, if the version still
// exists.
func (r *rewrapper) rewrapVersion(ctx context.Context, b *meta.Bucket, key string, seq int64) error {
	changed := false
	err := r.store.change(ctx, b, key, meta.ReadOptions{Seq: seq, Payload: true}, nil, func(h *meta.Head) (*mutation, error) {
		changed = false
		v := h.Named
		if v == nil || v.Encryption == nil || !r.store.ring.Same(v.Encryption.KeyID, r.from) {
			return nil, nil
		}
		again := *v
		var err error
		if again.Encryption, err = r.rewrapKey(b, key, v.Encryption); err != nil {
			return nil, err
		}
		changed = true
		return &mutation{put: []*meta.Version{&again}}, nil
	})
	if err == nil && changed {
		r.found.Changed++
	}
	return err
}

// rewrapKey returns e with its data key wrapped by the active master key.
func (r *rewrapper) rewrapKey(b *meta.Bucket, key string, e *meta.Encryption) (*meta.Encryption, error) {
	again := *e
	var err error
	again.DataKey, again.KeyID, err = r.store.ring.Rewrap(e.KeyID, e.DataKey, keyContext(b, key))
	return &again, err
}

func (r *rewrapper) uploads(ctx context.Context, part meta.Share) error {
	var todo []meta.Upload
	err := r.store.meta.Walk(ctx, part, meta.Visitor{Upload: func(u meta.Upload, _ []meta.Part) error {
		if u.State != meta.UploadDone && u.State != meta.UploadAborted && r.needsRewrap(u.Doc.Version.Encryption, r.found.Uploads) {
			todo = append(todo, u)
		}
		return nil
	}})
	if err != nil {
		return err
	}
	for _, u := range todo {
		b := r.buckets[u.Bucket]
		if b == nil {
			continue
		}
		if u.State != meta.UploadOpen {
			r.found.Busy++ // only the Complete may change it
			continue
		}
		if u.Doc.Version.Encryption, err = r.rewrapKey(b, u.Key, u.Doc.Version.Encryption); err != nil {
			return fmt.Errorf("rewrap an upload of %q in the bucket %s: %w", u.Key, b.Name, err)
		}
		_, err := r.store.meta.SetUploadState(ctx, u, meta.UploadOpen)
		switch {
		case errors.Is(err, meta.ErrConflict):
			r.found.Busy++
		case errors.Is(err, meta.ErrNotFound):
		case err != nil:
			return err
		default:
			r.found.Changed++
		}
	}
	return nil
}
