package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"go.uber.org/zap"

	"github.com/pithos/pithos/config"
)

// warnOfReaders warns of data and secrets that every user of this machine can
// read or change: of the embedded engine's data, of directories of storage
// classes, of the private keys of TLS, and of a configuration file that has
// secrets in it. It is called when the engine is open, and so has made what it
// makes. (Package crypt warns of master keys.) A group may have access: so a
// service is given what root owns. Windows has no such bits.
func warnOfReaders(log *zap.Logger, cfg *config.Config) {
	if runtime.GOOS == "windows" {
		return
	}
	for _, path := range openToOthers(cfg) {
		info, err := os.Stat(path)
		if err != nil {
			continue // it was looked at a moment ago
		}
		log.Warn("all users of this machine can read or change this; it has data or secrets",
			zap.String("path", path), zap.String("mode", fmt.Sprintf("%04o", info.Mode().Perm())),
			zap.String("do", "chmod o= "+path))
	}
}

// openToOthers are the paths with data or secrets that others have access to.
func openToOthers(cfg *config.Config) []string {
	var open []string
	file := func(path string) {
		if path != "" && others(path, 0o006) && reachable(path) {
			open = append(open, path)
		}
	}
	if cfg.SecretsInFile {
		file(cfg.Source)
	}
	file(cfg.Service.TLS.Key)
	directory := func(dir string) {
		// What is below counts, where others can get there: a volume's own
		// directory is often open to all, and what pithos makes in it is not.
		if dir == "" || !others(dir, 0o001) && !others(dir, 0o002) || !reachable(dir) {
			return
		}
		if others(dir, 0o002) && !sticky(dir) || slices.ContainsFunc(entries(dir), func(e fs.DirEntry) bool {
			return others(filepath.Join(dir, e.Name()), 0o006)
		}) {
			open = append(open, dir)
		}
	}
	if cfg.Engine() == config.EmbeddedEngine {
		directory(cfg.Embedded.Directory)
	}
	for _, region := range cfg.Regions {
		for _, class := range region.StorageClasses {
			directory(class.Directory)
		}
	}
	slices.Sort(open)
	return slices.Compact(open)
}

// others reports whether the mode of a path gives others one of these bits.
func others(path string, bits fs.FileMode) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&bits != 0
}

func sticky(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&fs.ModeSticky != 0
}

// reachable reports whether others may pass all directories above a path.
func reachable(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return true
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if !others(dir, 0o001) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func entries(dir string) []fs.DirEntry {
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	found, _ := f.ReadDir(1000)      // a data directory has a handful
	return found
}
