package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

const (
	wrapVersion = 1
	wrapSalt    = 24

	forDataKey = "pithos wrapped data key v1"
	forSecret  = "pithos sealed secret v1"
)

// NewDataKey makes a random key for one body and wraps it under the master
// key keyID: an id, a name, the ARN of a KMS key of that name, or "" for the
// active key. The caller stores the wrapped key and the id of the master key, and
// passes the same context to [Ring.Unwrap]. Errors: [ErrNoMasterKey],
// [ErrUnknownKey].
func (r *Ring) NewDataKey(keyID string, context []byte) (key DataKey, wrapped []byte, id string, err error) {
	master, err := r.find(keyID)
	if err != nil {
		return DataKey{}, nil, "", fmt.Errorf("make a data key: %w", err)
	}
	key = DataKey{randomKey()}
	wrapped, err = master.seal(forDataKey, key.bytes(), context)
	if err != nil {
		return DataKey{}, nil, "", fmt.Errorf("wrap a data key: %w", err)
	}
	return key, wrapped, master.ID(), nil
}

// Unwrap returns the data key that [Ring.NewDataKey] wrapped under the master
// key id with the same context. It returns [ErrNoMasterKey], [ErrUnknownKey]
// or [ErrAuthentication].
func (r *Ring) Unwrap(id string, wrapped, context []byte) (DataKey, error) {
	plain, err := r.open(forDataKey, id, wrapped, context)
	if err != nil {
		return DataKey{}, fmt.Errorf("unwrap a data key: %w", err)
	}
	key, err := hide(plain)
	clear(plain)
	if err != nil {
		return DataKey{}, fmt.Errorf("unwrap a data key: %w", err)
	}
	return DataKey{key}, nil
}

// Rewrap wraps a wrapped data key again, under the active key, without changing the
// data key. If it is already wrapped under the active key, it is returned unchanged.
// Errors are those of [Ring.Unwrap].
func (r *Ring) Rewrap(id string, wrapped, context []byte) (rewrapped []byte, newID string, err error) {
	return r.reseal(forDataKey, id, wrapped, context)
}

// Rebind wraps a wrapped data key again, under the same master key, replacing the
// context from by to. Errors are those of [Ring.Unwrap].
func (r *Ring) Rebind(id string, wrapped, from, to []byte) (rewrapped []byte, newID string, err error) {
	master, err := r.find(id)
	if err != nil {
		return nil, "", fmt.Errorf("rebind a data key: %w", err)
	}
	plain, err := master.open(forDataKey, wrapped, from)
	if err != nil {
		return nil, "", fmt.Errorf("rebind a data key: %w", err)
	}
	defer clear(plain)
	rewrapped, err = master.seal(forDataKey, plain, to)
	return rewrapped, master.ID(), err
}

// Seal encrypts a small secret, such as an access key's, under the active key. The
// caller passes the same context (the owner of the secret) to [Ring.Open]. Error:
// [ErrNoMasterKey].
func (r *Ring) Seal(secret, context []byte) (sealed []byte, id string, err error) {
	master, err := r.find("")
	if err != nil {
		return nil, "", fmt.Errorf("seal a secret: %w", err)
	}
	sealed, err = master.seal(forSecret, secret, context)
	return sealed, master.ID(), err
}

// Open returns the secret that [Ring.Seal] sealed under the master key id
// with the same context. It returns [ErrNoMasterKey], [ErrUnknownKey] or
// [ErrAuthentication].
func (r *Ring) Open(id string, sealed, context []byte) ([]byte, error) {
	secret, err := r.open(forSecret, id, sealed, context)
	if err != nil {
		return nil, fmt.Errorf("open a sealed secret: %w", err)
	}
	return secret, nil
}

// Reseal does for a sealed secret what [Ring.Rewrap] does for a wrapped data key.
func (r *Ring) Reseal(id string, sealed, context []byte) (resealed []byte, newID string, err error) {
	return r.reseal(forSecret, id, sealed, context)
}

func (r *Ring) reseal(purpose, id string, sealed, context []byte) ([]byte, string, error) {
	plain, err := r.open(purpose, id, sealed, context)
	if err != nil {
		return nil, "", fmt.Errorf("rotate to the active master key: %w", err)
	}
	defer clear(plain)
	active, old := r.keys[0], r.byID[nameOf(id)]
	if id != "" && active.same(old.hidden) {
		return sealed, active.ID(), nil
	}
	again, err := active.seal(purpose, plain, context)
	return again, active.ID(), err
}

func (r *Ring) open(purpose, id string, sealed, context []byte) ([]byte, error) {
	master, err := r.find(id)
	if err != nil {
		return nil, err
	}
	return master.open(purpose, sealed, context)
}

func (k MasterKey) seal(purpose string, plain, context []byte) ([]byte, error) {
	out := make([]byte, 1+wrapSalt, 1+wrapSalt+len(plain)+TagBytes)
	out[0] = wrapVersion
	fill(out[1:])
	gcm, err := k.derive(out[1:], purpose)
	if err != nil {
		return nil, err
	}
	var nonce [nonceBytes]byte // a nonce of 0 is safe: the derived key is used only once
	return gcm.Seal(out, nonce[:], plain, context), nil
}

func (k MasterKey) open(purpose string, sealed, context []byte) ([]byte, error) {
	if len(sealed) < 1+wrapSalt+TagBytes || sealed[0] != wrapVersion {
		return nil, ErrAuthentication
	}
	gcm, err := k.derive(sealed[1:1+wrapSalt], purpose)
	if err != nil {
		return nil, err
	}
	var nonce [nonceBytes]byte
	plain, err := gcm.Open(nil, nonce[:], sealed[1+wrapSalt:], context)
	if err != nil {
		return nil, fmt.Errorf("master key %q: %w", k.ID(), ErrAuthentication)
	}
	return plain, nil
}

// derive returns AES-256-GCM under a key derived from this one with HKDF-SHA-256
// (RFC 5869).
func (h hidden) derive(salt []byte, info string) (cipher.AEAD, error) {
	if h.IsZero() {
		return nil, fmt.Errorf("%w: empty", ErrInvalidKey)
	}
	key, err := hkdf.Key(sha256.New, h.bytes(), salt, info, KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return cipher.NewGCM(block)
}
