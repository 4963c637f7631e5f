package keyadmin

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
	// ErrKeyExists: an access key with this id exists.
	ErrKeyExists = errors.New("the access key exists already")
	// ErrNoSuchKey: no access key has this id.
	ErrNoSuchKey = errors.New("no such access key")
	// ErrConfiguredKey: the key is in the configuration, not in the store.
	ErrConfiguredKey = errors.New("the access key is in the configuration")
	// ErrInvalidKey: the id, secret or tenant is not acceptable.
	ErrInvalidKey = errors.New("invalid access key")
)

// NewKey is an access key to create. An empty ID or Secret is generated.
type NewKey struct {
	ID     string        `json:"access_key"`
	Secret config.Secret `json:"-"`
	Tenant string        `json:"tenant"`
	Master bool          `json:"master"`
	Groups []string      `json:"groups,omitempty"`
}

// Keyring manages stored access keys, in this process or in another one.
type Keyring interface {
	Create(context.Context, NewKey) (NewKey, error)
	List(context.Context) ([]StoredKey, error)
	Revoke(ctx context.Context, id string) error
}

var _ Keyring = Admin{}

// Admin creates, lists and revokes the access keys of a metadata store.
type Admin struct {
	Meta meta.AccessKeys
	Ring *crypt.Ring
	// Configured are the keys of the configuration, which hide stored ones.
	Configured map[string]config.Key
}

// Create stores a new key and returns it with its secret, which cannot be read
// again. It returns ErrKeyExists, ErrInvalidKey or crypt.ErrNoMasterKey.
func (a Admin) Create(ctx context.Context, k NewKey) (NewKey, error) {
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

// maxKeyID and maxSecret are the longest id and secret, in bytes.
const (
	maxKeyID  = 128
	maxSecret = 256
)

func (k NewKey) check() error {
	forbidden := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("/,:=", r) }
	switch {
	case len(k.ID) < 3 || len(k.ID) > maxKeyID || strings.ContainsFunc(k.ID, forbidden):
		return fmt.Errorf("%w: an id has 3 to %d printable characters without spaces, slashes, commas, colons and equals signs", ErrInvalidKey, maxKeyID)
	case len(k.Secret) < 8 || len(k.Secret) > maxSecret:
		return fmt.Errorf("%w: a secret has 8 to %d bytes", ErrInvalidKey, maxSecret)
	case strings.ContainsFunc(k.Tenant, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%w: a tenant's name has no control characters", ErrInvalidKey)
	}
	return nil
}

// StoredKey is an access key without its secret.
type StoredKey struct {
	ID         string    `json:"access_key"`
	Tenant     string    `json:"tenant"`
	Master     bool      `json:"master"`
	Groups     []string  `json:"groups,omitempty"`
	Created    time.Time `json:"created,omitzero"` // unknown for keys of the configuration
	Configured bool      `json:"configured"`
}

// List returns the stored keys, ordered by id.
func (a Admin) List(ctx context.Context) ([]StoredKey, error) {
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

// Rewrap encrypts with the active master key the secrets that the master key
// from has encrypted. It returns the number of all secrets by the master key
// they were found under. With from "" it only counts. A key that is revoked
// during Rewrap may be written back: do not revoke keys while it runs.
func (a Admin) Rewrap(ctx context.Context, from string) (found map[string]int64, changed int64, err error) {
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

// Revoke removes a stored key. Gateways refuse it after keyTTL at the latest. It
// returns ErrNoSuchKey or ErrConfiguredKey.
func (a Admin) Revoke(ctx context.Context, id string) error {
	if _, ok := a.Configured[id]; ok {
		return fmt.Errorf("%q: %w", id, ErrConfiguredKey)
	}
	err := a.Meta.DeleteAccessKey(ctx, id)
	if errors.Is(err, meta.ErrNotFound) {
		return fmt.Errorf("%q: %w", id, ErrNoSuchKey)
	}
	return err
}

// keyIDAlphabet leaves out letters that look alike. Keys have the form of AWS'
// keys, which clients expect: an id of 20 capitals and digits, a secret of 40
// characters.
const (
	keyIDAlphabet  = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// GenerateAccessKey returns a random access key id.
func GenerateAccessKey() string { return "PK" + randomText(keyIDAlphabet, 18) }

// GenerateSecret returns a random secret of 238 bits. It has only letters and
// digits, which need no quoting in a shell, a URL or a configuration.
func GenerateSecret() config.Secret { return config.Secret(randomText(secretAlphabet, 40)) }

func randomText(alphabet string, n int) string {
	out := make([]byte, 0, n)
	limit := 256 - 256%len(alphabet) // bytes above it would favour some letters
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
