package crypt

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
)

// KeyBytes is the length of every key, in bytes: AES-256.
const KeyBytes = 32

// SaltBytes is the length of a segment's salt, in bytes.
const SaltBytes = 16

const redacted = "[redacted]"

// The errors of this package, wrapped with what failed.
var (
	// ErrNoMasterKey: a key has to be wrapped or unwrapped and the ring is empty.
	ErrNoMasterKey = errors.New("no master key for encryption: set PITHOS_MASTER_KEY to the base64 of 32 random bytes (openssl rand -base64 32), or encryption.master-key-file in the configuration to a key file")
	// ErrUnknownKey: the ring has no key of that id or name.
	ErrUnknownKey = errors.New("unknown master key")
	// ErrAuthentication: the ciphertext was changed or truncated, or the key or
	// context is not the one it was encrypted with.
	ErrAuthentication = errors.New("encrypted data does not authenticate: it was modified or truncated, or the key is wrong")
	// ErrWrongKey: a customer's key is not the one the object was written with.
	ErrWrongKey = errors.New("the customer key is not the one that the object was encrypted with")
	// ErrInvalidKey: the argument is not a valid key.
	ErrInvalidKey = errors.New("invalid key")
)

// hidden is a key that fmt cannot print. fmt prints the unexported fields of a
// struct without calling their methods, and with a verb of the wrong type it
// follows one pointer, but never two.
type hidden struct{ key **[KeyBytes]byte }

// Format prints "[redacted]" for every verb.
func (hidden) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]".
func (hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// IsZero reports whether it holds no key.
func (h hidden) IsZero() bool { return h.key == nil }

// bytes returns the key itself; it must not be called on a zero key.
func (h hidden) bytes() []byte { return (*h.key)[:] }

// same reports, in constant time, whether both are the same key.
func (h hidden) same(other hidden) bool { return hmac.Equal(h.bytes(), other.bytes()) }

func hide(b []byte) (hidden, error) {
	if len(b) != KeyBytes {
		return hidden{}, fmt.Errorf("%w: %d bytes long, want %d", ErrInvalidKey, len(b), KeyBytes)
	}
	key := new([KeyBytes]byte)
	copy(key[:], b)
	return hidden{&key}, nil
}

func randomKey() hidden {
	key := new([KeyBytes]byte)
	fill(key[:])
	return hidden{&key}
}

// DataKey encrypts the segments of one body. The zero DataKey is not a valid key:
// functions that get it return [ErrInvalidKey].
type DataKey struct{ hidden }

// NewSalt returns a fresh random salt for one segment, [SaltBytes] long.
func NewSalt() []byte {
	salt := make([]byte, SaltBytes)
	fill(salt)
	return salt
}

func fill(b []byte) {
	if _, err := rand.Read(b); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
}
