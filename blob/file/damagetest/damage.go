// Package damagetest damages blobs in files, for tests of what finds that.
package damagetest

import (
	"os"
	"path/filepath"

	"github.com/pithos/pithos/blob"
)

// FlipByte changes a byte in the middle of a large blob in the folder of a store.
func FlipByte(folder string, id blob.ID) error {
	path := filepath.Join(folder, "large", id.String()[:2], id.String())
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(path, data, 0o600)
}
