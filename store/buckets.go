package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

func noSuchBucket(name string) error {
	return s3err.New(s3err.NoSuchBucket).With("BucketName", name)
}

// Bucket returns the bucket with this name. Its settings may be as old as
// Options.BucketCache. NoSuchBucket.
func (s *Store) Bucket(ctx context.Context, name string) (*meta.Bucket, error) {
	if b, ok := s.buckets.get(name); ok {
		return &b, nil
	}
	return s.freshBucket(ctx, name)
}

// freshBucket is Bucket without the cache. NoSuchBucket.
func (s *Store) freshBucket(ctx context.Context, name string) (*meta.Bucket, error) {
	b, err := s.meta.Bucket(ctx, name)
	if errors.Is(err, meta.ErrNotFound) {
		s.buckets.drop(name)
		return nil, noSuchBucket(name)
	}
	if err != nil {
		return nil, err
	}
	s.buckets.put(b)
	return &b, nil
}

// CreateBucket makes a bucket. (CreateBucket in the S3 API reference.)
//
// Errors: BucketAlreadyExists; BucketAlreadyOwnedByYou, with the bucket;
// OperationAborted while the bucket is being deleted; InvalidBucketName;
// InvalidLocationConstraint.
func (s *Store) CreateBucket(ctx context.Context, in CreateBucketInput) (*meta.Bucket, error) {
	if err := checkBucketName(in.Name); err != nil {
		return nil, err
	}
	region, location, err := s.locate(in.Region)
	if err != nil {
		return nil, err
	}
	now := s.now()
	b := meta.Bucket{
		Name: in.Name, ID: meta.NewID(), Rev: meta.NextRev(0, now), State: meta.BucketActive,
		Owner: in.Owner, Created: now.UTC().Truncate(time.Microsecond),
		Config: meta.BucketConfig{Region: region, RegionRequested: in.Region != "", Location: location, ACL: in.ACL, Ownership: cmp.Or(in.Ownership, s.ownership), Tags: in.Tags},
	}
	if in.LockEnabled {
		b.Config.Lock = &meta.LockConfig{}
		b.Config.Versioning = VersioningEnabled
	}
	was, err := s.meta.CreateBucket(ctx, b)
	if errors.Is(err, meta.ErrExists) {
		return s.existing(&was, in)
	}
	if err != nil {
		return nil, err
	}
	s.buckets.drop(in.Name)
	return &b, nil
}

// locate returns the region that stores a bucket with this location constraint,
// and the one to show if it is another. InvalidLocationConstraint.
func (s *Store) locate(constraint string) (region, location string, err error) {
	switch {
	case constraint == "" || constraint == s.region:
		return s.region, "", nil
	case slices.Contains(s.regions, constraint):
		return constraint, "", nil
	case s.regions == nil && regionName(constraint):
		return s.region, constraint, nil
	}
	return "", "", s3err.New(s3err.InvalidLocationConstraint).With("LocationConstraint", fmt.Sprintf("%.80s", constraint))
}

// regionName reports whether s could be the name of a region of AWS or of a
// similar service.
func regionName(s string) bool {
	if len(s) > maxRegionName {
		return false
	}
	for i, c := range s {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return s != ""
}

const maxRegionName = 63

func (s *Store) existing(was *meta.Bucket, in CreateBucketInput) (*meta.Bucket, error) {
	switch {
	case was.Owner != in.Owner:
		return nil, s3err.New(s3err.BucketAlreadyExists).With("BucketName", was.Name)
	case was.State == meta.BucketDeleting:
		return nil, s3err.New(s3err.OperationAborted).With("BucketName", was.Name)
	}
	return was, s3err.New(s3err.BucketAlreadyOwnedByYou).With("BucketName", was.Name)
}

const maxBucketName = 63

// nameCharacter reports whether bucket names may contain c.
func nameCharacter(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.'
}

// checkBucketName enforces S3's rules for names of general purpose buckets.
// InvalidBucketName.
func checkBucketName(name string) error {
	bad := s3err.New(s3err.InvalidBucketName).With("BucketName", name)
	if len(name) < 3 || len(name) > maxBucketName || net.ParseIP(name) != nil || strings.Contains(name, "..") {
		return bad
	}
	for i, c := range name {
		edge := i == 0 || i == len(name)-1
		if !nameCharacter(c) || edge && (c == '-' || c == '.') {
			return bad
		}
	}
	for _, prefix := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, prefix) {
			return bad
		}
	}
	for _, suffix := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, suffix) {
			return bad
		}
	}
	return nil
}

// ListBuckets returns up to limit buckets of owner ("" for those of all owners)
// whose names begin with prefix and follow after, sorted by name, and whether
// there are more. It returns no errors except the driver's.
func (s *Store) ListBuckets(ctx context.Context, owner, prefix, after string, limit int) ([]meta.Bucket, bool, error) {
	if strings.ContainsFunc(prefix, func(c rune) bool { return !nameCharacter(c) }) || len(prefix) > maxBucketName {
		return nil, false, nil
	}
	var found []meta.Bucket
	if before := predecessor(prefix); after < before {
		after = before
	}
	for {
		want := min(limit+1-len(found), maxScan)
		page, err := s.meta.ListBuckets(ctx, owner, after, want)
		if err != nil {
			return nil, false, err
		}
		for _, b := range page {
			after = b.Name
			if !strings.HasPrefix(b.Name, prefix) {
				if prefix != "" && b.Name > prefix {
					return found, false, nil
				}
				continue
			}
			if len(found) == limit {
				return found, true, nil
			}
			found = append(found, b)
		}
		if len(page) < want {
			return found, false, nil
		}
	}
}

