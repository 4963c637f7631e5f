package keyadmin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/crypt"
	"github.com/pithos/pithos/meta"
	"github.com/pithos/pithos/s3api"
)

// keyTable is a metadata store's table of keys, in memory.
type keyTable struct {
	meta.AccessKeys
	rows  map[string]meta.AccessKey
	err   error
	reads int
}

func (k *keyTable) AccessKey(_ context.Context, id string) (meta.AccessKey, error) {
	k.reads++
	row, ok := k.rows[id]
	if k.err == nil && !ok {
		return row, fmt.Errorf("access key: %w", meta.ErrNotFound)
	}
	return row, k.err
}

func (k *keyTable) PutAccessKey(_ context.Context, row meta.AccessKey) error {
	k.rows[row.ID] = row
	return k.err
}

func (k *keyTable) DeleteAccessKey(_ context.Context, id string) error {
	if _, ok := k.rows[id]; !ok {
		return meta.ErrNotFound
	}
	delete(k.rows, id)
	return nil
}

func newTable(t *testing.T) (*keyTable, Admin) {
	t.Helper()
	ring, err := crypt.NewRing(crypt.GenerateMasterKey())
	if err != nil {
		t.Fatal(err)
	}
	table := &keyTable{rows: map[string]meta.AccessKey{}}
	return table, Admin{Meta: table, Ring: ring, Configured: map[string]config.Key{
		"FIXED": {Tenant: "t", Secret: "fixed-secret", Master: true, MemberOf: []string{"g"}}}}
}

