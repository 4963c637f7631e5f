package s3err

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEveryCodeHasAMessage(t *testing.T) {
	for _, c := range Codes() {
		if c.Message() == "" {
			t.Errorf("%s has no message", c)
		}
	}
}

func TestErrorTellsCodeMessageHintAndCause(t *testing.T) {
	cause := errors.New("cause")
	e := Newf(NoSuchKey, "no %s", "key").WithHint("look elsewhere")
	e.Err = cause
	if got := e.Error(); got != "NoSuchKey: no key: look elsewhere: cause" {
		t.Errorf("got %q", got)
	}
	if e.Text() != "no key" || New(NoSuchKey).Text() != NoSuchKey.Message() {
		t.Errorf("messages: %q, %q", e.Text(), New(NoSuchKey).Text())
	}
	if wrapped := fmt.Errorf("with more: %w", e); CodeOf(wrapped) != NoSuchKey || !errors.Is(wrapped, cause) || CodeOf(cause) != "" {
		t.Errorf("codes: %q, %q", CodeOf(wrapped), CodeOf(cause))
	}
}

func TestDetailsAreCut(t *testing.T) {
	e := New(InvalidURI).With("Name", strings.Repeat("x", 2*maxDetail)).With("Name", "other")
	if got := e.Detail("Name"); len(got) != maxDetail || e.Detail("none") != "" {
		t.Errorf("%d bytes", len(got))
	}
}
