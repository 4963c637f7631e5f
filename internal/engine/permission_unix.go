//go:build unix

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// permissionHint says who owns the directory that this process may not write to, or the
// nearest parent that exists.
func permissionHint(dir string) string {
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
