package store

import (
	"context"
	"errors"

	"github.com/pithos/pithos/meta"
)

// Delete deletes an object or one version of it, or makes a delete marker current,
// depending on the versioning of the bucket. Deleting a missing object is no
// error, unless in.Conditions has an If-Match. (DeleteObject in the S3 API
// reference.)
//
// Errors: KeyTooLongError, InvalidURI, InvalidArgument (malformed version id),
// NoSuchKey, PreconditionFailed, AccessDenied (locked), NoSuchBucket,
// [ErrBucketRecreated], OperationAborted.
func (s *Store) Delete(ctx context.Context, b *meta.Bucket, key string, in DeleteInput) (*DeleteResult, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	result, err := s.deleteIn(ctx, b, key, in)
	if isMissing(err) {
		err = s.orRecreated(ctx, b, err)
	}
	return result, err
}

func (s *Store) deleteIn(ctx context.Context, b *meta.Bucket, key string, in DeleteInput) (*DeleteResult, error) {
	if in.VersionID != "" {
		return s.deleteVersion(ctx, b, key, in)
	}
	if b.Config.Versioning == "" {
		return s.deleteUnversioned(ctx, b, key, in)
	}
	return s.putDeleteMarker(ctx, b, key, in)
}

// errVersioned says that a key has versions besides the null version, in a bucket
// that never was versioned according to the settings in the cache.
var errVersioned = errors.New("the bucket is versioned by now")

// deleteUnversioned removes the null version. There is no other, unless the
// settings in the cache are outdated.
func (s *Store) deleteUnversioned(ctx context.Context, b *meta.Bucket, key string, in DeleteInput) (*DeleteResult, error) {
	result := &DeleteResult{}
	err := s.change(ctx, b, key, meta.ReadOptions{}, nil, func(h *meta.Head) (*mutation, error) {
		v := h.Current()
		if v != nil && !v.Null {
			return nil, errVersioned
		}
		result.Nothing = v == nil
		if err := in.Conditions.deleteCurrent(key, v); err != nil || v == nil {
			return nil, err
		}
		if err := lockedAgainst(v, in.BypassGovernance, s.now()); err != nil {
			return nil, err
		}
		return &mutation{remove: []meta.Version{*v}}, nil
	})
	if errors.Is(err, errVersioned) {
		fresh, err := s.freshBucket(ctx, b.Name)
		if err != nil {
			return nil, err
		}
		if fresh.ID != b.ID {
			return nil, errRecreated(b)
		}
		return s.putDeleteMarker(ctx, fresh, key, in)
	}
	return result, err
}

// putDeleteMarker makes a delete marker the current version.
func (s *Store) putDeleteMarker(ctx context.Context, b *meta.Bucket, key string, in DeleteInput) (*DeleteResult, error) {
	marker := &meta.Version{DeleteMarker: true, Null: b.Config.Versioning != VersioningEnabled, Owner: in.Owner}
	nothing := false
	err := s.change(ctx, b, key, readForPut(b), nil, func(h *meta.Head) (*mutation, error) {
		current := h.Current()
		if err := in.Conditions.deleteCurrent(key, current); err != nil {
			return nil, err
		}
		if nothing = current == nil && !in.Conditions.empty(); nothing {
			return nil, nil // there is no object that the conditions could match
		}
		marker.Seq, marker.Modified = 0, 0
		m := &mutation{put: []*meta.Version{marker}}
		return m, replaceNull(h, marker, m)
	})
	if nothing {
		return &DeleteResult{Nothing: true}, err
	}
	return &DeleteResult{VersionID: VersionID(b, marker), DeleteMarker: true}, err
}

// deleteVersion removes one version permanently.
func (s *Store) deleteVersion(ctx context.Context, b *meta.Bucket, key string, in DeleteInput) (*DeleteResult, error) {
	seq, null, err := parseVersionID(in.VersionID)
	if err != nil {
		return nil, err
	}
	result := &DeleteResult{VersionID: in.VersionID}
	err = s.change(ctx, b, key, meta.ReadOptions{Seq: seq, Null: null}, nil, func(h *meta.Head) (*mutation, error) {
		v := h.Named
		if v != nil && v.Null != null {
			v = nil
		}
		result.Nothing = v == nil
		if err := in.Conditions.delete(v); err != nil || v == nil {
			return nil, err
		}
		if err := lockedAgainst(v, in.BypassGovernance, s.now()); err != nil {
			return nil, err
		}
		result.DeleteMarker = v.DeleteMarker
		return &mutation{remove: []meta.Version{*v}}, nil
	})
	return result, err
}
