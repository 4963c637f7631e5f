package keyadmin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
)

// configuredKeys returns the master keys of the environment and of the key file,
// the active one first. It returns none if neither is configured.
func configuredKeys(cfg *config.Config, log *zap.Logger) ([]crypt.MasterKey, error) {
	var keys []crypt.MasterKey
	if cfg.Encryption.MasterKey != "" {
		raw, err := (&config.Encryption{MasterKey: cfg.Encryption.MasterKey}).LoadMasterKey()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", config.ErrInvalid, err)
		}
		key, err := crypt.ParseMasterKey(base64.StdEncoding.EncodeToString(raw))
		if err != nil {
			return nil, fmt.Errorf("%w: PITHOS_MASTER_KEY: %w", config.ErrInvalid, err)
		}
		keys = append(keys, key)
	}
	if path := cfg.Encryption.MasterKeyFile; path != "" {
		more, err := loadKeyFile(path, log)
		if err != nil {
			return nil, fmt.Errorf("%w: encryption.master-key-file: %w", config.ErrInvalid, err)
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

// ConfiguredRing returns the configured master keys.
func ConfiguredRing(cfg *config.Config, log *zap.Logger) (*crypt.Ring, error) {
	keys, err := configuredKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	return newRing(keys)
}

// DirectoryRing returns the configured master keys and the one in the file path
// of a data directory. It creates that file if there is no master key at all.
// fresh says that the data directory is new.
func DirectoryRing(cfg *config.Config, path string, fresh bool, log *zap.Logger) (*crypt.Ring, error) {
	keys, err := configuredKeys(cfg, log)
	if err != nil {
		return nil, err
	}
	own, err := loadKeyFile(path, log)
	switch {
	case err == nil:
		keys = append(keys, own...)
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("master key of the data directory: %w", err)
	case len(keys) == 0:
		key, err := crypt.CreateKeyFile(path)
		if err != nil {
			return nil, fmt.Errorf("create a master key: %w", err)
		}
		if !fresh {
			log.Warn("no master key found, created a new one; objects encrypted with another key need that key in PITHOS_MASTER_KEY or in this file",
				zap.String("file", path))
		}
		keys = append(keys, key)
	}
	return newRing(keys)
}

// MayUseMasterKey says which tenants may name which master keys, whatever form the name
// has; nil is all of them. A rule about a key that is not there is config.ErrInvalid:
// it would protect nothing.
func MayUseMasterKey(ring *crypt.Ring, rules map[string]config.KeyUse) (func(tenant, keyID string) bool, error) {
	if len(rules) == 0 {
		return nil, nil
	}
	for id := range rules {
		if !ring.Has(id) {
			return nil, fmt.Errorf("%w: encryption.keys names %q, which is not one of the master keys", config.ErrInvalid, id)
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
		return nil, fmt.Errorf("%w: master keys: %w", config.ErrInvalid, err)
	}
	return ring, nil
}
