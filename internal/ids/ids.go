// Package ids has what packages meta and blob name things by: random
// identifiers, and shares of a walk.
package ids

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
)

// ID is a random identifier: two callers never make the same one.
type ID [16]byte

// New returns a fresh random ID.
func New() ID {
	var id ID
	if _, err := rand.Read(id[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return id
}

// String returns the ID as 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Parse reads what [ID.String] wrote.
func Parse(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("id %q: want %d hexadecimal digits", s, hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("id %q: %w", s, err)
	}
	return id, nil
}

// Share is one of Of equal parts of a store, numbered from 0: what one worker of
// a walk reads. A share covers the same rows each time, so a walk that was
// interrupted need not repeat the shares that were done.
type Share struct{ Part, Of int }

// Check returns an error unless 0 <= Part < Of.
func (s Share) Check() error {
	if s.Of < 1 || s.Part < 0 || s.Part >= s.Of {
		return fmt.Errorf("part %d of %d: there is no such share", s.Part, s.Of)
	}
	return nil
}
