package store

import (
	"context"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// applyLock gives a new version the bucket's default retention. InvalidRequest if
// the version is to be locked and the bucket has no object lock.
func (s *Store) applyLock(b *meta.Bucket, v *meta.Version) error {
	lock := b.Config.Lock
	if lock == nil {
		if v.Retention != nil || v.LegalHold || v.LegalHoldReleased {
			return fail(s3err.InvalidRequest, "Bucket is missing Object Lock Configuration")
		}
		return nil
	}
	if v.Retention == nil && lock.Mode != "" {
		until := s.now().UTC().AddDate(lock.Years, 0, lock.Days)
		v.Retention = &meta.Retention{Mode: lock.Mode, Until: until.UnixMicro()}
	}
	return nil
}

// needDigest requires a digest from the client if the body becomes part of a
// version with a legal hold or a retention, also the bucket's default one: what
// cannot be replaced or deleted must be what the client meant to send. request is
// the name of the request in S3's message. (PutObject in the S3 API reference.)
// InvalidRequest.
func needDigest(request string, b *meta.Bucket, v *meta.Version, md5 []byte, c ChecksumRequest) error {
	locked := v.Retention != nil || v.LegalHold || v.LegalHoldReleased || b.Config.Lock != nil && b.Config.Lock.Mode != ""
	if !locked || md5 != nil || c.Expected != nil {
		return nil
	}
	return fail(s3err.InvalidRequest, "Content-MD5 OR x-amz-checksum- HTTP header is required for %s requests with Object Lock parameters", request)
}

// lockedAgainst returns AccessDenied if v must not be deleted now.
func lockedAgainst(v *meta.Version, bypassGovernance bool, now time.Time) error {
	denied := fail(s3err.AccessDenied, "Access Denied because object protected by object lock.")
	if v.LegalHold {
		return denied
	}
	if v.Retention == nil || time.UnixMicro(v.Retention.Until).Before(now) {
		return nil
	}
	if v.Retention.Mode == ModeGovernance && bypassGovernance {
		return nil
	}
	return denied
}

// SetRetention sets a version's retention, or removes it if r is nil, and returns
// the version's id. A retention may always be made longer; any other change needs
// GOVERNANCE mode and bypass. (PutObjectRetention in the S3 API reference.)
//
// Errors: InvalidRequest (the bucket has no object lock), AccessDenied, and those
// of [Store.UpdateVersion].
func (s *Store) SetRetention(ctx context.Context, b *meta.Bucket, key, versionID string, r *meta.Retention, bypass bool) (string, error) {
	if b.Config.Lock == nil {
		return "", fail(s3err.InvalidRequest, "Bucket is missing Object Lock Configuration")
	}
	_, id, err := s.UpdateVersion(ctx, b, key, versionID, func(v *meta.Version) error {
		if err := mayRetain(v.Retention, r, bypass, s.now()); err != nil {
			return err
		}
		v.Retention = r
		return nil
	})
	return id, err
}

// mayRetain checks a change of a retention. AccessDenied.
func mayRetain(old, new *meta.Retention, bypass bool, now time.Time) error {
	if old == nil || time.UnixMicro(old.Until).Before(now) {
		return nil
	}
	stricter := new != nil && new.Until >= old.Until && new.Mode == old.Mode
	if stricter || old.Mode == ModeGovernance && bypass {
		return nil
	}
	return fail(s3err.AccessDenied, "Access Denied because object protected by object lock.")
}

// SetLegalHold sets or removes a version's legal hold, and returns the version's
// id. (PutObjectLegalHold in the S3 API reference.)
//
// Errors: InvalidRequest (the bucket has no object lock), and those of
// [Store.UpdateVersion].
func (s *Store) SetLegalHold(ctx context.Context, b *meta.Bucket, key, versionID string, on bool) (string, error) {
	if b.Config.Lock == nil {
		return "", fail(s3err.InvalidRequest, "Bucket is missing Object Lock Configuration")
	}
	_, id, err := s.UpdateVersion(ctx, b, key, versionID, func(v *meta.Version) error {
		v.LegalHold, v.LegalHoldReleased = on, !on
		return nil
	})
	return id, err
}
