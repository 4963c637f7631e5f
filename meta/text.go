package meta

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxTextBytes is the length, in bytes, of the longest string that a driver
// takes as a key, a bound of keys or a name. It exceeds the longest key.
const MaxTextBytes = 4096

// ErrBadText is the error of every driver for a key, a bound or a name that is
// not UTF-8, or longer than MaxTextBytes. It is an error of the caller, which
// has to check what a client sends before it calls a driver.
var ErrBadText = errors.New("not UTF-8, or too long")

// CheckText returns ErrBadText unless all texts may be given to a driver.
func CheckText(texts ...string) error {
	for _, t := range texts {
		if len(t) > MaxTextBytes || !utf8.ValidString(t) {
			return fmt.Errorf("%.80q, of %d bytes: %w", t, len(t), ErrBadText)
		}
	}
	return nil
}

// Successor returns the first string that follows all strings with prefix, as
// a bound for a Scan; "" if there is none.
//
// Bounds are UTF-8, as keys are: databases refuse anything else. So Successor
// replaces the last character by the next code point, which is also the next one
// in the order of bytes. Adding one to the last byte instead would yield invalid
// UTF-8 for each character whose encoding ends in BF, and for U+007F.
func Successor(prefix string) string {
	for len(prefix) > 0 {
		r, size := utf8.DecodeLastRuneInString(prefix)
		prefix = prefix[:len(prefix)-size]
		switch r {
		case utf8.MaxRune: // no code point follows it: replace the one before it
		case 0xd7ff: // surrogates are no characters
			return prefix + "\ue000"
		default:
			return prefix + string(r+1)
		}
	}
	return ""
}
