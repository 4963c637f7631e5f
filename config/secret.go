package config

import (
	"fmt"
	"log/slog"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Secret is a text that is never printed: every way of formatting, encoding or
// logging it shows a placeholder. Only [Secret.Reveal] gives the text.
type Secret string

// Reveal returns the secret itself. Do not log what it returns.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) shown() string {
	if s == "" {
		return ""
	}
	return redacted
}

// String returns a placeholder, or nothing where the secret is empty.
func (s Secret) String() string { return s.shown() }

// GoString is String, for %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.shown()) }

// Format writes the placeholder whatever the verb.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.shown()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// A formatter cannot report a write error.
	_, _ = f.Write([]byte(text))
}

// MarshalText is String, for encoders of text formats (JSON and XML included).
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.shown()), nil }

// MarshalJSON is String as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.shown() + `"`), nil }

// MarshalYAML is String.
func (s Secret) MarshalYAML() (any, error) { return s.shown(), nil }

// LogValue is String, for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.shown()) }
