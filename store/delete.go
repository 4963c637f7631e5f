package store

import (
	"context"
	"errors"

	"github.com/pithos/pithos/meta"
)

// Delete deletes an object, or one version of it, or puts a delete marker on
// top of it, as the bucket's versioning has it. Deleting what is not there is
// no error, unless the request wants it to match an ETag. (DeleteObject in the S3
// API reference.) NoSuchKey, PreconditionFailed.
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

// errVersioned says that a key has other versions than the null one in a
// bucket that was thought to have no versioning.
var errVersioned = errors.New("the bucket is versioned by now")

// deleteUnversioned removes the null version, the only one that there can be unless
// the bucket's settings were remembered for too long.
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
			return nil, nil // what the conditions describe is not there to be marked
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

// deleteVersion removes one version for good.
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
