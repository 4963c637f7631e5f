package crypt

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func customer(t testing.TB, b byte) CustomerKey {
	t.Helper()
	key, err := NewCustomerKey(bytes.Repeat([]byte{b}, KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestUnlockKnowsTheRightCustomerKey(t *testing.T) {
	salt := NewSalt()
	key, check, err := customer(t, 1).Derive(salt)
	if err != nil {
		t.Fatal(err)
	}
	again, err := customer(t, 1).Unlock(salt, check)
	if err != nil || !again.same(key.hidden) {
		t.Errorf("the right key: %v, or another data key", err)
	}
	for name, c := range map[string]struct {
		key         CustomerKey
		salt, check []byte
		want        error
	}{
		"another key":   {customer(t, 2), salt, check, ErrWrongKey},
		"another salt":  {customer(t, 1), NewSalt(), check, ErrWrongKey},
		"another check": {customer(t, 1), salt, make([]byte, len(check)), ErrWrongKey},
		"no check":      {customer(t, 1), salt, nil, ErrWrongKey},
		"cut check":     {customer(t, 1), salt, check[:16], ErrWrongKey},
		"no key":        {CustomerKey{}, salt, check, ErrInvalidKey},
	} {
		if key, err := c.key.Unlock(c.salt, c.check); !errors.Is(err, c.want) || !key.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := customer(t, 1).Unlock(nil, check); err == nil {
		t.Error("no salt was taken")
	}
}

func TestCheckAndDataKeyAreIndependent(t *testing.T) {
	salt := NewSalt()
	key, check, err := customer(t, 1).Derive(salt)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(check, key.bytes()) || bytes.Equal(key.bytes(), customer(t, 1).bytes()) {
		t.Error("what is stored gives a key away")
	}
	other, otherCheck, err := customer(t, 1).Derive(NewSalt())
	if err != nil || other.same(key.hidden) || bytes.Equal(check, otherCheck) {
		t.Errorf("two objects share a key or a check (%v)", err)
	}
}

func TestParseCustomerKey(t *testing.T) {
	// The example of the s3-tests suite and of many clients' documentation.
	key, err := ParseCustomerKey("pO3upElrwuEXSoFwCfnZPdSsmt/xWeFa0N9KgDijwVs=")
	if err != nil || key.MD5() != "DWygnHRtgiJ77HCm+1rvHw==" {
		t.Errorf("MD5 %q, %v", key.MD5(), err)
	}
	for _, text := range []string{"", "*", b64(1) + "AAAA", "c2hvcnQ=", " " + strings.TrimRight(b64(1), "=")} {
		if _, err := ParseCustomerKey(text); !errors.Is(err, ErrInvalidKey) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