func TestCreatedKeyIsFoundWithItsSecret(t *testing.T) {
	table, admin := newTable(t)
	made, err := admin.Create(t.Context(), NewKey{Tenant: "alice", Groups: []string{"ops"}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(table.rows[made.ID].Secret), made.Secret.Reveal()) {
		t.Error("the secret is stored in plain text")
	}
	keys := NewKeys(admin.Configured, true, table, admin.Ring)
	got, err := keys.Lookup(t.Context(), made.ID)
	if err != nil || got.Secret != made.Secret.Reveal() || got.Tenant != "alice" || got.Master || got.Groups[0] != "ops" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRevocationTakesEffectWithinTheTTL(t *testing.T) {
	table, admin := newTable(t)
	made, err := admin.Create(t.Context(), NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	keys := NewKeys(nil, true, table, admin.Ring)
	now := time.Now()
	keys.now = func() time.Time { return now }
	for range 3 {
		if _, err := keys.Lookup(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	if table.reads != 2 { // one of Create
		t.Errorf("%d reads for three look-ups", table.reads-1)
	}
	if err := admin.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keyTTL)
	if _, err := keys.Lookup(t.Context(), made.ID); !errors.Is(err, s3api.ErrUnknownAccessKey) {
		t.Errorf("after the time: %v", err)
	}
}

func TestStoreThatDoesNotAnswerIsNoUnknownKey(t *testing.T) {
	table, admin := newTable(t)
	keys := NewKeys(nil, true, table, admin.Ring)
	table.err = meta.ErrUnavailable
	if _, err := keys.Lookup(t.Context(), "X"); !errors.Is(err, meta.ErrUnavailable) || errors.Is(err, s3api.ErrUnknownAccessKey) {
		t.Errorf("got %v", err)
	}
	table.err = nil
	if _, err := keys.Lookup(t.Context(), "X"); !errors.Is(err, s3api.ErrUnknownAccessKey) {
		t.Errorf("the failure was remembered: %v", err)
	}
}

func TestMasterKeysCanBeSwitchedOff(t *testing.T) {
	table, admin := newTable(t)
	made, err := admin.Create(t.Context(), NewKey{Master: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, masters := range []bool{true, false} {
		keys := NewKeys(admin.Configured, masters, table, admin.Ring)
		for _, id := range []string{"FIXED", made.ID} {
			if got, err := keys.Lookup(t.Context(), id); err != nil || got.Master != masters {
				t.Errorf("%s with masters %v: %v, %v", id, masters, got.Master, err)
			}
		}
	}
}

func TestMadeUpKeysDoNotFillTheMemory(t *testing.T) {
	table, admin := newTable(t)
	keys := NewKeys(nil, true, table, admin.Ring)
	for i := range maxCachedKeys + 10 {
		if _, err := keys.Lookup(t.Context(), fmt.Sprint("made-up-", i)); !errors.Is(err, s3api.ErrUnknownAccessKey) {
			t.Fatal(err)
		}
	}
	if len(keys.cached) > maxCachedKeys {
		t.Errorf("%d keys are remembered", len(keys.cached))
	}
}

func TestKeyThatCannotBeIsRefused(t *testing.T) {
	_, admin := newTable(t)
	cases := []struct {
		name string
		key  NewKey
		want error
	}{
		{"slash in the id", NewKey{ID: "a/b/c"}, ErrInvalidKey},
		{"comma in the id", NewKey{ID: "a,b,c"}, ErrInvalidKey},
		{"control character in the id", NewKey{ID: "abc\n"}, ErrInvalidKey},
		{"short id", NewKey{ID: "ab"}, ErrInvalidKey},
		{"long id", NewKey{ID: strings.Repeat("a", 129)}, ErrInvalidKey},
		{"short secret", NewKey{Secret: "short"}, ErrInvalidKey},
		{"long secret", NewKey{Secret: config.Secret(strings.Repeat("s", 257))}, ErrInvalidKey},
		{"control character in the tenant", NewKey{Tenant: "a\x00"}, ErrInvalidKey},
		{"id of the configuration", NewKey{ID: "FIXED"}, ErrKeyExists},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := admin.Create(t.Context(), c.key); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestKeyIsNeverReplaced(t *testing.T) {
	_, admin := newTable(t)
	made, err := admin.Create(t.Context(), NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Create(t.Context(), NewKey{ID: made.ID}); !errors.Is(err, ErrKeyExists) {
		t.Errorf("got %v", err)
	}
}

func TestRevokingTellsWhatIsNotThere(t *testing.T) {
	_, admin := newTable(t)
	if err := admin.Revoke(t.Context(), "FIXED"); !errors.Is(err, ErrConfiguredKey) {
		t.Errorf("key of the configuration: %v", err)
	}
	if err := admin.Revoke(t.Context(), "NONE"); !errors.Is(err, ErrNoSuchKey) {
		t.Errorf("no key: %v", err)
	}
}

func TestWithoutMasterKeyNoKeyIsStored(t *testing.T) {
	table, admin := newTable(t)
	admin.Ring = nil
	if _, err := admin.Create(t.Context(), NewKey{}); !errors.Is(err, crypt.ErrNoMasterKey) || len(table.rows) > 0 {
		t.Errorf("got %v, %d rows", err, len(table.rows))
	}
}

func TestGeneratedKeysAreFreshAndPlain(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id, secret := GenerateAccessKey(), GenerateSecret().Reveal()
		if len(id) != 20 || len(secret) != 40 || seen[id] || seen[secret] {
			t.Fatalf("%q, %q", id, secret)
		}
		seen[id], seen[secret] = true, true
		for _, r := range id + secret {
			if !strings.ContainsRune(secretAlphabet, r) {
				t.Fatalf("%q in %q %q", r, id, secret)
			}
		}
	}
}

func TestFirstKeyIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	made, err := LoadFirstKey(path)
	if err != nil || !made.Created {
		t.Fatalf("%+v, %v", made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := LoadFirstKey(path)
	if err != nil || again.Created || again.ID != made.ID || again.Secret != made.Secret {
		t.Errorf("%+v, %v", again, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDamagedFirstKeyIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte("[default]\naws_access_key_id = X\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if k, err := LoadFirstKey(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%+v, %v", k, err)
	}
}
