package keyadmin

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pithos/pithos/s3api"
)

const (
	// tenantsTTL is how long the names of tenants are cached. A tenant whose
	// last key was revoked is known for at most as long.
	tenantsTTL = 5 * time.Second
	// tenantsPause is the least time between two reads of all keys. A tenant
	// with a new key is known after this time at the latest.
	tenantsPause = time.Second
)

// tenantCache has the tenants of the metadata store. The store has no index of
// them: their names are read with all keys, at most once in tenantsPause,
// however many grantees the requests name. The operator chooses the number of
// keys, not the clients.
type tenantCache struct {
	reading chan struct{} // holds a token while all keys are read
	known   atomic.Pointer[knownTenants]
}

type knownTenants struct {
	names map[string]bool
	read  time.Time
}

var _ s3api.Tenants = (*Keys)(nil)

// Tenant implements [s3api.Tenants]. A tenant is the owner of some access key;
// its name may be an e-mail address.
func (k *Keys) Tenant(ctx context.Context, name string) (string, error) {
	if (*k.configuredTenants.Load())[name] {
		return name, nil
	}
	known := k.tenants.known.Load()
	if known == nil || !known.names[name] || k.now().Sub(known.read) >= tenantsTTL {
		var err error
		if known, err = k.readTenants(ctx); err != nil {
			return "", fmt.Errorf("tenant %q: %w", name, err)
		}
	}
	if !known.names[name] {
		return "", nil
	}
	return name, nil
}

// readTenants reads the tenants, unless they were read within tenantsPause.
func (k *Keys) readTenants(ctx context.Context) (*knownTenants, error) {
	select {
	case k.tenants.reading <- struct{}{}:
		defer func() { <-k.tenants.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := k.now()
	if known := k.tenants.known.Load(); known != nil && now.Sub(known.read) < tenantsPause {
		return known, nil
	}
	rows, err := k.meta.ListAccessKeys(ctx)
	if err != nil {
		return nil, err
	}
	known := &knownTenants{names: map[string]bool{}, read: now}
	for _, row := range rows {
		known.names[row.Tenant] = true
	}
	k.tenants.known.Store(known)
	return known, nil
}
