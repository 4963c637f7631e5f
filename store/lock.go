package store

import (
	"context"
	"time"

	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
)

// applyLock gives a new version the bucket's default retention, and refuses
// locks in buckets without object lock.
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

// needDigest refuses a body that goes into a version with a retention, the
// bucket's default included, or a legal hold unless the client sent a digest of it: what cannot be replaced or
// deleted must be what the client meant to send. request is the name of the
// request in S3's message. (PutObject in the S3 API reference.)
func needDigest(request string, b *meta.Bucket, v *meta.Version, md5 []byte, c ChecksumRequest) error {
	locked := v.Retention != nil || v.LegalHold || v.LegalHoldReleased || b.Config.Lock != nil && b.Config.Lock.Mode != ""
	if !locked || md5 != nil || c.Expected != nil {
		return nil
	}
	return fail(s3err.InvalidRequest, "Content-MD5 OR x-amz-checksum- HTTP header is required for %s requests with Object Lock parameters", request)
}

// lockedAgainst returns an error where v may not be deleted now.
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

// SetRetention sets or, with nil, removes a version's retention. It may be
// made longer or stricter; anything else needs GOVERNANCE and bypass.
// (PutObjectRetention in the S3 API reference.)
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

// SetLegalHold puts a version on legal hold or takes it off.
// (PutObjectLegalHold in the S3 API reference.)
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
