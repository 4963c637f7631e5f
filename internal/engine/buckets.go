package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/s3err"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/store"
)

// createBuckets creates the buckets of options.buckets that do not exist. Their
// owner is the tenant of the root key, else that of the first key by its id.
func (e *Engine) createBuckets(ctx context.Context, cfg *config.Config, log *zap.Logger) error {
	if len(cfg.Options.Buckets) == 0 {
		return nil
	}
	owner, err := e.rootTenant(cfg)
	if err != nil {
		return err
	}
	for _, name := range cfg.Options.Buckets {
		_, err := e.Store.CreateBucket(ctx, store.CreateBucketInput{Name: name, Owner: owner})
		switch {
		case err == nil:
			log.Info("bucket created", zap.String("bucket", name), zap.String("owner", owner))
		case s3err.CodeOf(err) == s3err.BucketAlreadyOwnedByYou:
		case s3err.CodeOf(err) == s3err.BucketAlreadyExists:
			log.Warn("a bucket of options.buckets belongs to another tenant", zap.String("bucket", name), zap.String("wanted", owner))
		case s3err.CodeOf(err) == s3err.InvalidBucketName:
			return fmt.Errorf("%w: options.buckets: %q is not a valid name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens", config.ErrInvalid, name)
		case errors.Is(err, meta.ErrUnavailable), errors.Is(err, meta.ErrUnknownOutcome):
			return fmt.Errorf("%w: bucket %s: %w", ErrUnavailable, name, err)
		default:
			return fmt.Errorf("create the bucket %s: %w", name, err)
		}
	}
	return nil
}

// rootTenant returns the owner of the buckets that are created at the start.
func (e *Engine) rootTenant(cfg *config.Config) (string, error) {
	if key, ok := cfg.Keystore.Keys[cfg.Keystore.Root]; ok {
		return key.Tenant, nil
	}
	for _, id := range slices.Sorted(maps.Keys(cfg.Keystore.Keys)) {
		return cfg.Keystore.Keys[id].Tenant, nil
	}
	if e.FirstKey != nil {
		return config.RootTenant, nil
	}
	return "", fmt.Errorf("%w: options.buckets needs an owner: set PITHOS_ACCESS_KEY and PITHOS_SECRET_KEY, or list a key under keystore.keys", config.ErrInvalid)
}
