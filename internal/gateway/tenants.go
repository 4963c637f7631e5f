package gateway

import (
	"context"
	"fmt"

	"github.com/pithos/pithos/s3api"
)

var _ s3api.Tenants = (*Keys)(nil)

// Tenant implements [s3api.Tenants]: a tenant is whoever some access key
// speaks for. Names that are e-mail addresses serve as such.
func (k *Keys) Tenant(ctx context.Context, name string) (string, error) {
	for _, identity := range *k.fixed.Load() {
		if identity.Tenant == name {
			return name, nil
		}
	}
	rows, err := k.meta.ListAccessKeys(ctx)
	if err != nil {
		return "", fmt.Errorf("tenant %q: %w", name, err)
	}
	for _, row := range rows {
		if row.Tenant == name {
			return name, nil
		}
	}
	return "", nil
}
