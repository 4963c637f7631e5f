package crypt

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func b64(b byte) string {
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, KeyBytes))
}

func writeKeys(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	return path
}

func TestLoadKeyFileTakesTheFirstKeyAsActive(t *testing.T) {
	path := writeKeys(t, "# keys\r\n\n  new \t "+b64(1)+"\r\n"+b64(2)+"\n\n#old\nalias/x "+b64(3), 0o600)
	keys, warnings, err := LoadKeyFile(path)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v, warnings %q", err, warnings)
	}
	ids := ringOf(t, keys...).IDs()
	if want := []string{"new", keyOf(2).ID(), "alias/x"}; strings.Join(ids, " ") != strings.Join(want, " ") {
		t.Errorf("ids %q, want %q", ids, want)
	}
}

func TestLoadKeyFileTakesARawKey(t *testing.T) {
	keys, _, err := LoadKeyFile(writeKeys(t, strings.Repeat("\n", KeyBytes), 0o600))
	if err != nil || len(keys) != 1 || keys[0].ID() != keyOf('\n').ID() {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestLoadKeyFileNamesTheBadLineNotTheKey(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "no key"},
		"comments":     {"# nothing\n", "no key"},
		"three fields": {b64(1) + "\na b " + b64(2), "line 2"},
		"swapped":      {b64(1) + "\n" + b64(2) + " name", "line 2"},
		"bad name":     {"+" + b64(3) + " " + b64(2), "line 1"},
		"short":        {"a c2hvcnQ=", "line 1"},
		"endless":      {strings.Repeat("#", maxKeyFile+1), "longer than"},
	} {
		_, _, err := LoadKeyFile(writeKeys(t, c.text, 0o600))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
			continue
		}
		for _, secret := range []string{b64(1), b64(2), b64(3), "c2hvcnQ"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error shows a key: %v", name, err)
			}
		}
	}
	if _, _, err := LoadKeyFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestLoadKeyFileWarnsWhenOthersCanReadIt(t *testing.T) {
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o640: 0, 0o440: 0, 0o660: 1, 0o644: 1, 0o602: 1} {
		_, warnings, err := LoadKeyFile(writeKeys(t, b64(1), mode))
		if err != nil || len(warnings) != want {
			t.Errorf("mode %o: %v, warnings %q", mode, err, warnings)
		}
	}
}

func TestCreateKeyFileMakesAKeyOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")
	key, err := CreateKeyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := CreateKeyFile(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("again: %v", err)
	}
	keys, warnings, err := LoadKeyFile(path)
	if err != nil || len(warnings) != 0 || len(keys) != 1 || keys[0].ID() != key.ID() {
		t.Errorf("read back: %d keys, %q, %v", len(keys), warnings, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := CreateKeyFile(filepath.Join(dir, "no", "dir")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("# c\nname " + b64(1) + "\n"))
	f.Add([]byte(strings.Repeat("k", KeyBytes)))
	f.Add([]byte("a b c"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, key := range keys {
			if key.IsZero() || key.ID() == "" {
				t.Fatal("a key that is none")
			}
		}
	})
}
