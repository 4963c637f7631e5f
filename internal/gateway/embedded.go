package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/pithos/pithos/blob/file"
	"github.com/pithos/pithos/config"
	"github.com/pithos/pithos/meta/embedded"
)

// The data directory of the embedded engine:
//
//	meta/         metadata; its lock keeps a second process out of everything
//	blobs/        the bytes of the storage classes that name no directory
//	master.key    the master key, where no other is configured
//	credentials   the first access key, where none is configured
const (
	metaDir         = "meta"
	blobsDir        = "blobs"
	masterKeyFile   = "master.key"
	credentialsFile = "credentials"
)

func openEmbedded(cfg *config.Config, o OpenOptions) (_ *Engine, err error) {
	e := &Engine{Kind: config.EmbeddedEngine}
	defer e.closeAfter(&err)
	if err := firstPod(cfg.Embedded.Pod); err != nil {
		return nil, err // before a directory is made
	}
	fresh, err := e.openEmbeddedMeta(cfg.Embedded.Directory, o)
	if err != nil {
		return nil, err
	}
	if e.Ring, err = embeddedRing(cfg, fresh, o.Log); err != nil || o.MetaOnly {
		return e, err
	}
	c, err := e.embeddedClasses(cfg, o)
	if err != nil {
		return nil, err
	}
	if err := e.finish(cfg, c, o); err != nil {
		return nil, err
	}
	return e, e.embeddedKeys(cfg)
}

// embeddedClasses opens the directories of all regions' storage classes.
func (e *Engine) embeddedClasses(cfg *config.Config, o OpenOptions) (*classes, error) {
	c := newClasses(cfg)
	for _, region := range slices.Sorted(maps.Keys(cfg.Regions)) {
		for name, class := range cfg.Regions[region].StorageClasses {
			dir := class.Directory
			if dir == "" {
				dir = filepath.Join(cfg.Embedded.Directory, blobsDir)
			}
			s, err := e.openFiles(dir, o)
			if err == nil {
				err = c.add(region, name, s)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// openEmbeddedMeta opens the metadata, and reports whether they were just made.
func (e *Engine) openEmbeddedMeta(dir string, o OpenOptions) (fresh bool, err error) {
	log := o.Log.Named("meta")
	path := filepath.Join(dir, metaDir)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		fresh = true
	}
	// Others have no business there, whatever the mode of what it is made in.
	if err := os.MkdirAll(path, 0o700); err != nil {
		return false, dataDirError(dir, err)
	}
	s, err := embedded.Open(path, embedded.Options{
		Logf:   log.Sugar().Warnf,
		Fatalf: log.Sugar().Fatalf,
	})
	if err != nil {
		return false, dataDirError(path, err)
	}
	e.Meta, e.AccessKeys = o.wrapMeta(s, s)
	e.opened(s.Close)
	e.opened(o.showPebble("meta", s.Figures))
	return fresh, nil
}

// embeddedKeys gives the engine its access keys: those of the configuration,
// or the one that is made at the first start.
func (e *Engine) embeddedKeys(cfg *config.Config) error {
	if len(cfg.Keystore.Keys) == 0 {
		first, err := loadFirstKey(filepath.Join(cfg.Embedded.Directory, credentialsFile))
		if err != nil {
			return err
		}
		e.FirstKey = first
	}
	e.Keys = newKeys(e.fixedKeys(cfg), cfg.Options.MasterkeyAccess, e.AccessKeys, e.Ring)
	return nil
}

// dataDirError tells a directory in use, and one that a later Pithos wrote,
// from one that cannot be used.
func dataDirError(dir string, err error) error {
	if errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "held by current process") || strings.Contains(err.Error(), "in use") {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if errors.Is(err, embedded.ErrNewer) || errors.Is(err, file.ErrNewer) {
		return fmt.Errorf("%w: %w", ErrSchemaNewer, err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("data directory %s: %w: %s", dir, err, whoseIs(dir))
	}
	return fmt.Errorf("data directory %s: %w", dir, err)
}

// firstPod refuses every pod of a StatefulSet but the first. Another replica has
// a volume of its own: behind one address the store would be in two halves.
func firstPod(pod string) error {
	if pod == "" || strings.HasSuffix(pod, "-0") {
		return nil
	}
	return fmt.Errorf("%w: the embedded engine serves from one pod, and this is %s: scale the StatefulSet back to one replica, or keep the data in Cassandra to have several", ErrConfig, pod)
}
