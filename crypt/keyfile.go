package crypt

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile is the maximum length of a key file, in bytes.
const maxKeyFile = 1 << 20

const keyFileHeader = `# Pithos master keys, one a line: an optional name, and the base64 of 32 bytes.
# The first key encrypts what is new. Keep the others for as long as anything
# is encrypted under them. Without this file encrypted objects are lost: keep a
# copy of it elsewhere.
`

// LoadKeyFile reads master keys, the active one first, for [NewRing].
//
// A key file is text with one key in a line: an optional name, blanks, and the
// standard base64 of 32 bytes. Empty lines and lines that begin with # are
// skipped. A file of exactly 32 bytes is one binary key.
//
//	# rotated in May
//	2026-05 q0cTv2y4...=
//	2025-11 8m4n1LwX...=
//
// The warnings are for the operator, for instance about a mode with which other
// users can read the file. Errors name file and line, never their content.
func LoadKeyFile(path string) (keys []MasterKey, warnings []string, err error) {
	data, mode, err := readKeyFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the master keys: %w", err)
	}
	defer clear(data)
	if keys, err = parseKeys(data); err != nil {
		return nil, nil, fmt.Errorf("key file %s: %w", path, err)
	}
	// The group may read: a service gets access to a file of root in this way, for
	// instance in Secret volumes of Kubernetes.
	if mode.Perm()&0o037 != 0 {
		warnings = append(warnings, fmt.Sprintf("key file %s can be read or changed by others (mode %04o): chmod 600 it", path, mode.Perm()))
	}
	return keys, warnings, nil
}

func readKeyFile(path string) ([]byte, os.FileMode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		err = fmt.Errorf("%s is longer than %d bytes: is it a key file?", path, maxKeyFile)
	}
	return data, info.Mode(), err
}

func parseKeys(data []byte) ([]MasterKey, error) {
	if len(data) == KeyBytes {
		key, err := hide(data)
		return []MasterKey{{hidden: key}}, err
	}
	var keys []MasterKey
	n := 0
	for line := range bytes.Lines(data) {
		n++
		fields := strings.Fields(string(line))
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		key, err := parseKeyLine(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the file has no key: %w: add a line with the base64 of %d bytes (openssl rand -base64 32)", ErrInvalidKey, KeyBytes)
	}
	return keys, nil
}

func parseKeyLine(fields []string) (MasterKey, error) {
	if len(fields) > 2 {
		return MasterKey{}, fmt.Errorf("%w: %d fields, want an optional name and a key", ErrInvalidKey, len(fields))
	}
	key, err := ParseMasterKey(fields[len(fields)-1])
	if err != nil || len(fields) == 1 {
		return key, err
	}
	if !keyNames.MatchString(fields[0]) {
		// The error does not contain the name: it may be the key, if the fields were
		// swapped.
		return MasterKey{}, fmt.Errorf("%w: the name is not up to 128 letters, digits and . _ / -, beginning with a letter or digit", ErrInvalidKey)
	}
	return key.Named(fields[0])
}

// CreateKeyFile writes a key file with one new random key, mode 0600, and returns
// the key after file and directory have been synced. The file is created atomically.
// An existing file is not changed: the error is then [os.ErrExist].
func CreateKeyFile(path string) (MasterKey, error) {
	key := GenerateMasterKey()
	text := []byte(keyFileHeader + base64.StdEncoding.EncodeToString(key.bytes()) + "\n")
	defer clear(text)
	temp, err := writeTemp(path, text)
	if err != nil {
		return MasterKey{}, fmt.Errorf("create a key file: %w", err)
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil { // unlike a rename, a link does not replace a file
		return MasterKey{}, fmt.Errorf("create a key file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return MasterKey{}, fmt.Errorf("create a key file: %w", err)
	}
	return key, nil
}

// writeTemp writes text to a new file in the directory of path and syncs it.
func writeTemp(path string, text []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // O_EXCL, 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return f.Name(), err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
