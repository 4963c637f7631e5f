package gateway

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
	// keyTTL is how long a key of the metadata store is remembered: a key
	// that is revoked works on for at most as long.
	keyTTL = 5 * time.Second
	// maxCachedKeys and maxKeyID bound what made-up access keys can make us
	// remember, in number and in bytes: what is cached under a name that clients
	// choose is bounded in both.
	maxCachedKeys = 10_000
)

// Keys finds access keys: those of the configuration first, then those that
// 'pithos key create' has made.
type Keys struct {
	fixed atomic.Pointer[map[string]s3api.Identity] // replaced, never changed
	meta  meta.AccessKeys
	ring  *crypt.Ring
	// masters says whether master keys reach every tenant's buckets.
	masters bool
	now     func() time.Time

	fixedTenants atomic.Pointer[map[string]bool] // of the fixed keys
	tenants      tenantCache                     // of the stored keys

	mu     sync.Mutex
	cached map[string]cachedKey
}

type cachedKey struct {
	identity s3api.Identity
	known    bool
	until    time.Time
}

var _ s3api.Keys = (*Keys)(nil)

// newKeys returns the keys of a configuration and of a metadata store.
func newKeys(fixed map[string]config.Key, masters bool, stored meta.AccessKeys, ring *crypt.Ring) *Keys {
	k := &Keys{
		meta: stored, ring: ring, masters: masters,
		now: time.Now, cached: map[string]cachedKey{}, tenants: tenantCache{turn: make(chan struct{}, 1)},
	}
	k.set(fixed)
	return k
}

// set replaces the keys of the configuration.
func (k *Keys) set(fixed map[string]config.Key) {
	all, tenants := make(map[string]s3api.Identity, len(fixed)), map[string]bool{}
	for id, key := range fixed {
		all[id] = s3api.Identity{
			AccessKey: id, Secret: key.Secret.Reveal(), Tenant: key.Tenant,
			Master: key.Master && k.masters, Groups: key.MemberOf,
		}
		tenants[key.Tenant] = true
	}
	k.fixed.Store(&all)
	k.fixedTenants.Store(&tenants)
}

// SetKeys has the engine take the keys of a configuration that was read again.
// Requests that were let in go on.
func (e *Engine) SetKeys(cfg *config.Config) { e.Keys.set(e.fixedKeys(cfg)) }

// fixedKeys are the keys of the configuration; where it has none, the first
// key, if there is one.
func (e *Engine) fixedKeys(cfg *config.Config) map[string]config.Key {
	if first := e.FirstKey; len(cfg.Keystore.Keys) == 0 && first != nil {
		return map[string]config.Key{first.ID: {Tenant: config.RootTenant, Secret: first.Secret, Master: true}}
	}
	return cfg.Keystore.Keys
}

// Lookup implements [s3api.Keys].
func (k *Keys) Lookup(ctx context.Context, id string) (s3api.Identity, error) {
	if identity, ok := (*k.fixed.Load())[id]; ok {
		return identity, nil
	}
	if len(id) > maxKeyID {
		return s3api.Identity{}, s3api.ErrUnknownAccessKey
	}
	c, ok := k.remembered(id)
	if !ok {
		identity, err := k.load(ctx, id)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return s3api.Identity{}, fmt.Errorf("access key %q: %w", id, err)
		}
		c = cachedKey{identity: identity, known: err == nil}
		k.remember(id, c)
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
		return s3api.Identity{}, fmt.Errorf("its secret cannot be read: %w", err)
	}
	return s3api.Identity{
		AccessKey: id, Secret: string(secret), Tenant: row.Tenant, Master: row.Master && k.masters, Groups: row.Groups,
	}, nil
}

func (k *Keys) remembered(id string) (cachedKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c, ok := k.cached[id]
	return c, ok && k.now().Before(c.until)
}

func (k *Keys) remember(id string, c cachedKey) {
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
