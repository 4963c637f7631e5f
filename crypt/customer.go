package crypt

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // S3 identifies a customer's key by its MD5
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// CustomerKey is the key that a client sends with each request under SSE-C.
// It is never stored: an object keeps a random salt and a check.
type CustomerKey struct{ hidden }

// NewCustomerKey returns the key with the bytes raw. It returns [ErrInvalidKey] unless
// there are [KeyBytes] of them.
func NewCustomerKey(raw []byte) (CustomerKey, error) {
	key, err := hide(raw)
	if err != nil {
		return CustomerKey{}, fmt.Errorf("customer key: %w", err)
	}
	return CustomerKey{key}, nil
}

// ParseCustomerKey parses a key in standard base64, the form of the header
// x-amz-server-side-encryption-customer-key. Its error, [ErrInvalidKey], does not
// contain the text.
func ParseCustomerKey(text string) (CustomerKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return CustomerKey{}, fmt.Errorf("customer key: %w: not base64", ErrInvalidKey)
	}
	return NewCustomerKey(raw)
}

// MD5 returns the base64 of the key's MD5, the form of the header
// x-amz-server-side-encryption-customer-key-MD5.
func (k CustomerKey) MD5() string {
	if k.IsZero() {
		return ""
	}
	sum := md5.Sum(k.bytes()) //nolint:gosec // not for security
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Derive derives, from the customer's key and a salt from [NewSalt], an object's
// data key and the check with which [CustomerKey.Unlock] recognizes the right key.
// The caller stores salt and check. The customer's key cannot be computed from
// them, nor from the data key.
func (k CustomerKey) Derive(salt []byte) (key DataKey, check []byte, err error) {
	if k.IsZero() {
		return DataKey{}, nil, fmt.Errorf("customer key: %w: empty", ErrInvalidKey)
	}
	if len(salt) != SaltBytes {
		return DataKey{}, nil, fmt.Errorf("crypt: a salt of %d bytes, want %d", len(salt), SaltBytes)
	}
	secret, err := hkdf.Key(sha256.New, k.bytes(), salt, "pithos customer data key v1", KeyBytes)
	if err != nil {
		return DataKey{}, nil, fmt.Errorf("derive a data key: %w", err)
	}
	check, err = hkdf.Key(sha256.New, k.bytes(), salt, "pithos customer key check v1", sha256.Size)
	if err != nil {
		return DataKey{}, nil, fmt.Errorf("derive a key check: %w", err)
	}
	data, err := hide(secret)
	clear(secret)
	return DataKey{data}, check, err
}

// Unlock returns the data key of an object with that salt and check, or
// [ErrWrongKey] if another key made them. It compares in constant time.
func (k CustomerKey) Unlock(salt, check []byte) (DataKey, error) {
	key, want, err := k.Derive(salt)
	if err != nil {
		return DataKey{}, err
	}
	if !hmac.Equal(want, check) {
		return DataKey{}, ErrWrongKey
	}
	return key, nil
}
