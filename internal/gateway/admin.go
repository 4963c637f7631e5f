package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/meta"
)

// Errors of managing keys.
var (
	// ErrKeyExists: there is an access key of that id.
	ErrKeyExists = errors.New("there is such an access key already")
	// ErrNoSuchKey: there is no access key of that id.
	ErrNoSuchKey = errors.New("there is no such access key")
	// ErrConfiguredKey: the key is in the configuration, not in the store.
	ErrConfiguredKey = errors.New("the access key is in the configuration")
	// ErrInvalidKey: what was asked for cannot be an access key.
	ErrInvalidKey = errors.New("invalid access key")
)

// NewKey is an access key to be made. Empty ID and Secret are generated.
type NewKey struct {
	ID     string        `json:"access_key"`
	Secret config.Secret `json:"-"`
	Tenant string        `json:"tenant"`
	Master bool          `json:"master"`
	Groups []string      `json:"groups,omitempty"`
}

// KeyAdmin makes, lists and revokes the access keys of a metadata store.
type KeyAdmin struct {
	Meta meta.AccessKeys
	Ring *crypt.Ring
	// Configured are the keys of the configuration, which hide stored ones.
	Configured map[string]config.Key
}

// Create makes a key and returns it with its secret, which can never be read
// again. It returns ErrKeyExists, ErrInvalidKey or crypt.ErrNoMasterKey.
func (a KeyAdmin) Create(ctx context.Context, k NewKey) (NewKey, error) {
	if k.ID == "" {
		k.ID = GenerateAccessKey()
	}
	if k.Secret == "" {
		k.Secret = GenerateSecret()
	}
	if k.Tenant == "" {
		k.Tenant = config.RootTenant
	}
	if err := k.check(); err != nil {
		return NewKey{}, err
	}
	if _, ok := a.Configured[k.ID]; ok {
		return NewKey{}, fmt.Errorf("%q: %w", k.ID, ErrKeyExists)
	}
	switch _, err := a.Meta.AccessKey(ctx, k.ID); {
	case err == nil:
		return NewKey{}, fmt.Errorf("%q: %w", k.ID, ErrKeyExists)
	case !errors.Is(err, meta.ErrNotFound):
		return NewKey{}, err
	}
	row := meta.AccessKey{ID: k.ID, Tenant: k.Tenant, Master: k.Master, Groups: k.Groups, Created: time.Now().UnixMicro()}
	var err error
	if row.Secret, row.KeyID, err = a.Ring.Seal([]byte(k.Secret.Reveal()), []byte(k.ID)); err != nil {
		return NewKey{}, fmt.Errorf("secrets are stored encrypted: %w", err)
	}
	return k, a.Meta.PutAccessKey(ctx, row)
}

// maxKeyID and maxSecret are the longest that are accepted, in bytes.
const (
	maxKeyID  = 128
	maxSecret = 256
)

func (k NewKey) check() error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/,:=", r) }
	switch {
	case len(k.ID) < 3 || len(k.ID) > maxKeyID || strings.ContainsFunc(k.ID, odd):
		return fmt.Errorf("%w: an id has 3 to %d printable characters without spaces, slashes, commas, colons and equals signs", ErrInvalidKey, maxKeyID)
	case len(k.Secret) < 8 || len(k.Secret) > maxSecret:
		return fmt.Errorf("%w: a secret has 8 to %d bytes", ErrInvalidKey, maxSecret)
	case strings.ContainsFunc(k.Tenant, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: a tenant's name has no control characters", ErrInvalidKey)
	}
	return nil
}

// StoredKey is what is shown of an access key: never its secret.
type StoredKey struct {
	ID         string    `json:"access_key"`
	Tenant     string    `json:"tenant"`
	Master     bool      `json:"master"`
	Groups     []string  `json:"groups,omitempty"`
	Created    time.Time `json:"created,omitzero"` // unknown for keys of the configuration
	Configured bool      `json:"configured"`
}

// List returns the stored keys, ordered by id.
func (a KeyAdmin) List(ctx context.Context) ([]StoredKey, error) {
	rows, err := a.Meta.ListAccessKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]StoredKey, 0, len(rows))
	for _, r := range rows {
		keys = append(keys, StoredKey{ID: r.ID, Tenant: r.Tenant, Master: r.Master, Groups: r.Groups, Created: time.UnixMicro(r.Created).UTC()})
	}
	return keys, nil
}

// Rewrap encrypts the secrets that the master key from has encrypted with the
// active one, and counts all by the master key that each was found under; ""
// only counts. A key that is revoked at this very moment may come back: revoke
// none meanwhile.
func (a KeyAdmin) Rewrap(ctx context.Context, from string) (found map[string]int64, changed int64, err error) {
	rows, err := a.Meta.ListAccessKeys(ctx)
	if err != nil {
		return nil, 0, err
	}
	found = map[string]int64{}
	for _, r := range rows {
		found[r.KeyID]++
		if from == "" || !a.Ring.Same(r.KeyID, from) {
			continue
		}
		now, err := a.Meta.AccessKey(ctx, r.ID)
		if errors.Is(err, meta.ErrNotFound) {
			continue
		}
		if err == nil {
			now.Secret, now.KeyID, err = a.Ring.Reseal(now.KeyID, now.Secret, []byte(now.ID))
		}
		if err == nil {
			err = a.Meta.PutAccessKey(ctx, now)
		}
		if err != nil {
			return found, changed, fmt.Errorf("access key %q: %w", r.ID, err)
		}
		changed++
	}
	return found, changed, nil
}

// Revoke removes a stored key; gateways notice within keyTTL. It returns
// ErrNoSuchKey or ErrConfiguredKey.
func (a KeyAdmin) Revoke(ctx context.Context, id string) error {
	if _, ok := a.Configured[id]; ok {
		return fmt.Errorf("%q: %w", id, ErrConfiguredKey)
	}
	err := a.Meta.DeleteAccessKey(ctx, id)
	if errors.Is(err, meta.ErrNotFound) {
		return fmt.Errorf("%q: %w", id, ErrNoSuchKey)
	}
	return err
}

// keyIDAlphabet has no letters that are mistaken for each other; keys are in
// the form that clients expect of AWS: 20 capitals and digits, 40 characters.
const (
	keyIDAlphabet  = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// GenerateAccessKey returns a fresh random access key id.
func GenerateAccessKey() string { return "PK" + randomText(keyIDAlphabet, 18) }

// GenerateSecret returns a fresh random secret of 238 bits, in letters and
// digits alone: nothing that a shell, a URL or a configuration would twist.
func GenerateSecret() config.Secret { return config.Secret(randomText(secretAlphabet, 40)) }

func randomText(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet) // above it, some letters would come more often
	for len(out) < n {
		var b [64]byte
		if _, err := rand.Read(b[:]); err != nil {
			panic(err) // crypto/rand never fails on a supported system
		}
		for _, c := range b {
			if int(c) < limit && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}