// predecessor returns a string below prefix and above all bucket names below
// prefix: a listing begins after it. The prefix consists of characters of bucket
// names, which are ASCII.
func predecessor(prefix string) string {
	if prefix == "" {
		return ""
	}
	last := len(prefix) - 1
	return prefix[:last] + string(rune(prefix[last]-1)) + "\x7f"
}

// UpdateBucket changes the settings of a bucket, atomically. edit is called with
// the current settings, and again after a conflict with another change.
//
// Errors: NoSuchBucket, [ErrBucketRecreated], OperationAborted after too many
// conflicts, and the errors of edit.
func (s *Store) UpdateBucket(ctx context.Context, was *meta.Bucket, edit func(*meta.BucketConfig) error) (*meta.Bucket, error) {
	return s.editBucket(ctx, was, func(b *meta.Bucket) (bool, error) { return true, edit(&b.Config) })
}

// editBucket changes the row of a bucket, found by name and id, atomically. edit
// reports whether there is anything to write; it is called again after a conflict.
func (s *Store) editBucket(ctx context.Context, it *meta.Bucket, edit func(*meta.Bucket) (bool, error)) (*meta.Bucket, error) {
	name := it.Name
	for try := 0; ; try++ {
		b, err := s.freshBucket(ctx, name)
		if err != nil {
			return nil, err
		}
		if b.ID != it.ID {
			return nil, errRecreated(it)
		}
		write, err := edit(b)
		if err != nil || !write {
			s.buckets.drop(name)
			return b, err
		}
		was := b.Rev
		b.Rev = meta.NextRev(was, s.now())
		err = s.meta.UpdateBucket(ctx, *b, was)
		s.buckets.drop(name)
		switch {
		case err == nil:
			return b, nil
		case errors.Is(err, meta.ErrNotFound):
			return nil, s.bucketGone(ctx, it)
		case !errors.Is(err, meta.ErrConflict):
			return nil, err
		case try == maxTries:
			return nil, &s3err.Error{Code: s3err.OperationAborted, Err: err}
		}
		if err := BackOff(ctx, try); err != nil {
			return nil, err
		}
	}
}

// DeleteBucket removes an empty bucket. Writes wait until it is known whether the
// bucket is empty: see [meta.Buckets]. Multipart uploads that are not complete are
// aborted. (DeleteBucket in the S3 API reference.)
//
// Errors: BucketNotEmpty, NoSuchBucket, [ErrBucketRecreated], OperationAborted if
// a writer waited too long and reactivated the bucket.
func (s *Store) DeleteBucket(ctx context.Context, was *meta.Bucket) error {
	name := was.Name
	defer s.buckets.drop(name)
	b, err := s.setBucketState(ctx, was, meta.BucketDeleting)
	if err != nil {
		return err
	}
	empty, err := s.meta.Empty(ctx, b.ID)
	if err == nil && empty {
		// Uploads do not make a bucket count as not empty. But while an upload is
		// open, the collector keeps its parts.
		err = s.abortUploads(ctx, b)
	}
	if err == nil && empty {
		err = s.meta.RemoveBucket(ctx, *b)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return s.bucketGone(ctx, was)
		case errors.Is(err, meta.ErrConflict): // a writer has reactivated the bucket
			return &s3err.Error{Code: s3err.OperationAborted, Err: err}
		case err == nil:
			s.dropListing(ctx, b.ID)
		}
		return err
	}
	if _, back := s.setBucketState(context.WithoutCancel(ctx), b, meta.BucketActive); back != nil && err == nil {
		err = back
	}
	if err != nil {
		return err
	}
	return s3err.New(s3err.BucketNotEmpty).With("BucketName", name)
}

// dropListing deletes the rows that are left of a removed bucket's listing. The
// bucket is removed even if that fails, or the client disconnects.
func (s *Store) dropListing(ctx context.Context, id meta.BucketID) {
	if err := s.meta.DropListing(context.WithoutCancel(ctx), meta.ListingPart{Bucket: id}); err != nil {
		s.log.Warn("rows of a removed bucket's listing could not be deleted; run pithos check --repair", zap.Error(err))
	}
}

// setBucketState sets the state of a bucket.
func (s *Store) setBucketState(ctx context.Context, it *meta.Bucket, state meta.BucketState) (*meta.Bucket, error) {
	return s.editBucket(ctx, it, func(b *meta.Bucket) (bool, error) {
		already := b.State == state
		b.State = state
		return !already || state == meta.BucketDeleting, nil // each DeleteBucket has a revision of its own
	})
}

// awaitDeletion is called when a commit found the bucket being deleted. It waits
// until the DeleteBucket has decided. If that takes too long, perhaps because its
// gateway died, it makes the bucket active again; the DeleteBucket then fails.
func (s *Store) awaitDeletion(ctx context.Context, b *meta.Bucket, try int) error {
	s.buckets.drop(b.Name)
	if try < deletionTries {
		return BackOff(ctx, try)
	}
	_, err := s.setBucketState(ctx, b, meta.BucketActive)
	return err
}
