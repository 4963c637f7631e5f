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

// NewCustomerKey takes the [KeyBytes] bytes of a key; otherwise it returns
// [ErrInvalidKey].
func NewCustomerKey(raw []byte) (CustomerKey, error) {
	key, err := hide(raw)
	if err != nil {
		return CustomerKey{}, fmt.Errorf("customer key: %w", err)
	}
	return CustomerKey{key}, nil
}

// ParseCustomerKey reads a key in standard base64, as the header
// x-amz-server-side-encryption-customer-key has it; otherwise it returns
// [ErrInvalidKey], which does not repeat the text.
func ParseCustomerKey(text string) (CustomerKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return CustomerKey{}, fmt.Errorf("customer key: %w: not base64", ErrInvalidKey)
	}
	return NewCustomerKey(raw)
}

// MD5 returns the base64 of the key's MD5, as the header
// x-amz-server-side-encryption-customer-key-MD5 has it.
func (k CustomerKey) MD5() string {
	if k.IsZero() {
		return ""
	}
	sum := md5.Sum(k.bytes()) //nolint:gosec // not for security
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Derive makes an object's data key of the customer's key and a salt from
// [NewSalt], and the check by which [CustomerKey.Unlock] knows the right key.
// Salt and check are to be stored; neither they nor the data key lead back to
// the customer's key.
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
// [ErrWrongKey] where another key made them, told in constant time.
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
