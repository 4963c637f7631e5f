package crypt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// MasterKey wraps data keys and seals secrets.
type MasterKey struct {
	hidden
	name string // "" if it has none
}

// GenerateMasterKey returns a new random key without a name.
func GenerateMasterKey() MasterKey { return MasterKey{hidden: randomKey()} }

// ParseMasterKey parses the base64 of [KeyBytes] bytes: standard or URL-safe, with
// or without padding, as the configuration reads it from the environment. Its
// error, [ErrInvalidKey], does not contain the text.
func ParseMasterKey(text string) (MasterKey, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	raw, err := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(text))
	if err != nil {
		return MasterKey{}, fmt.Errorf("%w: not base64; want the base64 of %d bytes (openssl rand -base64 32)", ErrInvalidKey, KeyBytes)
	}
	key, err := hide(raw)
	if err != nil {
		return MasterKey{}, fmt.Errorf("master key: %w", err)
	}
	return MasterKey{hidden: key}, nil
}

var keyNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)

// Named returns the key with a name: up to 128 letters, digits and . _ / -,
// beginning with a letter or digit. Data that was wrapped before the key had the
// name can still be unwrapped.
func (k MasterKey) Named(name string) (MasterKey, error) {
	if !keyNames.MatchString(name) {
		return MasterKey{}, fmt.Errorf("key name %q: want up to 128 letters, digits and . _ / -, beginning with a letter or digit", name)
	}
	return MasterKey{k.hidden, name}, nil
}

// ID returns the key's name, or its hash if it has none.
func (k MasterKey) ID() string {
	if k.name != "" {
		return k.name
	}
	return k.hash()
}

// hash identifies a key by 64 bits of a MAC under it, which reveal nothing about
// the key.
func (k MasterKey) hash() string {
	mac := hmac.New(sha256.New, k.bytes())
	mac.Write([]byte("pithos master key id v1"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// Ring is a set of master keys; the first is active. It is immutable and may be used
// concurrently. A nil Ring is empty; its methods return [ErrNoMasterKey].
type Ring struct {
	keys []MasterKey
	byID map[string]MasterKey // by name and by hash
}

// NewRing returns a ring; keys[0] is the active key. The same key may occur twice,
// for instance from the environment and from a file; two different keys with the
// same name are an error.
func NewRing(keys ...MasterKey) (*Ring, error) {
	ring := &Ring{byID: make(map[string]MasterKey, 2*len(keys))}
	for i, key := range keys {
		if key.IsZero() {
			return nil, fmt.Errorf("master key %d of %d: %w: empty", i+1, len(keys), ErrInvalidKey)
		}
		if err := ring.add(key); err != nil {
			return nil, err
		}
	}
	return ring, nil
}

func (r *Ring) add(key MasterKey) error {
	if _, known := r.byID[key.hash()]; !known {
		r.keys = append(r.keys, key)
	}
	for _, id := range []string{key.ID(), key.hash()} {
		if other, taken := r.byID[id]; taken && !other.same(key.hidden) {
			return fmt.Errorf("two different master keys are called %q: give each its own name", id)
		}
		r.byID[id] = key
	}
	return nil
}

// IDs returns the ids of the keys, the active key's first.
func (r *Ring) IDs() []string {
	if r == nil {
		return nil
	}
	ids := make([]string, len(r.keys))
	for i, key := range r.keys {
		ids[i] = key.ID()
	}
	return ids
}

// Active returns the id of the active key, "" if the ring is empty.
func (r *Ring) Active() string {
	if r == nil || len(r.keys) == 0 {
		return ""
	}
	return r.keys[0].ID()
}

// Has reports whether keyID names a key of the ring, in any form that
// [Ring.NewDataKey] takes.
func (r *Ring) Has(keyID string) bool {
	_, err := r.find(keyID)
	return err == nil
}

// Same reports whether two ids name the same key of the ring.
func (r *Ring) Same(a, b string) bool {
	first, err := r.find(a)
	if err != nil {
		return false
	}
	second, err := r.find(b)
	return err == nil && first.same(second.hidden)
}

// find returns the key of an id, the active one for "". It returns
// ErrNoMasterKey or ErrUnknownKey.
func (r *Ring) find(id string) (MasterKey, error) {
	if r == nil || len(r.keys) == 0 {
		return MasterKey{}, ErrNoMasterKey
	}
	if id == "" {
		return r.keys[0], nil
	}
	key, ok := r.byID[nameOf(id)]
	if !ok {
		return MasterKey{}, fmt.Errorf("%w %q", ErrUnknownKey, id)
	}
	return key, nil
}

// nameOf returns the name in the ARN of a KMS key or alias
// (arn:aws:kms:region:account:key/NAME, ...:alias/NAME); the local keyring has
// neither regions nor accounts. An alias keeps its prefix "alias/".
func nameOf(id string) string {
	parts := strings.SplitN(id, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "kms" {
		return id
	}
	return strings.TrimPrefix(parts[5], "key/")
}
