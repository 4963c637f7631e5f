package crypt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// keyOf returns a key of one repeated byte.
func keyOf(b byte) MasterKey {
	key, err := hide(bytes.Repeat([]byte{b}, KeyBytes))
	if err != nil {
		panic(err)
	}
	return MasterKey{hidden: key}
}

func named(t testing.TB, b byte, name string) MasterKey {
	t.Helper()
	key, err := keyOf(b).Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ringOf(t testing.TB, keys ...MasterKey) *Ring {
	t.Helper()
	ring, err := NewRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestUnwrapGivesTheDataKeyBack(t *testing.T) {
	ring := ringOf(t, keyOf(1), named(t, 2, "testkey-1"))
	for _, c := range []struct{ ask, id string }{
		{"", keyOf(1).ID()},
		{keyOf(1).ID(), keyOf(1).ID()},
		{"testkey-1", "testkey-1"},
		{keyOf(2).ID(), "testkey-1"},
		{"arn:aws:kms:us-east-1:111122223333:key/testkey-1", "testkey-1"},
	} {
		key, wrapped, id, err := ring.NewDataKey(c.ask, []byte("bucket/key"))
		if err != nil || id != c.id {
			t.Fatalf("NewDataKey(%q): id %q, %v; want %q", c.ask, id, err, c.id)
		}
		if bytes.Contains(wrapped, key.bytes()) {
			t.Errorf("NewDataKey(%q): the wrapped key holds the key", c.ask)
		}
		again, err := ring.Unwrap(id, wrapped, []byte("bucket/key"))
		if err != nil || !again.same(key.hidden) {
			t.Errorf("Unwrap(%q): %v, or another key", id, err)
		}
	}
}

func TestUnwrapRefusesWhatItDidNotWrap(t *testing.T) {
	ring := ringOf(t, keyOf(1), named(t, 2, "other"))
	_, wrapped, id, err := ring.NewDataKey("", []byte("ctx"))
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := ring.Seal(make([]byte, KeyBytes), []byte("ctx"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range wrapped {
		flipped := bytes.Clone(wrapped)
		flipped[i] ^= 1
		if _, err := ring.Unwrap(id, flipped, []byte("ctx")); !errors.Is(err, ErrAuthentication) {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
	}
	for name, c := range map[string]struct {
		id           string
		wrapped, ctx []byte
		want         error
	}{
		"another context": {id, wrapped, []byte("ctx2"), ErrAuthentication},
		"no context":      {id, wrapped, nil, ErrAuthentication},
		"another key":     {"other", wrapped, []byte("ctx"), ErrAuthentication},
		"unknown key":     {"absent", wrapped, []byte("ctx"), ErrUnknownKey},
		"cut":             {id, wrapped[:len(wrapped)-1], []byte("ctx"), ErrAuthentication},
		"empty":           {id, nil, []byte("ctx"), ErrAuthentication},
		"a sealed secret": {id, secret, []byte("ctx"), ErrAuthentication},
	} {
		if _, err := ring.Unwrap(c.id, c.wrapped, c.ctx); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestWrappingTwiceGivesDifferentBytes(t *testing.T) {
	ring := ringOf(t, keyOf(1))
	a, _, errA := ring.Seal([]byte("secret"), nil)
	b, _, errB := ring.Seal([]byte("secret"), nil)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Fatalf("equal, or %v %v", errA, errB)
	}
}

func TestRotationKeepsDataKeysAndSecrets(t *testing.T) {
	old := ringOf(t, keyOf(1))
	key, wrapped, id, err := old.NewDataKey("", []byte("c"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, sid, err := old.Seal([]byte("s3cr3t"), []byte("AKIA"))
	if err != nil {
		t.Fatal(err)
	}
	rotated := ringOf(t, named(t, 9, "new"), keyOf(1))
	wrapped2, id2, err := rotated.Rewrap(id, wrapped, []byte("c"))
	if err != nil || id2 != "new" {
		t.Fatalf("Rewrap: id %q, %v", id2, err)
	}
	sealed2, sid2, err := rotated.Reseal(sid, sealed, []byte("AKIA"))
	if err != nil || sid2 != "new" {
		t.Fatalf("Reseal: id %q, %v", sid2, err)
	}
	later := ringOf(t, named(t, 9, "new")) // the old key is gone
	again, err := later.Unwrap(id2, wrapped2, []byte("c"))
	if err != nil || !again.same(key.hidden) {
		t.Errorf("Unwrap after rotation: %v, or another key", err)
	}
	if secret, err := later.Open(sid2, sealed2, []byte("AKIA")); err != nil || string(secret) != "s3cr3t" {
		t.Errorf("Open after rotation: %q, %v", secret, err)
	}
	if _, err := later.Unwrap(id, wrapped, []byte("c")); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the old wrapping without the old key: %v", err)
	}
	same, _, err := later.Rewrap(id2, wrapped2, []byte("c"))
	if err != nil || !bytes.Equal(same, wrapped2) {
		t.Errorf("Rewrap under the active key changed it, or %v", err)
	}
	if _, _, err := rotated.Rewrap(id, wrapped, []byte("wrong")); !errors.Is(err, ErrAuthentication) {
		t.Errorf("Rewrap with another context: %v", err)
	}
}

func TestKeyThatGetsANameLaterStillUnwraps(t *testing.T) {
	_, wrapped, id, err := ringOf(t, keyOf(1)).NewDataKey("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ringOf(t, named(t, 1, "main")).Unwrap(id, wrapped, nil); err != nil {
		t.Error(err)
	}
}

func TestRingWithoutKeysSaysWhatToSet(t *testing.T) {
	for name, ring := range map[string]*Ring{"nil": nil, "empty": ringOf(t), "zero": {}} {
		_, _, _, e1 := ring.NewDataKey("", nil)
		_, e2 := ring.Unwrap("x", nil, nil)
		_, _, e3 := ring.Seal(nil, nil)
		_, e4 := ring.Open("x", nil, nil)
		_, _, e5 := ring.Rewrap("x", nil, nil)
		_, _, e6 := ring.Reseal("x", nil, nil)
		for i, err := range []error{e1, e2, e3, e4, e5, e6} {
			if !errors.Is(err, ErrNoMasterKey) || !strings.Contains(err.Error(), "PITHOS_MASTER_KEY") {
				t.Errorf("%s ring, call %d: %v", name, i+1, err)
			}
		}
		if ring.Active() != "" || ring.Has("") || len(ring.IDs()) != 0 {
			t.Errorf("%s ring claims to have a key", name)
		}
	}
}

func TestNewRingRefusesContradictions(t *testing.T) {
	if _, err := NewRing(named(t, 1, "a"), named(t, 2, "a")); err == nil {
		t.Error("two keys of one name were taken")
	}
	if _, err := NewRing(named(t, 1, keyOf(2).ID()), keyOf(2)); err == nil {
		t.Error("a name that is another key's hash was taken")
	}
	if _, err := NewRing(MasterKey{}); !errors.Is(err, ErrInvalidKey) {
		t.Errorf("the zero key: %v", err)
	}
	ring := ringOf(t, keyOf(1), named(t, 1, "a"), keyOf(2))
	if got := ring.IDs(); len(got) != 2 || got[0] != ring.Active() {
		t.Errorf("the same key twice: ids %v", got)
	}
}

func TestParseMasterKey(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, KeyBytes))
	other := bytes.Repeat([]byte{0xfb, 0xff}, KeyBytes/2)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if key, err := ParseMasterKey(encoding.EncodeToString(other)); err != nil || !bytes.Equal(key.bytes(), other) {
			t.Errorf("%s: %v", encoding.EncodeToString(other), err)
		}
	}
	for text, ok := range map[string]bool{
		good: true, " " + good + "\n": true, "": false, "!" + good: false, good[:40]: false,
		base64.StdEncoding.EncodeToString(make([]byte, 33)): false, hex.EncodeToString(make([]byte, 32)): false,
	} {
		_, err := ParseMasterKey(text)
		if ok != (err == nil) || (!ok && !errors.Is(err, ErrInvalidKey)) {
			t.Errorf("%d characters: %v", len(text), err)
		}
		if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
}

func TestKeyNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"testkey-1": true, "alias/photos": true, "2026.05_a": true, "": false, "-a": false,
		"a b": false, "ä": false, strings.Repeat("a", 129): false, "a\n": false,
	} {
		if _, err := keyOf(1).Named(name); ok != (err == nil) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	master := named(t, 0xab, "main")
	customer, err := NewCustomerKey(master.bytes())
	if err != nil {
		t.Fatal(err)
	}
	data := DataKey{master.hidden}
	ring := ringOf(t, master)
	type nested struct {
		Shown  DataKey
		hidden DataKey
		list   []CustomerKey
		ring   *Ring
	}
	values := []any{
		master, &master, data, &data, customer, &customer, ring, *ring,
		nested{data, data, []CustomerKey{customer}, ring}, []MasterKey{master}, map[string]DataKey{"k": data},
	}
	secrets := []string{"171 171", "171, 171", "171,171", "abababab", "ABABABAB", "ab ab ab", "0xab, 0xab", "\xab\xab", `\xab\xab`, "q6urq6urq6ur"}
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			check(t, fmt.Sprintf("%T as %s", v, verb), fmt.Sprintf(verb, v), secrets)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T as JSON: %v", v, err)
		}
		check(t, fmt.Sprintf("%T as JSON", v), string(text), secrets)
	}
	if got := fmt.Sprintf("%+v", struct{ K DataKey }{data}); got != "{K:[redacted]}" {
		t.Errorf("got %s", got)
	}
}

func check(t *testing.T, what, text string, secrets []string) {
	t.Helper()
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%s shows the key: %s", what, text)
		}
	}
}
