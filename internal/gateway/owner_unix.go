//go:build unix

package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// whoseIs says who may write where this process may not: the directory, or the
// nearest one above it that is there.
func whoseIs(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil {
			if owner, ok := info.Sys().(*syscall.Stat_t); ok {
				return fmt.Sprintf("%s belongs to user %d and group %d (mode %04o), and pithos runs as user %d and group %d: let it write there (chown %d:%d)",
					dir, owner.Uid, owner.Gid, info.Mode().Perm(), os.Getuid(), os.Getgid(), os.Getuid(), os.Getgid())
			}
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "pithos may not write there"
		}
		dir = above
	}
}
