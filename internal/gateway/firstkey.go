package gateway

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

// FirstKey is the access key of a server that was given none. It is kept in
// the form of an AWS credentials file, so that clients can be pointed at it.
type FirstKey struct {
	ID     string
	Secret config.Secret
	Path   string
	// Made says that it was made just now: this once it may be shown.
	Made bool
}

const firstKeyText = `# The access key that pithos made at its first start, since none was configured.
# Remove this file and restart to have another one.
[default]
aws_access_key_id = %s
aws_secret_access_key = %s
`

// loadFirstKey reads the key in path, or makes one.
func loadFirstKey(path string) (*FirstKey, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return makeFirstKey(path)
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
		return nil, fmt.Errorf("%s lacks aws_access_key_id or aws_secret_access_key: mend it, or remove it to have a new key made", path)
	}
	return k, nil
}

// makeFirstKey writes a fresh key, whole and durable, before anyone sees it.
func makeFirstKey(path string) (*FirstKey, error) {
	k := &FirstKey{ID: GenerateAccessKey(), Secret: GenerateSecret(), Path: path, Made: true}
	text := fmt.Sprintf(firstKeyText, k.ID, k.Secret.Reveal())
	if err := writeDurably(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("keep the first access key: %w", err)
	}
	return k, nil
}

// writeDurably makes the file path, mode 0600, at once or not at all.
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
