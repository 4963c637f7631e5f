// Package assert has the assertions that tests share. Each ends the test, since
// what follows would fail for the same reason.
package assert

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"testing"
)

// NoError ends the test if err is not nil.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// ErrorIs ends the test unless [errors.Is] finds target in err.
func ErrorIs(t testing.TB, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

// Equal ends the test unless got and want are deeply equal; what names the
// value.
func Equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n  got  %s\n  want %s", what, show(got), show(want))
	}
}

// show formats a value in at most 1,000 characters.
func show(v any) string {
	text := fmt.Sprintf("%+v", v)
	if s, ok := v.(string); ok {
		text = strconv.Quote(s)
	}
	if len(text) > 1000 {
		return fmt.Sprintf("%.900s… (%d characters)", text, len(text))
	}
	return text
}
