package keyadmin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/s3api"
)

const (
	// keyTTL is how long a key of the metadata store is cached. A revoked key
	// works for at most as long.
	keyTTL = 5 * time.Second
	// maxCachedKeys and maxKeyID bound the cache in number and in bytes, since
	// clients choose the ids that are looked up.
	maxCachedKeys = 10_000
)

// Keys looks access keys up: first those of the configuration, then those of
// the metadata store.
type Keys struct {
	configured atomic.Pointer[map[string]s3api.Identity] // replaced, never changed
	meta       meta.AccessKeys
	ring       *crypt.Ring
	// masters says whether master keys reach the buckets of all tenants.
	masters bool
	now     func() time.Time

	configuredTenants atomic.Pointer[map[string]bool]
	tenants           tenantCache // of the stored keys

	mu     sync.Mutex
	cached map[string]cachedKey
}

type cachedKey struct {
	identity s3api.Identity
	known    bool
	until    time.Time
}

var _ s3api.Keys = (*Keys)(nil)

// NewKeys returns the keys of a configuration and of a metadata store. masters
// says whether master keys reach the buckets of all tenants.
func NewKeys(configured map[string]config.Key, masters bool, stored meta.AccessKeys, ring *crypt.Ring) *Keys {
	k := &Keys{
		meta: stored, ring: ring, masters: masters,
		now: time.Now, cached: map[string]cachedKey{}, tenants: tenantCache{reading: make(chan struct{}, 1)},
	}
	k.SetConfigured(configured)
	return k
}

// SetConfigured replaces the keys of the configuration.
func (k *Keys) SetConfigured(configured map[string]config.Key) {
	all, tenants := make(map[string]s3api.Identity, len(configured)), map[string]bool{}
	for id, key := range configured {
		all[id] = s3api.Identity{
			AccessKey: id, Secret: key.Secret.Reveal(), Tenant: key.Tenant,
			Master: key.Master && k.masters, Groups: key.MemberOf,
		}
		tenants[key.Tenant] = true
	}
	k.configured.Store(&all)
	k.configuredTenants.Store(&tenants)
}

// Lookup implements [s3api.Keys].
func (k *Keys) Lookup(ctx context.Context, id string) (s3api.Identity, error) {
	if identity, ok := (*k.configured.Load())[id]; ok {
		return identity, nil
	}
	if len(id) > maxKeyID {
		return s3api.Identity{}, s3api.ErrUnknownAccessKey
	}
	c, ok := k.fromCache(id)
	if !ok {
		identity, err := k.load(ctx, id)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return s3api.Identity{}, fmt.Errorf("access key %q: %w", id, err)
		}
		c = cachedKey{identity: identity, known: err == nil}
		k.cache(id, c)
	}
	if !c.known {
		return s3api.Identity{}, s3api.ErrUnknownAccessKey
	}
	return c.identity, nil
}

func (k *Keys) load(ctx context.Context, id string) (s3api.Identity, error) {
	row, err := k.meta.AccessKey(ctx, id)
	if err != nil {
		return s3api.Identity{}, err
	}
	secret, err := k.ring.Open(row.KeyID, row.Secret, []byte(id))
	if err != nil {
		return s3api.Identity{}, fmt.Errorf("decrypt its secret: %w", err)
	}
	return s3api.Identity{
		AccessKey: id, Secret: string(secret), Tenant: row.Tenant, Master: row.Master && k.masters, Groups: row.Groups,
	}, nil
}

func (k *Keys) fromCache(id string) (cachedKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.cached[id]
	return c, ok && k.now().Before(c.until)
}

func (k *Keys) cache(id string, c cachedKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if len(k.cached) >= maxCachedKeys {
		maps.DeleteFunc(k.cached, func(_ string, old cachedKey) bool { return !now.Before(old.until) })
	}
	if len(k.cached) >= maxCachedKeys {
		clear(k.cached)
	}
	c.until = now.Add(keyTTL)
	k.cached[id] = c
}
