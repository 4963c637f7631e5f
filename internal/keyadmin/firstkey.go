package keyadmin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pithos/pithos/config"
)

// FirstKey is the access key that the embedded engine generates if none is
// configured. Its file has the form of an AWS credentials file, so that clients
// can use it.
type FirstKey struct {
	ID     string
	Secret config.Secret
	Path   string
	// Created says that the key was generated just now. Only then it is shown.
	Created bool
}

const firstKeyText = `# The access key that pithos generated at its first start, since none was
# configured. Remove this file and restart to get another one.
[default]
aws_access_key_id = %s
aws_secret_access_key = %s
`

// LoadFirstKey reads the key in path, or generates one.
func LoadFirstKey(path string) (*FirstKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return createFirstKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("access key of the data directory: %w", err)
	}
	k := &FirstKey{Path: path}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			k.ID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			k.Secret = config.Secret(strings.TrimSpace(value))
		}
	}
	if k.ID == "" || k.Secret == "" {
		return nil, fmt.Errorf("%s lacks aws_access_key_id or aws_secret_access_key: correct it, or remove it to get a new key", path)
	}
	return k, nil
}

// createFirstKey generates a key and stores it durably before it is used.
func createFirstKey(path string) (*FirstKey, error) {
	k := &FirstKey{ID: GenerateAccessKey(), Secret: GenerateSecret(), Path: path, Created: true}
	text := fmt.Sprintf(firstKeyText, k.ID, k.Secret.Reveal())
	if err := writeDurably(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("store the first access key: %w", err)
	}
	return k, nil
}

// writeDurably creates the file path with mode 0600, atomically.
func writeDurably(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-*") // which has mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, syncErr := os.Open(dir)
	if syncErr != nil {
		return syncErr
	}
	return errors.Join(d.Sync(), d.Close())
}
