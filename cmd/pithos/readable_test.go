//go:build unix

package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/internal/assert"
)

// TestSecretsAndDataReadableByOthersAreWarnedOf, of files with secrets and of data, and of
// nothing else.
func TestSecretsAndDataReadableByOthersAreWarnedOf(t *testing.T) {
	const (
		secret = "keystore: {keys: {K: {tenant: t, secret: a-secret}}}\n"
		public = "options: {buckets: [demo]}\n"
		class  = "regions: {us-east-1: {storage-classes: {STANDARD: {type: file, directory: CLASS}}}}\n"
	)
	for name, c := range map[string]struct {
		yaml              string
		file, data, below os.FileMode
		want              []string
	}{
		"all is private":                            {secret, 0o600, 0o700, 0o700, nil},
		"the group may read":                        {secret, 0o640, 0o750, 0o750, nil},
		"a file with secrets":                       {secret, 0o644, 0o700, 0o700, []string{"pithos.yaml"}},
		"a file with secrets that others may write": {secret, 0o602, 0o700, 0o700, []string{"pithos.yaml"}},
		"a file with the password of a cluster":     {"bucketstore: {cluster: c, username: u, password: p}\n", 0o644, 0o777, 0o777, []string{"pithos.yaml"}},
		"a file without secrets":                    {public, 0o644, 0o700, 0o700, nil},
		"data that others can list and read":        {public, 0o644, 0o755, 0o755, []string{"data"}},
		"a directory that others may write":         {public, 0o644, 0o777, 0o700, []string{"data"}},
		"a volume's directory and private data":     {public, 0o644, 0o755, 0o700, nil},
		"a directory of a storage class":            {class, 0o600, 0o755, 0o755, []string{"data"}},
	} {
		t.Run(name, func(t *testing.T) {
			folder := reachableFolder(t)
			data := filepath.Join(folder, "data")
			assert.NoError(t, os.MkdirAll(filepath.Join(data, "meta"), 0o700))
			assert.NoError(t, os.Chmod(filepath.Join(data, "meta"), c.below))
			assert.NoError(t, os.Chmod(data, c.data))
			yaml := c.yaml
			if c.yaml == class {
				yaml = "regions: {us-east-1: {storage-classes: {STANDARD: {type: file, directory: " + data + "}}}}\nembedded: {directory: " + filepath.Join(folder, "other") + "}\n"
			} else if c.yaml != "bucketstore: {cluster: c, username: u, password: p}\n" {
				yaml += "embedded: {directory: " + data + "}\n"
			}
			path := filepath.Join(folder, "pithos.yaml")
			assert.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
			assert.NoError(t, os.Chmod(path, c.file))
			cfg, err := config.Load(path, true, func(name string) string {
				return map[string]string{"PITHOS_ACCESS_KEY": "A", "PITHOS_SECRET_KEY": "of-the-environment"}[name]
			})
			assert.NoError(t, err)
			var got []string
			for _, path := range openToOthers(&cfg) {
				got = append(got, filepath.Base(path))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("warned of %v, want %v", got, c.want)
			}
		})
	}
}

// reachableFolder is a folder that others can get to, as those of testing
// cannot be.
func reachableFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "pithos-readable-")
	assert.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	assert.NoError(t, os.Chmod(folder, 0o755))
	return folder
}

// TestDataDirectoryIsReadableByItsOwnerOnly, whatever the mode of the directory that it is
// made in.
func TestDataDirectoryIsReadableByItsOwnerOnly(t *testing.T) {
	data := reachableFolder(t)
	p := startReady(t, "", append([]string{"PITHOS_DATA=" + data}, rootEnv...)...)
	if code := p.stop(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, e := range entries(data) {
		if others(filepath.Join(data, e.Name()), 0o007) {
			t.Errorf("others have access to %s", e.Name())
		}
	}
}
