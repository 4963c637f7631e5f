package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
)

// configuredKeys returns the master keys of environment and key file, the
// active one first; none where neither is set.
func configuredKeys(cfg *config.Config, log *zap.Logger) ([]crypt.MasterKey, error) {
	var keys []crypt.MasterKey
	if cfg.Encryption.MasterKey != "" {
		raw, err := (&config.Encryption{MasterKey: cfg.Encryption.MasterKey}).LoadMasterKey()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		key, err := crypt.ParseMasterKey(base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			return nil, fmt.Errorf("%w: PITHOS_MASTER_KEY: %w", ErrConfig, err)
		}
		keys = append(keys, key)
	}
	if path := cfg.Encryption.MasterKeyFile; path != "" {
		more, err := loadKeyFile(path, log)
		if err != nil {
			return nil, fmt.Errorf("%w: encryption.master-key-file: %w", ErrConfig, err)
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

func loadKeyFile(path string, log *zap.Logger) ([]crypt.MasterKey, error) {
	keys, warnings, err := crypt.LoadKeyFile(path)
	for _, w := range warnings {
		log.Warn("master key", zap.String("note", w))
	}
	return keys, err
}

// embeddedRing holds the configured keys and the data directory's own, which
// is made where there is no other.
func embeddedRing(cfg *config.Config, fresh bool, log *zap.Logger) (*crypt.Ring, error) {
	keys, err := configuredKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(cfg.Embedded.Directory, masterKeyFile)
	own, err := loadKeyFile(path, log)
	switch {
	case err == nil:
		keys = append(keys, own...)
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("master key of the data directory: %w", err)
	case len(keys) == 0:
		key, err := crypt.CreateKeyFile(path)
		if err != nil {
			return nil, fmt.Errorf("make a master key: %w", err)
		}
		if !fresh {
			log.Warn("there was no master key and a new one was made: what was encrypted under another one needs that key, in PITHOS_MASTER_KEY or in this file",
				zap.String("file", path))
		}
		keys = append(keys, key)
	}
	return newRing(keys)
}

// keyUse says which tenants may name which master keys, whatever form the name
// has; nil is all of them. A rule about a key that is not there is ErrConfig:
// it would protect nothing.
func keyUse(ring *crypt.Ring, rules map[string]config.KeyUse) (func(tenant, keyID string) bool, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	for id := range rules {
		if !ring.Has(id) {
			return nil, fmt.Errorf("%w: encryption.keys names %q, which is none of the master keys", ErrConfig, id)
		}
	}
	return func(tenant, keyID string) bool {
		for id, rule := range rules {
			if ring.Same(id, keyID) && !slices.Contains(rule.Tenants, tenant) {
				return false
			}
		}
		return true
	}, nil
}

func newRing(keys []crypt.MasterKey) (*crypt.Ring, error) {
	ring, err := crypt.NewRing(keys...)
	if err != nil {
		return nil, fmt.Errorf("%w: master keys: %w", ErrConfig, err)
	}
	return ring, nil
}
