package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// rewrapParts is into how many shares a walk is cut, so that what is to be
// changed of one fits into memory.
const rewrapParts = 256

// Rewrapped says which master keys wrap what is stored.
type Rewrapped struct {
	// Versions and Uploads count data keys by the id of the master key that
	// wrapped them when they were looked at.
	Versions, Uploads map[string]int64
	// Defaults are the buckets that encrypt with a master key by default, by
	// its id: what they are given next is wrapped by it.
	Defaults map[string][]string
	// Changed is how many data keys were wrapped again.
	Changed int64
	// Busy is how many uploads were about to be completed: they are left.
	Busy int64
}

// Rewrap wraps all data keys that the master key from has wrapped with the
// active master key instead, so that from can be retired; bodies stay as they
// are. "" changes nothing and counts. It may be repeated, and run beside
// gateways; those that still have from as their active key go on using it.
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

// needsRewrap reports whether e has a data key that is to be wrapped again.
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
			continue // made, or removed, since
		}
		if err := r.rewrapVersion(ctx, b, p.key, p.seq); err != nil {
			return fmt.Errorf("rewrap a version of %q in the bucket %s: %w", p.key, b.Name, err)
		}
	}
	return nil
}

// rewrapVersion wraps the data key of one version again, if it still is there.
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

// rewrapKey is e with its data key under the active master key.
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
			r.found.Busy++ // only whoever completes it may touch it
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
